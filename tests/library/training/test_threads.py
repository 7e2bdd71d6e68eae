"""Small nets train on one thread, and torch's number of threads is the caller's own before and after."""

import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from wdist.critics.cone import ConeConfig
from wdist.critics.cost import dense_size, step_threads, training_operations
from wdist.critics.groupsort import GroupSortConfig
from wdist.errors import OptionError, Stopped
from wdist.estimate import estimate_w1
from wdist.result import Result
from wdist.training.lockstep import mean_difference
from wdist.training.progress import Progress
from wdist.training.threads import ONE_THREAD, threads_for
from wdist.training.trainer import Schedule, Trainer

generator = np.random.default_rng(0)
X, Y = (generator.normal(size=(120, 4)).astype(np.float32) + shift for shift in (0, 1))
OPTIONS: dict[str, Any] = {"critic": "groupsort", "steps": 24, "baseline_rows": 0, "empirical": False}


@pytest.fixture(autouse=True)
def two_threads() -> Generator[None, None, None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("columns", "available", "threads"),
    [(8, 1, 1), (8, 2, 1), (64, 64, 1), (784, 1, 1), (784, 2, 2), (784, 64, 4), (3072, 64, 10)],
)
def test_the_number_follows_from_the_sizes_and_is_at_most_what_there_is(
    columns: int, available: int, threads: int
) -> None:
    net = GroupSortConfig(*dense_size(columns)).build((columns,), 0)
    operations = training_operations(2 * 256, sum(p.numel() for p in net.parameters()))
    assert step_threads(operations, available) == threads


def numbers_in(size: dict[str, float]) -> tuple[set[int], set[int]]:
    """The numbers of threads that a training's steps and evaluations see, and those its callbacks see."""
    inside, outside = set(), set()

    def loss_at(net: nn.Module, step: int) -> Tensor:
        inside.add(torch.get_num_threads())
        return mean_difference(net, torch.zeros(8, 4), torch.ones(8, 4))

    def value(net: nn.Module) -> float:
        inside.add(torch.get_num_threads())
        return 1.0

    trainer = Trainer(GroupSortConfig(8, 1).build((4,), 0), loss_at, value, Schedule(20, 0.1, 1e-3), **size)
    trainer.run(on_step=lambda _: outside.add(torch.get_num_threads()))
    return inside, outside


def test_steps_and_evaluations_of_a_small_net_use_one_thread() -> None:
    assert numbers_in({"operations": 1e6}) == ({1}, {2})
    assert numbers_in({"operations": 1e9}) == ({2}, {2})
    assert numbers_in({}) == ({2}, {2}), "of unknown size"


def stop(_: Progress) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({}, None),
        ({"should_stop": lambda: True}, Stopped),
        ({"progress": stop}, KeyboardInterrupt),
        ({"critic": "bcop"}, OptionError),
    ],
)
def test_the_number_is_restored_however_an_estimate_ends(
    more: dict[str, Any], error: type[BaseException] | None
) -> None:
    if error is None:
        estimate_w1(X, Y, **OPTIONS | more)
    else:
        with pytest.raises(error):
            estimate_w1(X, Y, **OPTIONS | more)
    assert torch.get_num_threads() == 2


def test_an_estimate_trains_alike_however_many_threads_are_set() -> None:
    def result(threads: int) -> Result:
        torch.set_num_threads(threads)
        return estimate_w1(X, Y, **OPTIONS)

    one, two = result(1), result(2)
    assert [entry["value"] for entry in one.curve] == [entry["value"] for entry in two.curve]
    for figure in ("value", "lower_bound", "lipschitz_bound"):  # proof and scores use all threads
        assert getattr(one, figure) == pytest.approx(getattr(two, figure), rel=1e-13), figure


def test_a_checkpoint_resumes_with_another_number_of_threads(tmp_path: Path) -> None:
    x, y = (generator.normal(size=(100, 784)).astype(np.float32) + shift for shift in (0, 1))  # enough for two threads
    options = {**OPTIONS, "steps": 8}
    polls: list[None] = []

    def should_stop() -> bool:
        polls.append(None)
        return len(polls) > 5

    checkpoint = tmp_path / "checkpoint"
    with pytest.raises(Stopped):
        estimate_w1(x, y, **options, should_stop=should_stop, checkpoint=checkpoint)
    torch.set_num_threads(1)
    told: list[int] = []
    result = estimate_w1(x, y, **options, checkpoint=checkpoint, progress=lambda progress: told.append(progress.step))
    assert told[0] > 1  # it did not begin anew
    torch.set_num_threads(2)
    whole = estimate_w1(x, y, **options)
    assert result.steps == whole.steps
    # After these few steps the rounding of another number of threads is all that differs.
    assert result.value == pytest.approx(whole.value, rel=1e-5)


def test_the_number_is_kept_for_each_python_thread() -> None:
    seen: list[int] = []
    started, may_look = threading.Event(), threading.Event()

    def other() -> None:
        seen.append(torch.get_num_threads())  # the first use of torch in this thread
        started.set()
        assert may_look.wait(30)
        with threads_for(1e9):
            seen.append(torch.get_num_threads())

    thread = threading.Thread(target=other)
    thread.start()
    assert started.wait(30)
    with threads_for(ONE_THREAD):
        may_look.set()
        thread.join()
        assert torch.get_num_threads() == 1, "the other's context is not this thread's"
    assert seen == [2, 2]
    assert torch.get_num_threads() == 2


def gradients(net: nn.Module, rows: Tensor) -> list[Tensor]:
    net.zero_grad()
    torch.autograd.backward(net(rows).sum())
    return [p.grad.clone() for p in net.parameters() if p.grad is not None]


def test_cones_have_the_same_gradient_again_on_two_threads() -> None:
    rows = torch.randn(2048, 784, generator=torch.Generator().manual_seed(0))
    net = ConeConfig(256).build((784,), 0, rows[:256])
    first = gradients(net, rows)
    for _ in range(5):
        assert all(torch.equal(a, b) for a, b in zip(first, gradients(net, rows), strict=True))
