"""Statements about rows and groups hold, whatever the layout, the sizes of groups and the order of the files."""

import logging
import math
import re
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from simulated_groups import NARROW, ORDERS, WIDE, Rows, as_given, equal_populations, of_all_groups, of_test_groups

from wdist import estimate_w1
from wdist.data.splits import GroupOrder
from wdist.errors import OptionError, SampleError
from wdist.inference import units as units_module
from wdist.inference.mean_bounds import difference_lower_bound
from wdist.inference.registry import METHODS
from wdist.inference.units import (
    Units,
    layout_of,
    lower_bound_of,
    p_value_of,
    units_of_groups,
    units_of_rows,
    value_of,
)

ALPHA = 0.05
LAYOUTS = {"apart": 0.0, "own": 1.0, "mixed": 0.5}  # share of groups in both sets
GROUP_METHODS = [name for name, method in METHODS.items() if not method.needs_independent_sets]


def allowed(alpha: float, runs: int) -> int:
    """Errors that an exact method exceeds once in 10,000 studies."""
    return int(stats.binom.ppf(0.9999, runs, alpha))


def errors(draw: Callable[[int], Units], runs: int, low: float = WIDE[0], high: float = WIDE[1]) -> tuple[int, int]:
    """How often the bound of equal populations is above 0, and how often their p-value is at most ALPHA."""
    above = small = 0
    for seed in range(runs):
        units = draw(seed)
        above += lower_bound_of(units, low, high, ALPHA, "betting", None) > 0
        small += p_value_of(units, low, high, ALPHA, None, seed) <= ALPHA
    return above, small


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("groups", "runs"), [(400, 300), (1_000, 200)])
def test_groups_in_both_files_that_are_far_from_the_others(groups: int, runs: int, order: str) -> None:
    def draw(seed: int) -> Units:
        return of_test_groups(equal_populations(np.random.default_rng([seed, groups]), groups, 0.2), order, seed)

    assert max(errors(draw, runs)) <= allowed(ALPHA, runs)


@pytest.mark.parametrize("shared", [0.0, 0.05, 0.2, 0.5, 0.8, 0.95, 1.0])
def test_shares_of_groups_in_both_files(shared: float) -> None:
    def draw(seed: int) -> Units:
        return of_test_groups(equal_populations(np.random.default_rng([seed, 2]), 200, shared), "descending", seed)

    assert max(errors(draw, 200)) <= allowed(ALPHA, 200)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_coins_use_up_most_of_the_error(layout: str) -> None:
    """Groups score 0 or 1, as a coin falls. Bets at full error are wrong in 3 %, so that much less care would show."""

    def draw(seed: int) -> Units:
        generator = np.random.default_rng([seed, 13])
        both = round(LAYOUTS[layout] * 100)
        codes = np.arange(100), np.concatenate([np.arange(both), np.arange(100, 200 - both)])
        x, y = (generator.random((2, 100)) < 0.5).astype(float)
        return of_all_groups(((x, codes[0]), (y, codes[1])), layout, seed)  # type: ignore[arg-type]

    found = errors(draw, 1_000, 0, 1)
    assert max(found) <= allowed(ALPHA, 1_000)
    assert min(found) >= 10 or layout == "mixed"  # two bounds at half the error each leave more of it


@pytest.mark.parametrize("shared", LAYOUTS.values(), ids=LAYOUTS)
def test_groups_of_1_to_1000_rows(shared: float) -> None:
    def draw(seed: int) -> Units:
        files = equal_populations(np.random.default_rng([seed, 3]), 150, shared, largest=1_000)
        return of_test_groups(files, "by column", seed)

    assert max(errors(draw, 80)) <= allowed(ALPHA, 80)


def small_against_large(seed: int) -> tuple[Rows, Rows]:
    """60 groups of 1 row against 600 groups of 50 rows; all rows are independent draws of one population."""
    generator = np.random.default_rng([seed, 4])
    groups = np.arange(60), 60 + np.repeat(np.arange(600), 50)
    x, y = ((generator.standard_normal(len(codes)).clip(-4, 4), codes) for codes in groups)
    return x, y


