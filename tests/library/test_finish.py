"""Training that is told to finish states what it has, and the steps it took repeat the result to the last bit."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wdist import Result, estimate_w1
from wdist.errors import OptionError, Stopped
from wdist.estimate import ENDED_EARLY, Estimation
from wdist.options import Options
from wdist.training.lockstep import Training, run_together

X = np.random.default_rng(1).normal(size=(500, 3))
Y = np.random.default_rng(2).normal(size=(500, 3)) + 0.5


def after(polls: int) -> Callable[[], bool]:
    """False so many times, then true."""
    left = iter([False] * polls)
    return lambda: next(left, True)


def all_but_the_time(result: Result) -> tuple[Any, ...]:
    figures = {name: figure for name, figure in result.to_dict().items() if name != "seconds"}
    weights = {name: tensor.tobytes() for name, tensor in result.certificate.tensors.items()}
    return figures, [(point["step"], point["value"]) for point in result.curve], weights


@pytest.mark.parametrize(
    ("options", "polls"),
    [
        ({"critic": "groupsort", "steps": 200}, 57),  # between two evaluations of the curve
        ({"critic": "groupsort", "steps": 200}, 60),  # right after one
        ({"critic": "groupsort", "steps": 200}, 0),
        ({"steps": 400}, 7),  # in the first pilot
        ({"steps": 400}, 16),  # at the end of it
        ({"steps": 400}, 25),  # in a later one
        ({"steps": 400}, 150),
        ({}, 30),
        ({"critic": "cone", "max_seconds": 2.0}, 40),
        ({"max_seconds": 2.0}, 30),
    ],
)
def test_the_steps_taken_and_planned_repeat_the_result(options: dict[str, Any], polls: int) -> None:
    options = {**options, "baseline_rows": 0}
    result = estimate_w1(X, Y, should_finish=after(polls), **options)
    assert 1 <= result.steps <= max(polls + 4, 1)  # the end of a stage polls once more than there are steps
    assert ENDED_EARLY in result.warnings
    assert result.value > 0
    again = estimate_w1(X, Y, **options | {"steps": result.steps, "planned_steps": result.planned_steps})
    assert all_but_the_time(again) == all_but_the_time(result)
    assert again.planned_steps == result.planned_steps


@pytest.mark.parametrize("options", [{"steps": 150}, {"critic": "groupsort", "max_seconds": 0.5}, {"critic": "affine"}])
def test_a_result_that_was_not_ended_early_is_repeated_too(options: dict[str, Any]) -> None:
    result = estimate_w1(X, Y, **options, baseline_rows=0)
    assert ENDED_EARLY not in result.warnings
    plan = {"steps": max(result.steps, 1), "planned_steps": result.planned_steps}
    again = estimate_w1(X, Y, **options | plan, baseline_rows=0)
    assert all_but_the_time(again) == all_but_the_time(result)


def test_a_critic_that_had_no_time_loses_to_the_mean_difference() -> None:
    result = estimate_w1(X, Y, critic="groupsort", steps=100_000, should_finish=lambda: True, baseline_rows=0)
    assert (result.steps, result.critic.family) == (1, "affine")
    assert result.value == pytest.approx(result.trivial["mean_difference"], rel=0.1)  # it is clipped


def test_the_last_step_counts_although_no_evaluation_was_due() -> None:
    wider = 3 * (Y - 0.5)  # no difference of means
    early = estimate_w1(X, wider, critic="groupsort", steps=400, should_finish=after(109), baseline_rows=0)
    assert early.critic.family == "groupsort"
    assert [point["step"] for point in early.curve] == [0, 20, 40, 60, 80, 100, 110]


def test_stopping_wins_over_finishing() -> None:
    with pytest.raises(Stopped):
        estimate_w1(X, Y, steps=50, should_stop=after(3), should_finish=after(3), baseline_rows=0)


def test_an_interrupted_run_finishes_with_the_steps_of_both(tmp_path: Path) -> None:
    file, options = tmp_path / "checkpoint", {"critic": "groupsort", "steps": 200, "baseline_rows": 0}
    with pytest.raises(Stopped):
        estimate_w1(X, Y, **options, should_stop=after(30), checkpoint=file)
    result = estimate_w1(X, Y, **options, should_finish=lambda: True, checkpoint=file)
    assert result.steps == 30
    assert all_but_the_time(estimate_w1(X, Y, **options, should_finish=after(29))) == all_but_the_time(result)


def test_a_checkpoint_in_a_later_stage_is_kept_by_finishing(tmp_path: Path) -> None:
    file, options = tmp_path / "checkpoint", {"steps": 400, "baseline_rows": 0}
    with pytest.raises(Stopped):
        estimate_w1(X, Y, **options, should_stop=after(150), checkpoint=file)
    result = estimate_w1(X, Y, **options, should_finish=lambda: True, checkpoint=file)
    assert result.steps > 140


def test_steps_and_seconds_contradict_each_other_without_a_plan() -> None:
    with pytest.raises(OptionError, match="give steps or max_seconds, not both"):
        Options.checked(steps=5, max_seconds=2.0)
    assert Options.checked(steps=5, max_seconds=2.0, planned_steps=[5, 7]).planned_steps == [5, 7]
    for wrong in (0, [], [0], "many", [1.5]):
        with pytest.raises(OptionError, match="planned_steps"):
            Options.checked(planned_steps=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("are_together", [True, False])
def test_one_of_several_finishes_and_the_others_go_on(are_together: bool) -> None:
    options = Options.checked(critic="groupsort", steps=40, baseline_rows=0)
    results: dict[int, Result] = {}

    def member(k: int) -> Generator[Training, None, None]:
        estimation = Estimation(X, Y + k, options, should_finish=after(12) if k == 1 else None)
        yield from estimation.trainings()
        results[k] = estimation.result()

    run_together([member(k) for k in range(3)], lambda _: are_together)
    assert {k: result.steps for k, result in results.items()} == {0: 40, 1: results[1].steps, 2: 40}
    assert results[1].steps <= 13
    assert [ENDED_EARLY in results[k].warnings for k in range(3)] == [False, True, False]
    alone = estimate_w1(X, Y + 1, critic="groupsort", steps=results[1].steps, planned_steps=40, baseline_rows=0)
    assert alone.value == results[1].value
