"""Years without drift raise as few alarms as promised, and a known mistake raises more."""

import numpy as np
import pytest

from benchmarks.monitors.drift import delays
from benchmarks.monitors.null import ALPHA, CASES, limits, year


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_more_false_alarms_than_chance_explains(case):
    counts = np.array([year(case, 10_000 + seed, weeks=52) for seed in range(100)]).sum(axis=0)
    assert (counts[:2] <= limits(100, 52)).all()


@pytest.mark.parametrize("case", [case for case in CASES if "columns" in case.name or "coins" in case.name])
def test_a_few_short_years_without_drift_stay_quiet(case):
    counts = np.array([year(case, 20_000 + seed, weeks=12) for seed in range(10)]).sum(axis=0)
    assert (counts[:2] <= limits(10, 12)).all()


def test_the_simulation_sees_a_mistake():
    """Bets on the same reference rows every week: their luck is taken for drift."""
    wrong = sum(year(CASES[0], 30_000 + seed, weeks=20)[2] for seed in range(10))
    assert wrong > 10 * ALPHA


def test_drift_is_found():
    found = [delays("sudden", 0.5, seed) for seed in range(1)]
    assert all(run["bounds"] in (0, 1) for run in found)
    assert all(0 <= run["every 8 (wdist)"] <= 8 for run in found)
