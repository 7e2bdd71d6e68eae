"""Numbers of rows: the formula where it is exact, and margins and power that come out where scores are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import pytest

from wdist.data.seeded import SeededScores
from wdist.data.splits import split_groups, split_rows
from wdist.errors import OptionError
from wdist.inference.sample_size import MARGIN, Design, Pilot, held_out_groups, held_out_rows
from wdist.inference.units import Layout, Units, lower_bound_of, value_of

ALPHA = 0.05
Z = NormalDist().inv_cdf(1 - ALPHA)
Draw = Callable[[np.random.Generator, int], np.ndarray]
CLIP = -5.0, 5.0
SELECT = 100, 100  # scores that the prior comes from


def normal(deviation: float) -> Draw:
    return lambda generator, n: (deviation * generator.normal(size=n)).clip(*CLIP)


def heavy(generator: np.random.Generator, n: int) -> np.ndarray:
    return (0.5 * generator.standard_t(2.5, n)).clip(*CLIP)


def skewed(generator: np.random.Generator, n: int) -> np.ndarray:
    return (generator.exponential(size=n) - 1).clip(*CLIP)


def units_of(x: np.ndarray, y: np.ndarray, layout: Layout = "rows") -> Units:
    """Scores that are drawn in random order already."""
    fx, fy = (SeededScores.of(side, np.arange(len(side)), np.arange(len(side))) for side in (x, y))
    return Units(fx, fy, layout)


def pilot_of(units: Units, lower_bound: float = 0.0) -> Pilot:
    return Pilot.of(units, CLIP[1] - CLIP[0], 1.0, lower_bound)


def bound_of(units: Units, select: Units) -> float:
    """The bound, with a prior from other scores."""
    prior = tuple((float(side.values.mean()), float(side.values.std())) for side in (select.fx, select.fy))
    return lower_bound_of(units, *CLIP, ALPHA, "target_stakes", (prior[0], prior[1]))


def known(x: float, y: float) -> Pilot:
    """A pilot that knows the variances, with scores in an interval of no width to speak of."""
    return Pilot((x, y), (0.0, 0.0), (100, 100), 1e-9, 1.0, 0.5)


@pytest.mark.parametrize("ratio", [0.25, 1.0, 3.0])
def test_many_rows_are_those_of_the_normal_formula(ratio: float) -> None:
    design, pilot = Design(ALPHA, ratio, held_out_rows), known(1.0, 4.0)
    total = 1 + 4 / ratio
    for_margin, to_detect = design.for_margin(pilot, 0.01, ALPHA)[1], design.to_detect(pilot, 0.01, 0.8, ALPHA)[1]
    power = NormalDist().inv_cdf(0.8)
    assert for_margin == pytest.approx((MARGIN * Z / 0.01) ** 2 * total / 0.4, rel=1e-3)
    assert to_detect == pytest.approx(((MARGIN * Z + power) / 0.01) ** 2 * total / 0.4, rel=1e-3)


def test_less_than_the_margin_asked_for_needs_more_rows() -> None:
    design, pilot = Design(ALPHA, 1.0, held_out_rows), known(1.0, 1.0)
    numbers = [design.for_margin(pilot, margin, ALPHA)[1] for margin in (0.3, 0.1, 0.03, 0.01)]
    assert all(number is not None for number in numbers)
    assert numbers == sorted(numbers, key=lambda number: number or 0)
    assert design.for_margin(pilot, 1e9, ALPHA) == (100, 100, 100)
    assert design.for_margin(pilot, 1e-9, ALPHA) == (None, None, None)


def test_no_number_of_rows_detects_nothing() -> None:
    design = Design(ALPHA, 1.0, held_out_rows)
    low, about, high = design.to_detect_again(Pilot((1.0, 1.0), (0.1, 0.1), (100, 100), 6.0, 0.1, 0.0), 0.8, ALPHA)
    assert low is not None
    assert about is not None
    assert low < about
    assert high is None


CASES = [
    (normal(1.0), normal(1.0), 1.0),
    (normal(1.0), normal(1.0), 3.0),
    (normal(0.5), normal(1.5), 0.5),
    (heavy, heavy, 1.0),
    (skewed, normal(1.0), 2.0),
]


@pytest.mark.parametrize(("source", "target", "ratio"), CASES)
def test_the_median_margin_is_the_one_asked_for(source: Draw, target: Draw, ratio: float) -> None:
    """Within 10 % of the margin, which is 20 % of the rows."""
    generator, margin = np.random.default_rng(1), 0.12
    pilot = pilot_of(units_of(source(generator, 20_000), target(generator, 20_000)))
    n = Design(ALPHA, ratio, held_out_rows).for_margin(pilot, margin, ALPHA)[1]
    assert n is not None
    tested = held_out_rows(n, round(ratio * n))
    margins = []
    for _ in range(60):
        units, select = (units_of(source(generator, n), target(generator, m)) for n, m in (tested, SELECT))
        margins.append(value_of(units) - bound_of(units, select))
    assert float(np.median(margins)) == pytest.approx(margin, rel=0.1)


@pytest.mark.parametrize(("source", "target", "ratio"), CASES)
def test_the_bound_is_above_zero_with_the_power_asked_for(source: Draw, target: Draw, ratio: float) -> None:
    """With 20 % fewer rows the power would be .71, with 25 % more .88; 240 runs have a standard error of .026."""
    generator, distance = np.random.default_rng(2), 0.25
    pilot = pilot_of(units_of(source(generator, 20_000), target(generator, 20_000)))
    n = Design(ALPHA, ratio, held_out_rows).to_detect(pilot, distance, 0.8, ALPHA)[1]
    assert n is not None
    tested = held_out_rows(n, round(ratio * n))
    offset = distance + float(source(generator, 1_000_000).mean() - target(generator, 1_000_000).mean())
    above = 0
    for _ in range(240):
        units, select = (
            units_of(source(generator, n), (target(generator, m) + offset).clip(*CLIP)) for n, m in (tested, SELECT)
        )
        above += bound_of(units, select) > 0
    assert 0.72 * 240 <= above <= 0.88 * 240


@pytest.mark.parametrize("source", [normal(1.0), skewed])
def test_the_range_holds_the_right_number(source: Draw) -> None:
    """The variance of the scores is known, so the right number is; each end misses it in about 5 % of the pilots."""
    generator, design = np.random.default_rng(3), Design(ALPHA, 1.0, held_out_rows)
    variance = float(source(generator, 2_000_000).var())
    right = Design.for_margin(design, Pilot((variance, variance), (0.0, 0.0), (1, 1), 10.0, 1.0, 0.0), 0.1, ALPHA)[1]
    assert right is not None
    missed = 0
    for _ in range(300):
        low, _, high = design.for_margin(pilot_of(units_of(source(generator, 400), source(generator, 400))), 0.1, ALPHA)
        assert low is not None
        assert high is not None
        missed += not low <= right <= high
    assert 0.04 * 300 <= missed <= 0.18 * 300


def test_shared_groups_vary_as_their_differences_do() -> None:
    generator = np.random.default_rng(4)

    def linked(groups: int) -> Units:
        common = generator.normal(size=groups)
        x, y = (common + 0.3 * generator.normal(size=groups) for _ in range(2))
        return units_of(x.clip(*CLIP), y.clip(*CLIP), "own")

    pilot = pilot_of(linked(20_000))
    assert pilot.variances == (pytest.approx(2 * 0.3**2, rel=0.05), 0.0)
    n = Design(ALPHA, 1.0, held_out_groups).for_margin(pilot, 0.1, ALPHA)[1]
    assert n is not None
    tested = held_out_groups(n, n)[0]
    margins = []
    for _ in range(60):
        units = linked(tested)
        margins.append(value_of(units) - bound_of(units, linked(100)))
    assert float(np.median(margins)) == pytest.approx(0.1, rel=0.1)


def test_a_plan_is_refused_where_some_groups_are_shared() -> None:
    scores = np.linspace(0, 1, 100)
    with pytest.raises(OptionError, match="groups: some are in both sets"):
        pilot_of(units_of(scores, scores, "mixed"))


@pytest.mark.parametrize("n", [100, 240, 450, 10_000])
def test_held_out_units_are_those_of_a_split(n: int) -> None:
    assert held_out_rows(n, 2 * n) == tuple(len(split_rows(rows, 0).test) for rows in (n, 2 * n))
    source, target, _ = split_groups(np.arange(n), np.arange(n, 3 * n), 0)
    expected = held_out_groups(n, 2 * n)
    error = math.sqrt(0.25 * n)  # of a hypergeometric count, at most
    assert len(source.test) == pytest.approx(expected[0], abs=4 * error)
    assert len(target.test) == pytest.approx(expected[1], abs=4 * error)
