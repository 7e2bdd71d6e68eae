"""Bounds and p-values hold for exact scores, although float64 shows others."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from simulated_groups import as_given

from wdist.data.splits import HeldOutRows, split_rows
from wdist.inference.base import MeanMethod
from wdist.inference.mean_bounds import difference_lower_bound, mean_lower_bound, mean_upper_bound
from wdist.inference.registry import METHODS
from wdist.inference.simultaneous import column_lower_bounds, steepest
from wdist.inference.units import Layout, Units, lower_bound_of, p_value_of
from wdist.transport.sliced import fit_potential

ALPHA, N = 0.05, 2_000
STAIRCASE = 0.2  # how far float64 moves scores, up on one side and down on the other
LAYOUTS: tuple[Layout, ...] = ("rows", "apart", "own", "mixed")


def moved(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of equal populations, as a critic whose arithmetic favours the target shows them."""
    generator = np.random.default_rng(seed)
    x, y = 0.2 + 0.6 * generator.random((2, N))
    return x - STAIRCASE, y + STAIRCASE


def bounds(method: str, layout: Layout, rounding: float) -> int:
    found = 0
    for seed in range(20):
        x, y = moved(seed)
        units = Units(as_given(x, rounding), as_given(y, rounding), layout)
        found += lower_bound_of(units, 0, 1, ALPHA, method, None) > 0
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("method", METHODS)
def test_no_bound_shows_what_rounding_alone_made(method: str, layout: Layout) -> None:
    if layout == "mixed" and METHODS[method].needs_independent_sets:
        return
    assert bounds(method, layout, STAIRCASE) <= stats.binom.ppf(0.9999, 20, ALPHA)
    assert bounds(method, layout, 0.0) == 20  # the simulation can fail


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout != "rows"])
def test_no_p_value_of_groups_shows_what_rounding_alone_made(layout: Layout) -> None:
    small = {}
    for rounding in (STAIRCASE, 0.0):
        units = [Units(*(as_given(side, rounding) for side in moved(seed)), layout) for seed in range(20)]
        small[rounding] = sum(p_value_of(u, 0, 1, ALPHA, None, 0) <= ALPHA for u in units)
    assert small[0.0] == 20
    assert small[STAIRCASE] <= stats.binom.ppf(0.9999, 20, ALPHA)


@pytest.mark.parametrize("method", [name for name, m in METHODS.items() if isinstance(m.load(), MeanMethod)])
def test_bounds_of_one_mean_move_by_the_rounding(method: str) -> None:
    x = 0.2 + 0.6 * np.random.default_rng(0).random(500)
    exact = mean_lower_bound(as_given(x), 0, 1, ALPHA, method), mean_upper_bound(as_given(x), 0, 1, ALPHA, method)
    rounded = [bound(as_given(x, 0.01), 0, 1, ALPHA, method) for bound in (mean_lower_bound, mean_upper_bound)]
    assert rounded[0] == pytest.approx(exact[0] - 0.01, abs=1e-3)  # stakes are a little different, too
    assert rounded[1] == pytest.approx(exact[1] + 0.01, abs=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_honest_rounding_costs_next_to_nothing(method: str) -> None:
    x, y = np.random.default_rng(1).random((2, 3_000))
    y += 0.5
    plain, carried = (
        difference_lower_bound(as_given(x, r), as_given(y, r), 0, 1.5, ALPHA, method) for r in (0.0, 1.6e-12)
    )
    assert plain - 1e-11 <= carried <= plain


# --- single columns ------------------------------------------------------------------------------------------------


def columns(draw: Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]], error: float, runs: int) -> int:
    """How often some column of equal populations has a bound above 0."""
    found = 0
    for seed in range(runs):
        x, y = draw(np.random.default_rng(seed))
        splits = [split_rows(len(x), seed, side) for side in (0, 1)]
        tests = [
            HeldOutRows(table[np.sort(s.test)], np.sort(s.test), np.full(len(s.test), error), s)
            for table, s in zip((x, y), splits, strict=True)
        ]
        fits = [table[s.train] for table, s in zip((x, y), splits, strict=True)]
        _, lower = column_lower_bounds(*fits, *tests, ALPHA)
        found += bool((lower > 0).any())
    return found


def test_columns_whose_numbers_were_rounded() -> None:
    """At 1e6, neighbours in float32 are 1/16 apart: one file rounded down, the other up."""
    step = 1 / 16

    def draw(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        x, y = 1e6 + 0.5 * generator.random((2, 1_000, 2))
        return np.floor(x / step) * step, np.ceil(y / step) * step

    assert columns(draw, step, 20) <= stats.binom.ppf(0.9999, 20, ALPHA)
    assert columns(draw, 0.0, 20) >= 15  # the simulation can fail


def test_values_and_bounds_of_columns_are_divided_by_a_slope_above_1() -> None:
    """Knots 1e-16 of their size apart: the slopes of the potential are not 1."""
    generator = np.random.default_rng(3)
    x, y = 1e12 + generator.random(4_000), 1e12 + 0.5 + generator.random(4_000)
    knots, values = fit_potential(x, y, 4.0)
    slopes = [abs((b - a) / (d - c)) for a, b, c, d in zip(values, values[1:], knots, knots[1:], strict=False)]
    assert steepest(knots, values) >= max(slopes)
