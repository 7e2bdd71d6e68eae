"""The training loop: schedule, early stopping, recovery from non-finite steps, stop, reproducibility."""

import json
import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from wdist.errors import Stopped
from wdist.nn.layers import MaxMin, OrthogonalLinear
from wdist.training.trainer import HeldOutValue, LossAt, Record, Schedule, Trainer, steps_for_seconds

ROWS = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))


def net() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(OrthogonalLinear(4, 8), MaxMin(), OrthogonalLinear(8, 1))


def loss_at(module: nn.Module, step: int) -> Tensor:
    return module(ROWS).mean() - module(ROWS + 1.0).mean()


def fit(module: nn.Module, loss: LossAt, value: HeldOutValue, schedule: Schedule, **hooks: Any) -> Record:
    return Trainer(module, loss, value, schedule).run(**hooks)


def held_out(module: nn.Module) -> float:
    with torch.no_grad():
        return -float(loss_at(module, 0))


def test_schedule_warms_up_then_falls_to_zero() -> None:
    schedule = Schedule(steps=100, learning_rate=1.0, euclidean_learning_rate=1.0)
    factors = [schedule.factor(step) for step in range(100)]
    assert factors[:5] == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert all(a >= b for a, b in pairwise(factors[5:]))
    assert factors[-1] < 1e-3


def test_training_reaches_the_translation_distance() -> None:
    # rows moved by (1, 1, 1, 1): W1 = 2, and the 1-Lipschitz critic <x, (1,1,1,1)/2> attains it
    fitted = fit(net(), loss_at, held_out, Schedule(200, 0.1, 2e-3))
    assert 1.99 < fitted.value <= 2.0 + 1e-5


def test_the_best_weights_are_kept() -> None:
    module, seen = net(), []

    def falling(inner: nn.Module) -> float:
        seen.append({k: v.clone() for k, v in inner.state_dict().items()})
        return [0.0, 5.0, 4.0, 3.0, 2.0, 1.0][len(seen) - 1]

    fitted = fit(module, loss_at, falling, Schedule(100, 0.1, 2e-3, evaluations=10, patience=4))
    assert fitted.value == 5.0
    assert fitted.step == 50, "four looks without improvement after the one at step 10"
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, seen[1][name])


def test_same_seed_same_steps_same_weights() -> None:
    first, second = net(), net()
    for module in (first, second):
        fit(module, loss_at, held_out, Schedule(40, 0.1, 2e-3))
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_non_finite_step_restores_and_halves_then_stops() -> None:
    module = net()

    def poisoned(inner: nn.Module, step: int) -> Tensor:
        return loss_at(inner, step) * (math.nan if step >= 30 else 1.0)

    fitted = fit(module, poisoned, held_out, Schedule(100, 0.1, 2e-3, evaluations=10))
    assert len(fitted.warnings) == 3
    assert "halved the rate" in fitted.warnings[0]
    assert "stopped with the best so far" in fitted.warnings[2]
    assert all(bool(torch.isfinite(p).all()) for p in module.parameters())
    assert held_out(module) == pytest.approx(fitted.value)
    assert fitted.value > 1.0


def test_one_non_finite_step_is_survived() -> None:
    def once(inner: nn.Module, step: int) -> Tensor:
        return loss_at(inner, step) * (math.inf if step == 20 else 1.0)

    fitted = fit(net(), once, held_out, Schedule(100, 0.1, 2e-3))
    assert len(fitted.warnings) == 1
    assert fitted.step == 100
    assert fitted.value > 1.9


def test_should_stop_is_obeyed() -> None:
    calls = iter([False] * 7 + [True] * 10)
    with pytest.raises(Stopped, match="after 7 of 100 steps"):
        fit(net(), loss_at, held_out, Schedule(100, 0.1, 2e-3), should_stop=lambda: next(calls))


def test_timing_steps_leaves_the_module_alone() -> None:
    module = net()
    before = [p.clone() for p in module.parameters()]
    assert steps_for_seconds(module, loss_at, 0.5) >= 20
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


@pytest.mark.parametrize("interrupted_after", [1, 17, 20, 59])
def test_a_resumed_training_ends_bitwise_like_an_uninterrupted_one(interrupted_after: int) -> None:
    schedule = Schedule(60, 0.1, 2e-3, evaluations=6)
    whole, first, second = net(), net(), net()
    expected = fit(whole, loss_at, held_out, schedule)

    interrupted = Trainer(first, loss_at, held_out, schedule)
    with pytest.raises(Stopped):
        interrupted.run(should_stop=lambda: interrupted.record.step == interrupted_after)
    tensors, document = interrupted.state()

    resumed = Trainer(second, loss_at, held_out, schedule)
    resumed.load_state(tensors, json.loads(json.dumps(document)))
    record = resumed.run()
    assert record.value == expected.value
    assert [look["value"] for look in record.curve] == [look["value"] for look in expected.curve]
    for a, b in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
