"""Estimates trained in lockstep end with the numbers of estimates trained alone, bit by bit."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wdist.errors import OptionError, Stopped
from wdist.estimate import Estimation, estimate_w1
from wdist.options import Options
from wdist.result import Result
from wdist.training.lockstep import Lockstep, TogetherError, Training, is_cheaper, run_together, train_together

Pair = tuple[np.ndarray, np.ndarray]
STEPS = {"critic": "groupsort", "steps": 24, "baseline_rows": 0}


@pytest.fixture(autouse=True)
def one_thread() -> Generator[None, None, None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pairs(count: int, rows: int = 120, columns: int = 2) -> list[Pair]:
    generator = np.random.default_rng(5)
    sets = generator.normal(size=(count, 2, rows, columns)).astype(np.float32)
    return [(x, y + np.float32(0.2 * k)) for k, (x, y) in enumerate(sets)]


class Members:
    """Estimates to be run together, and how each ended."""

    def __init__(self, given: Sequence[Pair], **more: dict[int, Any]) -> None:
        self.ends: dict[int, Result | Exception] = {}
        self.more = more
        self.given = given

    def member(self, k: int, options: dict[str, Any]) -> Generator[Training, None, None]:
        try:
            extra = {name: values[k] for name, values in self.more.items() if k in values}
            estimation = Estimation(*self.given[k], Options(**options), **extra)
            yield from estimation.trainings()
            self.ends[k] = estimation.result()
        except Exception as error:
            self.ends[k] = error

    def run(self, options: dict[str, Any] | list[dict[str, Any]], **how: Any) -> dict[int, Any]:
        each = options if isinstance(options, list) else [options] * len(self.given)
        run_together([self.member(k, given) for k, given in enumerate(each)], **how)
        return self.ends


def always(trainings: Sequence[Training]) -> bool:
    return True


def never(trainings: Sequence[Training]) -> bool:
    return False


def counted(sizes: list[int]) -> Callable[[Sequence[Training]], bool]:
    def is_worth_it(trainings: Sequence[Training]) -> bool:
        sizes.append(len(trainings))
        return True

    return is_worth_it


def told(result: Result) -> dict[str, Any]:
    return {k: v for k, v in result.to_dict().items() if k != "seconds"}


def steps_and_values(result: Result) -> list[tuple[float, float]]:
    return [(point["step"], point["value"]) for point in result.curve]


@pytest.mark.parametrize(
    ("options", "columns"),
    [
        (STEPS, 2),
        (STEPS, 8),
        ({"critic": "cone", "steps": 100, "baseline_rows": 0}, 3),
        ({"steps": 100, "baseline_rows": 0}, 2),
    ],
    ids=["groupsort", "where the passes round otherwise", "cone", "auto"],
)
def test_results_are_those_of_training_alone(options: dict[str, Any], columns: int) -> None:
    given, sizes = pairs(4, columns=columns), []
    together = Members(given).run(options, is_worth_it=counted(sizes))
    assert max(sizes) == 4
    for k, (x, y) in enumerate(given):
        alone = estimate_w1(x, y, **options)
        assert told(together[k]) == told(alone)
        assert steps_and_values(together[k]) == steps_and_values(alone)


def test_time_in_which_others_were_trained_is_not_counted() -> None:
    begun = time.perf_counter()
    ended = Members(pairs(4)).run(STEPS, is_worth_it=never)
    assert sum(result.seconds for result in ended.values()) <= time.perf_counter() - begun


def test_other_options_are_trained_beside() -> None:
    given = pairs(4)
    options = [STEPS, STEPS | {"seed": 3}, STEPS | {"critic": "affine"}, STEPS | {"steps": 12}]
    together = Members(given).run(options, is_worth_it=always)
    for k, (x, y) in enumerate(given):
        assert told(together[k]) == told(estimate_w1(x, y, **options[k]))


def test_one_that_is_stopped_leaves_the_others_alone(tmp_path: Path) -> None:
    given, looks = pairs(3), iter(range(1_000))
    members = Members(given, should_stop={1: lambda: next(looks) >= 9}, checkpoint={1: tmp_path / "one"})
    ended = members.run(STEPS, is_worth_it=always)
    assert isinstance(ended[1], Stopped)
    assert "after 9 of 24 steps" in str(ended[1])
    assert next(iter(ended)) == 1, "at once, and not when the others end"
    for k in (0, 2):
        assert told(ended[k]) == told(estimate_w1(*given[k], **STEPS))
    # What it left in its checkpoint is what it would have left alone.
    assert told(estimate_w1(*given[1], **STEPS, checkpoint=tmp_path / "one")) == told(estimate_w1(*given[1], **STEPS))


def test_one_that_waits_is_stopped_at_once() -> None:
    ended = Members(pairs(3), should_stop={2: lambda: True}).run(STEPS, is_worth_it=never)
    assert isinstance(ended[2], Stopped)
    assert list(ended) == [2, 0, 1], "before the first has been trained"


def test_estimates_that_were_interrupted_at_one_step_go_on_together(tmp_path: Path) -> None:
    given, sizes = pairs(3), []
    files = {k: tmp_path / str(k) for k in range(3)}
    for k, (x, y) in enumerate(given):
        looks = iter(range(1_000))
        with pytest.raises(Stopped):
            estimate_w1(x, y, **STEPS, checkpoint=files[k], should_stop=lambda looks=looks: next(looks) >= 9)
    ended = Members(given, checkpoint=files).run(STEPS, is_worth_it=counted(sizes))
    assert sizes == [3]
    for k, (x, y) in enumerate(given):
        assert told(ended[k]) == told(estimate_w1(x, y, **STEPS))


def test_an_estimate_that_fails_leaves_the_others_alone() -> None:
    given = pairs(3)
    given[1] = (given[1][0][:5], given[1][1])
    ended = Members(given).run(STEPS, is_worth_it=always)
    assert "at least" in str(ended[1])
    assert told(ended[2]) == told(estimate_w1(*given[2], **STEPS))


def trainings(count: int, columns: int = 2) -> list[Training]:
    found = [next(iter(Estimation(x, y, Options(**STEPS)).trainings())) for x, y in pairs(count, columns=columns)]
    for training in found:
        training.trainer.begin()
    return found


def test_one_whose_step_is_not_finite_parts_from_the_others() -> None:
    together, alone = trainings(3), trainings(3)
    for each in (together, alone):
        x, y = each[0].rows_at(7)
        real, spoiled = each[0].rows_at, (torch.full_like(x, torch.inf), y)
        # The first of them: who parts is whoever is not like most.
        spoil = lambda step, real=real, spoiled=spoiled: spoiled if step == 7 else real(step)  # noqa: E731
        object.__setattr__(each[0], "rows_at", spoil)
        each[0].trainer.loss_at = lambda net, step, spoil=spoil: _loss(net, *spoil(step))
    assert sorted(train_together(together)) == [(k, None) for k in range(3)]
    for training, twin in zip(together, alone, strict=True):
        twin.run()
        assert training.trainer.record.restores == twin.trainer.record.restores == (training is together[0])
        assert all(map(torch.equal, training.trainer.best.values(), twin.trainer.best.values()))


def _loss(net: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    scores = net(torch.cat([x, y]))
    return scores[: len(x)].mean() - scores[len(x) :].mean()


def test_a_common_step_that_differs_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine whose products round otherwise in a batch: all go on as they would have alone."""
    changed, alone = trainings(3), trainings(3)
    first = Lockstep._share_state

    def perturb(self: Lockstep) -> None:
        first(self)
        for stacked in self._stacked.values():
            stacked.data.mul_(1 + 1e-6)

    monkeypatch.setattr(Lockstep, "_share_state", perturb)
    assert sorted(train_together(changed)) == [(k, None) for k in range(3)]
    for training, twin in zip(changed, alone, strict=True):
        twin.run()
        assert all(map(torch.equal, training.trainer.best.values(), twin.trainer.best.values()))