def test_means_of_groups_whose_sizes_differ() -> None:
    """Permuting such means is wrong: P(p <= .05) is .31, because those of 60 rows alone vary much more."""
    above, small = errors(lambda seed: of_all_groups(small_against_large(seed), "apart", seed), 400, -4, 4)
    assert max(above, small) <= allowed(ALPHA, 400)
    assert small <= allowed(0.005, 400)  # .0005: bets do not use up the error


@pytest.mark.parametrize("layout", LAYOUTS)
def test_p_values_are_uniform_or_conservative(layout: str) -> None:
    runs = 400
    p = np.array(
        [
            p_value_of(of_test_groups(files, "by label", seed), *NARROW, ALPHA, None, seed)
            for seed in range(runs)
            for files in [
                equal_populations(np.random.default_rng([seed, 5]), 200, LAYOUTS[layout], far=1, interval=NARROW)
            ]
        ]
    )
    for level in (0.01, 0.05, 0.2, 0.5):
        assert (p <= level).sum() <= allowed(level, runs)
    assert 0 < p.min() < 0.5  # it does move
    assert p.max() == 1.0


def two_points(layout: str, seed: int) -> tuple[Rows, Rows]:
    """Scores 0 and 1 in 10 % and 40 % of the groups: the mean difference of .3 is W1 itself, no slack anywhere."""
    generator = np.random.default_rng([seed, 6])
    n, m = (90, 200) if layout == "apart" else (120, 120)
    both = {"apart": 0, "own": n, "mixed": n // 2}[layout]
    u = generator.random(n + m - both)
    codes = np.arange(n), np.concatenate([np.arange(both), np.arange(n, n + m - both)])
    # in a shared group the two scores are linked: the lowest u give the 1 on either side
    return ((u[codes[0]] < 0.1).astype(float), codes[0]), ((u[codes[1]] < 0.4).astype(float), codes[1])


@pytest.mark.parametrize("method", GROUP_METHODS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_bounds_hold_where_scores_attain_the_distance(layout: str, method: str) -> None:
    runs, alpha, wrong, found = 600, 0.1, 0, 0
    for seed in range(runs):
        units = of_all_groups(two_points(layout, seed), layout, seed)  # type: ignore[arg-type]
        bound = lower_bound_of(units, 0, 1, alpha, method, None)
        wrong += bound > 0.3
        found += bound > 0
    assert wrong <= allowed(alpha, runs)
    assert found > 0.5 * runs or method == "empirical_bernstein"


@pytest.mark.parametrize("method", ["betting", "paired_betting"])
@pytest.mark.parametrize("layout", ["apart", "own"])
def test_one_bet_on_differences_finds_more_than_two_on_means(layout: str, method: str) -> None:
    for seed in range(8):
        generator = np.random.default_rng([seed, 7])
        files = equal_populations(generator, 2_000, LAYOUTS[layout], far=0, shift=1, interval=NARROW)
        units = of_test_groups(files, "by label", seed)
        bound = lower_bound_of(units, *NARROW, ALPHA, method, None)
        assert 0 < difference_lower_bound(units.fx, units.fy, *NARROW, ALPHA) < bound < value_of(units)
        assert p_value_of(units, *NARROW, ALPHA, None, seed) < 1e-3


def test_p_values_of_mixed_groups_see_a_difference_in_their_direction_only() -> None:
    files = equal_populations(np.random.default_rng(8), 600, 0.5, far=0, shift=1, interval=NARROW)
    up, down = (of_test_groups(pair, "by label", 0) for pair in (files, files[::-1]))
    assert p_value_of(up, *NARROW, ALPHA, None, 0) < 1e-3
    assert p_value_of(down, *NARROW, ALPHA, None, 0) == 1.0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bound_and_p_value_of_groups_agree_at_the_same_error(layout: str) -> None:
    seen = set()
    for seed in range(60):
        generator, shift = np.random.default_rng([seed, 9]), {"apart": 0.35, "own": 0.28, "mixed": 0.5}[layout]
        files = equal_populations(generator, 400, LAYOUTS[layout], far=0, shift=shift, interval=NARROW)
        units = of_test_groups(files, "by label", seed)
        is_found = lower_bound_of(units, *NARROW, ALPHA, "betting", None) > 0
        assert is_found == (p_value_of(units, *NARROW, ALPHA, None, seed) <= ALPHA)
        seen.add(is_found)
    assert seen == {True, False}


def test_the_p_value_of_mixed_groups_is_the_supremum_over_common_means() -> None:
    """Against a direct search on a grid, with the capital written out."""
    generator = np.random.default_rng(10)
    x, y = generator.beta(2, 4, 80), generator.beta(3, 4, 70)

    def largest_capital(draws: np.ndarray, m: float) -> float:
        mean_sum, square_sum, capital, largest = 0.5, 0.25, 1.0, 1.0
        for i, draw in enumerate(draws):
            stake = min(math.sqrt(2 * math.log(2 / ALPHA) / (len(draws) * square_sum / (i + 1))), 0.75 / m)
            capital *= 1 + stake * (draw - m)
            largest = max(largest, capital)
            mean_sum += draw
            square_sum += (draw - mean_sum / (i + 2)) ** 2
        return largest

    on_grid = [1 / max(largest_capital(y, mu), largest_capital(1 - x, 1 - mu)) for mu in np.linspace(0.2, 0.6, 401)]
    p = p_value_of(Units(as_given(x), as_given(y), "mixed"), 0, 1, ALPHA, None, 0)
    assert 2 * max(on_grid) <= p <= 2 * max(on_grid) * 1.1
    assert p < 1


# --- layouts -------------------------------------------------------------------------------------------------------


def test_layouts() -> None:
    assert layout_of(np.array([1, 1, 2]), np.array([3])) == "apart"
    assert layout_of(np.array([1, 1, 2]), np.array([2, 1])) == "own"
    assert layout_of(np.array([1, 2]), np.array([1])) == "mixed"
    assert layout_of(np.array([1]), np.array([1, 2])) == "mixed"


def test_units_that_do_not_fit_their_layout_are_refused() -> None:
    scores, groups = as_given(np.zeros(3)), np.arange(3)
    for codes, layout in ((groups, "apart"), (groups + 1, "own"), (groups[::-1], "own"), (groups, "rows")):
        with pytest.raises(OptionError, match=r"layout|test groups"):
            units_of_groups(scores, scores, groups, codes, layout)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="codes of shape"):
        units_of_groups(scores, scores, groups, np.arange(4), "apart")
    with pytest.raises(OptionError, match="needs SeededScores"):
        units_of_rows(np.zeros(3), scores)  # type: ignore[arg-type]
    outside = Units(as_given(np.array([0.0, 1.5])), as_given(np.array([0.0, 1.0])), "apart")
    for statement in (lower_bound_of, p_value_of):
        with pytest.raises(OptionError, match="outside"):
            statement(outside, 0, 1, ALPHA, *(("betting", None) if statement is lower_bound_of else (None, 0)))


@pytest.mark.parametrize("method", METHODS)
def test_methods_of_independent_sets_are_refused_for_mixed_groups_only(method: str) -> None:
    rows = np.random.default_rng(0).normal(size=(300, 1))
    quick = {"critic": "affine", "baseline_rows": 0, "empirical": False, "method": method}
    labels = np.arange(300)
    for others in (labels, labels + 300):
        result = estimate_w1(rows, rows + 3, groups=(labels, others), **quick)
        assert 0 < result.lower_bound <= result.value
        assert result.p_value is not None
        assert result.p_value < ALPHA
    if METHODS[method].needs_independent_sets:
        with pytest.raises(OptionError, match=r"some groups are in both sets .* use betting"):
            estimate_w1(rows, rows + 3, groups=(labels, labels + 100), **quick)
        units = Units(as_given(np.zeros(3)), as_given(np.zeros(3)), "mixed")
        with pytest.raises(OptionError, match="use betting"):
            lower_bound_of(units, 0, 1, ALPHA, method, None)
    else:
        assert estimate_w1(rows, rows + 9, groups=(labels, labels + 100), **quick).lower_bound > 0


# --- the split -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [0.0, 0.2, 1.0])
def test_groups_come_in_one_random_order(shared: float) -> None:
    """The place of a group in the test part says nothing about whether the other set has it, too."""
    places = []
    for seed in range(300):
        (_, codes_x), (_, codes_y) = equal_populations(np.random.default_rng(0), 200, shared)
        one, other, (codes_x, codes_y) = GroupOrder.of((codes_x, codes_y), seed).pair()
        tests = codes_x[one.test], codes_y[other.test]
        orders = [codes[np.sort(np.unique(codes, return_index=True)[1])] for codes in tests]
        in_both = np.isin(orders[0], orders[1])
        np.testing.assert_array_equal(orders[0][in_both], orders[1][np.isin(orders[1], orders[0])])
        places += [np.flatnonzero(in_both).mean() / (len(in_both) - 1)] if 0 < in_both.sum() < len(in_both) else []
        assert sum(np.count_nonzero(np.diff(codes)) for codes in tests) == sum(map(len, orders)) - 2
        assert set(tests[0]).isdisjoint(codes_x[one.train])
        assert set(tests[0]).isdisjoint(codes_y[other.select])
    if places:
        assert abs(np.mean(places) - 0.5) < 4 * np.std(places) / math.sqrt(len(places))


def test_a_split_of_groups_does_not_depend_on_the_order_of_the_file() -> None:
    files = equal_populations(np.random.default_rng(1), 300, 0.3)
    found = []
    for order in ORDERS:
        units = of_test_groups(files, order, 5)
        found.append((units.fx.values, units.fy.values))
    for fx, fy in found[1:]:
        np.testing.assert_allclose(fx, found[0][0], rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(fy, found[0][1], rtol=1e-13, atol=1e-13)


def test_too_few_groups_of_a_side_in_a_part() -> None:
    """Chance may put fewer than 3 of the 100 groups of one set into the select part; no other split is tried then."""
    said = []
    for seed in range(1_500):
        try:
            source, _, _ = GroupOrder.of((np.arange(100), np.arange(100, 1_100)), seed).pair()
        except SampleError as error:
            said.append(str(error))
        else:
            assert len(source.train) >= 10
            assert len(source.select) >= 3
            assert len(source.test) >= 25
    assert 0 < len(said) < 20  # about 2 in 1,000
    pattern = r"source: only [012] of its 100 groups came into the select part, where 3 are needed; give more groups"
    assert all(re.match(pattern, sentence) for sentence in said)
    with pytest.raises(SampleError, match="source: 99 groups are too few; at least 100"):
        GroupOrder.of((np.arange(99), np.arange(1_000)), 0).pair()


# --- a bound is at most its value ----------------------------------------------------------------------------------


def test_a_bound_above_its_value_is_lowered_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    x, y = np.sort(np.random.default_rng(0).random((2, 400)), axis=1)
    units = units_of_rows(as_given(x), as_given(y[::-1]))  # as no split would order them
    counted = units_module.bounds_above_value
    assert difference_lower_bound(units.fx, units.fy, 0, 1, ALPHA) > value_of(units)
    with caplog.at_level(logging.WARNING, logger="wdist"):
        assert lower_bound_of(units, 0, 1, ALPHA, "betting", None) == value_of(units)
    assert units_module.bounds_above_value == counted + 1
    assert "was above its value" in caplog.text


def test_in_random_order_a_bound_is_hardly_ever_above_its_value() -> None:
    counted, runs, alpha = units_module.bounds_above_value, 1_000, 0.1
    for seed in range(runs):
        x, y = np.random.default_rng([seed, 11]).random((2, 100))
        units = units_of_rows(as_given(x), as_given(y))
        lower_bound_of(units, 0, 1, alpha, "paired_betting", None)
    assert units_module.bounds_above_value - counted <= allowed(alpha**2, runs)


def test_a_common_offset_costs_no_accuracy() -> None:
    x, y = np.round(np.random.default_rng(12).random((2, 300)) * 2**20) / 2**20  # exact after the offset, too
    here, there = (units_of_rows(as_given(x + offset), as_given(y + offset)) for offset in (0.0, 2.0**30))
    assert value_of(there) == value_of(here)
    for method in METHODS:
        bounds = [lower_bound_of(u, low, low + 1, ALPHA, method, None) for u, low in ((here, 0.0), (there, 2.0**30))]
        assert bounds[0] == pytest.approx(bounds[1], abs=1e-9)
