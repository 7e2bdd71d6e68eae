"""Which critics a budget lets us try."""

import pytest

from wdist.critics.base import TrainedConfig
from wdist.training.halving import LEAST_SECONDS_TO_SHARE, LEAST_STEPS_TO_SHARE, affordable, contenders

IMAGE, TABLE = (1, 28, 28), (128,)


@pytest.mark.parametrize(
    ("steps", "seconds", "shape", "is_shared"),
    [
        (LEAST_STEPS_TO_SHARE - 1, None, TABLE, False),
        (LEAST_STEPS_TO_SHARE, None, TABLE, True),
        (LEAST_STEPS_TO_SHARE, None, IMAGE, True),
        (None, LEAST_SECONDS_TO_SHARE / 2, IMAGE, False),
        (None, LEAST_SECONDS_TO_SHARE, IMAGE, True),
        (None, LEAST_SECONDS_TO_SHARE / 2, TABLE, True),
    ],
)
def test_a_short_budget_goes_to_groupsort_alone(
    steps: int | None, seconds: float | None, shape: tuple[int, ...], is_shared: bool
) -> None:
    trained = [c for c in contenders("auto", shape, 10_000) if isinstance(c, TrainedConfig)]
    found = affordable(trained, steps, seconds, shape)
    assert found == (trained if is_shared else trained[:1])
    assert {config.family for config in found} == ({"groupsort", "cone"} if is_shared else {"groupsort"})


def test_a_family_asked_for_keeps_both_signs_on_a_short_budget() -> None:
    cones = contenders("cone", TABLE, 10_000)
    assert affordable(cones, 5, None, TABLE) == cones  # type: ignore[arg-type]  # cones are all trained
    assert affordable([], 5, None, TABLE) == []