def test_an_error_of_a_common_step_names_nobody() -> None:
    given = pairs(3)
    broken = Members(given, progress=dict.fromkeys([1], _fail))
    ended = broken.run(STEPS, is_worth_it=always)
    assert all(isinstance(end, TogetherError) for end in ended.values())
    assert "ZeroDivisionError" in str(ended[0])
    alone = Members(given, progress=dict.fromkeys([1], _fail)).run(STEPS, is_worth_it=never)
    assert [type(alone[k]) for k in range(3)] == [Result, ZeroDivisionError, Result]


def _fail(_progress: object) -> None:
    raise ZeroDivisionError


def test_the_rule_is_by_device_size_and_number() -> None:
    found = trainings(4)
    assert is_cheaper(found)
    assert not is_cheaper(found[:3])
    assert not is_cheaper(trainings(4, columns=65)), "critics 256 wide"


def test_rounding_may_differ_where_that_is_asked_for() -> None:
    lockstep = Lockstep(trainings(4, columns=8), exactly=False)
    lockstep.step()
    assert lockstep.is_whole
    assert not lockstep.has_failed


def test_options_have_the_defaults_of_the_function() -> None:
    signature = inspect.signature(estimate_w1).parameters
    for name, field in Options.model_fields.items():
        assert signature[name].default == field.default, name
    with pytest.raises(OptionError):
        Options.checked(confidence=2)
