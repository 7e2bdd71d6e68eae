"""Bounds hold as often as they say: simulated with known means, fixed seeds and binomial bands."""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy import stats

from wdist.data.seeded import SeededScores
from wdist.data.splits import split_rows
from wdist.errors import OptionError, SampleError
from wdist.inference import betting, mean_bounds, permutation_test
from wdist.inference.base import MeanMethod
from wdist.inference.registry import METHODS
from wdist.inference.units import refuse_layout
from wdist.streams import Purpose, stream

RUNS = 1_000
MEAN_METHODS = [name for name, method in METHODS.items() if isinstance(method.load(), MeanMethod)]
Draw = Callable[[np.random.Generator, int], np.ndarray]

# distributions on [0, 1] with their means: rare events and two points are the hard cases
DISTRIBUTIONS: dict[str, tuple[Draw, float]] = {
    "uniform": (lambda g, n: g.random(n), 0.5),
    "coin": (lambda g, n: (g.random(n) < 0.5).astype(float), 0.5),
    "rare": (lambda g, n: (g.random(n) < 0.02).astype(float), 0.02),
    "common": (lambda g, n: (g.random(n) < 0.98).astype(float), 0.98),
    "beta": (lambda g, n: g.beta(0.2, 3.0, n), 0.2 / 3.2),
}


def seeded(values: ArrayLike) -> SeededScores:
    return SeededScores.shuffled(values, 0)


def as_given(values: ArrayLike) -> SeededScores:
    rows = np.arange(len(np.asarray(values)))
    return SeededScores.of(values, rows, rows)


def allowed(alpha: float, runs: int = RUNS) -> int:
    """Violations that an exact method exceeds once in 10,000 studies."""
    return int(stats.binom.ppf(0.9999, runs, alpha))


@pytest.mark.parametrize("method", MEAN_METHODS)
@pytest.mark.parametrize(
    ("n", "name"),
    [
        *((50, name) for name in DISTRIBUTIONS),
        *((400, name) for name in ("rare",)),
        *(pytest.param(400, name, marks=pytest.mark.slow) for name in sorted(DISTRIBUTIONS.keys() - {"rare"})),
    ],
)
def test_lower_bound_is_violated_no_more_often_than_alpha(name: str, n: int, method: str) -> None:
    draw, mean = DISTRIBUTIONS[name]
    alpha, generator = 0.05, np.random.default_rng([n, len(name)])
    lower = [mean_bounds.mean_lower_bound(seeded(draw(generator, n)), 0, 1, alpha, method) for _ in range(RUNS)]
    assert sum(bound > mean for bound in lower) <= allowed(alpha)


def test_a_misleading_prior_does_not_touch_validity() -> None:
    draw, mean = DISTRIBUTIONS["rare"]
    for prior in ((0.9, 0.001), (0.0, 0.5), (2.0, 1e-9)):
        generator = np.random.default_rng(11)
        lower = [
            mean_bounds.mean_lower_bound(seeded(draw(generator, 100)), 0, 1, 0.05, prior=prior) for _ in range(RUNS)
        ]
        assert sum(bound > mean for bound in lower) <= allowed(0.05)


@pytest.mark.parametrize("method", METHODS)
def test_difference_bound_with_oracle_scores(method: str) -> None:
    alpha, generator, truth = 0.1, np.random.default_rng(0), 0.3
    violations = 0
    for _ in range(RUNS):
        fx = np.clip(generator.standard_normal(200), -3, 3)
        fy = np.clip(generator.standard_normal(120), -3, 3) + truth
        violations += mean_bounds.difference_lower_bound(seeded(fx), seeded(fy), -3, 3 + truth, alpha, method) > truth
    assert violations <= allowed(alpha)


@pytest.mark.parametrize("method", METHODS)
def test_mixed_groups_are_refused_where_sets_must_be_independent(method: str) -> None:
    entry = METHODS[method]
    assert (entry.name, entry.help[-1]) == (method, ".")
    assert (refuse_layout("mixed", method) is not None) == entry.needs_independent_sets
    assert refuse_layout("apart", method) is refuse_layout("own", method) is None


def test_a_method_of_differences_bounds_no_single_mean() -> None:
    with pytest.raises(OptionError, match="not a mean"):
        mean_bounds.mean_lower_bound(seeded([0.1, 0.2]), 0, 1, 0.05, "paired_betting")


@pytest.mark.parametrize(("n", "m"), [(200, 200), (90, 400), (500, 60)])
def test_paired_bound_is_valid_where_it_could_fail(n: int, m: int) -> None:
    """Two-point scores whose mean difference is W1 itself, no slack anywhere; equal and unequal sizes."""
    alpha, generator, violations = 0.1, np.random.default_rng([n, m]), 0
    for _ in range(RUNS):
        fx, fy = (generator.random(n) < 0.1).astype(float), (generator.random(m) < 0.4).astype(float)
        violations += mean_bounds.difference_lower_bound(seeded(fx), seeded(fy), 0, 1, alpha, "paired_betting") > 0.3
    assert violations <= allowed(alpha)


def test_pairs_use_both_sides_in_their_given_order() -> None:
    differences, prior = mean_bounds.paired_differences(
        as_given([1.0, 2.0]), as_given([3.0, 5.0, 4.0, 4.0, 9.0]), 0, 9, ((1, 1), (4, 2))
    )
    np.testing.assert_array_equal(differences.values, [4 - 1, (4 + 4 + 9) / 3 - 2])
    assert prior == (3, pytest.approx(math.sqrt(1 + 4 * 2 / 5)))
    with pytest.raises(OptionError, match="clipped"):
        mean_bounds.paired_differences(seeded([1.0, 2.0]), seeded([3.0, 5.0]), 0, 4, None)


def test_pairing_narrows_the_margin_by_a_third() -> None:
    generator = np.random.default_rng(15)
    x, y = generator.beta(2, 2, 5_000), generator.beta(2, 2, 5_000)
    prior = ((0.5, float(x.std())), (0.5, float(y.std())))
    margins = {
        method: y.mean()
        - x.mean()
        - mean_bounds.difference_lower_bound(seeded(x), seeded(y), 0, 1, 0.05, method, prior)
        for method in METHODS
    }
    # sqrt(2 ln 20) sqrt(2) = 3.46 against sqrt(2 ln 40) 2 = 5.43 deviations, both up to early stops of the maximum
    assert margins["paired_betting"] < 0.8 * margins["betting"]


def test_violations_do_happen_so_the_simulation_can_fail() -> None:
    generator = np.random.default_rng(1)
    scores = [generator.random(400) for _ in range(RUNS)]
    central_limit = [x.mean() - 1.0 * x.std() / 20 for x in scores]  # one standard error: wrong 16 % of the time
    assert sum(bound > 0.5 for bound in central_limit) > allowed(0.05)


def test_descending_order_is_the_trap_and_the_seeded_permutation_avoids_it() -> None:
    """A betting bound over re-sorted rows exceeds the mean every time: the order must not depend on the scores."""
    trapped = safe = 0
    for seed in range(60):
        descending, split = np.sort(np.random.default_rng(seed).random(1_000))[::-1], split_rows(1_000, seed)
        rows = np.sort(split.test)  # as a file is read
        trapped += mean_bounds.mean_lower_bound(as_given(descending[rows]), 0, 1, 0.05) > 0.5
        safe += mean_bounds.mean_lower_bound(split.test_scores(descending[rows], rows), 0, 1, 0.05) > 0.5
    assert trapped == 60
    assert safe <= allowed(0.05, 60)


def test_betting_agrees_with_a_direct_evaluation_of_the_capital() -> None:
    x, alpha = np.random.default_rng(2).beta(2, 5, 300), 0.05
    bound = mean_bounds.mean_lower_bound(as_given(x), 0, 1, alpha)

    def capital(m: float) -> float:
        mean_sum, square_sum, log_capital, best = 0.5, 0.25, 0.0, -math.inf
        for i, value in enumerate(x):
            variance = square_sum / (i + 1)
            stake = min(math.sqrt(2 * math.log(1 / alpha) / (len(x) * variance)), 0.75 / m)
            log_capital += math.log1p(stake * (value - m))
            best = max(best, log_capital)
            mean_sum += value
            square_sum += (value - mean_sum / (i + 2)) ** 2
        return best

    assert capital(bound) >= math.log(1 / alpha)
    assert capital(bound + 1e-9) < math.log(1 / alpha)


@pytest.mark.parametrize("n", [50, 1_000, 100_000])
@pytest.mark.parametrize("name", [*DISTRIBUTIONS, "ones", "descending"])
def test_betting_stops_next_to_its_boundary_after_few_passes(
    name: str, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[float, float]] = []
    plain = betting.Bets.log_capital

    def counted(bets: betting.Bets, m: float) -> float:
        tried.append((m, plain(bets, m)))
        return tried[-1][1]

    monkeypatch.setattr(betting.Bets, "log_capital", counted)
    generator = np.random.default_rng(2)
    x = {"ones": np.ones(n), "descending": np.sort(generator.random(n))[::-1]}.get(name)
    x = DISTRIBUTIONS[name][0](generator, n) if x is None else x
    bound, alpha = mean_bounds.mean_lower_bound(as_given(x), 0, 1, 0.05), 0.05
    assert len(tried) <= 30
    if bound > 0:
        assert max(m for m, log_capital in tried if log_capital >= math.log(1 / alpha)) == pytest.approx(
            bound, abs=1e-15
        )
        assert min(m for m, log_capital in tried if log_capital < math.log(1 / alpha)) <= bound + 1.001e-9


def test_empirical_bernstein_closed_form() -> None:
    x = np.array([0.0, 0.5, 1.0, 0.5] * 50)
    log_term = math.log(2 / 0.05)
    expected = 0.5 - math.sqrt(2 * x.var(ddof=1) * log_term / 200) - 7 * log_term / (3 * 199)
    bound = mean_bounds.mean_lower_bound(seeded(x), 0, 1, 0.05, "empirical_bernstein")
    assert 0 <= expected - bound <= 2e-13  # less what rounding may have added


def test_betting_is_tighter_than_bernstein_and_never_tighter_than_gauss_by_much() -> None:
    x = np.clip(0.5 + 0.1 * np.random.default_rng(3).standard_normal(5_000), 0, 1)
    margins = {
        method: x.mean() - mean_bounds.mean_lower_bound(seeded(x), 0, 1, 0.025, method) for method in MEAN_METHODS
    }
    assert margins["betting"] < 0.7 * margins["empirical_bernstein"]
    # Ville with a fixed stake costs sqrt(2 ln 40) = 2.72 deviations where the normal quantile is 1.96
    assert margins["betting"] < 1.1 * 2.72 * x.std() / math.sqrt(5_000)


@given(
    shift=st.floats(-1e3, 1e3),
    factor=st.floats(1e-3, 1e3),
    values=st.lists(st.floats(0, 1), min_size=2, max_size=60),
)
@settings(max_examples=60, deadline=None)
def test_bounds_move_with_the_units(shift: float, factor: float, values: list[float]) -> None:
    x = np.array(values)
    low, high = shift, shift + factor
    moved = np.clip(shift + factor * x, low, high)
    plain = mean_bounds.mean_lower_bound(seeded(x), 0, 1, 0.05)
    bound = mean_bounds.mean_lower_bound(seeded(moved), low, high, 0.05)
    # each bound is up to 1e-9 of the interval below its boundary; the moved scores are rounded at the shift's size
    assert bound == pytest.approx(shift + factor * plain, abs=2e-9 * factor + 1e-12 * abs(shift))
    assert low <= bound <= mean_bounds.mean_upper_bound(seeded(moved), low, high, 0.05) <= high


def test_upper_bound_mirrors_the_lower() -> None:
    x = np.random.default_rng(4).beta(2, 5, 500)
    lower = mean_bounds.mean_lower_bound(seeded(1 - x), 0, 1, 0.05, prior=(0.7, 0.2))
    assert mean_bounds.mean_upper_bound(seeded(x), 0, 1, 0.05, prior=(0.3, 0.2)) == pytest.approx(1 - lower, abs=1e-9)


def test_a_point_interval_is_its_own_bound() -> None:
    assert mean_bounds.mean_lower_bound(seeded([2.0, 2.0]), 2.0, 2.0, 0.05) == 2.0
    assert mean_bounds.difference_lower_bound(seeded([2.0, 2.0]), seeded([2.0, 2.0]), 2.0, 2.0, 0.05) == 0.0


@pytest.mark.parametrize(
    ("values", "low", "high", "alpha", "method", "message"),
    [
        ([0.1, 1.2], 0, 1, 0.05, "betting", "clip them"),
        ([0.1, math.nan], 0, 1, 0.05, "betting", "clip them"),
        ([0.1, 0.2], 1, 0, 0.05, "betting", "interval"),
        ([0.1, 0.2], 0, math.inf, 0.05, "betting", "interval"),
        ([0.1, 0.2], 0, 1, 0.0, "betting", "alpha"),
        ([0.1, 0.2], 0, 1, 0.05, "bootstrap", "unknown"),
        ([0.1], 0, 1, 0.05, "betting", "at least 2"),
    ],
)
def test_refusals(values: list[float], low: float, high: float, alpha: float, method: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        mean_bounds.mean_lower_bound(seeded(values), low, high, alpha, method)


@pytest.mark.parametrize("method", METHODS)
def test_arrays_give_no_bound(method: str) -> None:
    array: Any = np.linspace(0, 1, 100)
    bound = METHODS[method].load()
    calls = [lambda: bound.difference_lower_bound(array, seeded(array), 0, 1, 0.05, None)]
    calls += [lambda: bound.independent_lower_bound(seeded(array), array, 0, 1, 0.05, None)]
    calls += [lambda: bound.linked_lower_bound(array, 1, 0.05, None)]
    if isinstance(bound, MeanMethod):
        calls += [lambda: bound.mean_lower_bound(array, 0, 1, 0.05, None)]
        calls += [lambda: bound.mean_upper_bound(list(array), 0, 1, 0.05, None)]  # type: ignore[arg-type]
    for call in calls:
        with pytest.raises(OptionError, match="needs SeededScores"):
            call()


def test_ten_million_values_in_seconds() -> None:
    x = np.random.default_rng(5).random(10_000_000)
    start = time.perf_counter()
    bound = mean_bounds.mean_lower_bound(seeded(x), 0, 1, 0.025)
    assert time.perf_counter() - start < 30  # about 4 s alone on two cores; the rest is for a busy machine
    margin = math.sqrt(2 * math.log(40) / 12 / len(x))
    # the running maximum may have been reached early, hence the wide lower end
    assert 0.3 * margin < x.mean() - bound < 1.1 * margin


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("confidence", [0.9, 0.99, 1 - 1e-9])
def test_rows_needed_is_where_perfect_separation_starts_to_count(confidence: float, method: str) -> None:
    needed = mean_bounds.rows_needed(1 - confidence, method)

    def bound(n: int) -> float:
        prior = ((0.0, 1e-3), (1.0, 1e-3))
        return mean_bounds.difference_lower_bound(
            seeded(np.zeros(n)), seeded(np.ones(n)), 0, 1, 1 - confidence, method, prior
        )

    assert bound(needed) > 0
    if needed > 6:
        assert bound(needed - 4) <= 0


def test_confidence_that_the_rows_cannot_carry() -> None:
    mean_bounds.check_confidence(0.95, 50, 50)
    with pytest.raises(
        SampleError, match=r"target: 50 test rows are too few .* even perfectly separated sets need \d+"
    ):
        mean_bounds.check_confidence(1 - 1e-14, 1_000, 50)
    with pytest.raises(OptionError, match="outside"):
        mean_bounds.check_confidence(1.0, 50, 50)


# --- permutation test ----------------------------------------------------------------------------------------------


def test_p_values_are_uniform_or_conservative_under_the_null() -> None:
    generator = np.random.default_rng(6)
    for draw in (lambda n: generator.standard_normal(n), lambda n: generator.integers(0, 3, n).astype(float)):
        p = np.array([permutation_test.permutation_p_value(draw(60), draw(80), seed, 199) for seed in range(RUNS)])
        for level in (0.01, 0.05, 0.2, 0.5):
            assert (p <= level).sum() <= allowed(level)
    assert (p <= 0.5).mean() > 0.3  # ties make discrete scores conservative, not useless


def test_p_value_sees_a_shift_in_its_direction_only() -> None:
    generator = np.random.default_rng(7)
    x, y = generator.standard_normal(300), generator.standard_normal(300) + 1
    assert permutation_test.permutation_p_value(x, y, 0) == 1 / 10_000
    assert permutation_test.permutation_p_value(y, x, 0) == 1.0


def test_p_value_counts_the_observed_statistic_and_ties() -> None:
    assert permutation_test.permutation_p_value(np.full(60, 0.1), np.full(60, 0.1), 0, 99) == 1.0


def test_p_value_matches_the_exact_test() -> None:
    generator = np.random.default_rng(8)
    x, y = generator.standard_normal(7), generator.standard_normal(6) + 0.8
    exact = stats.permutation_test(
        (y, x), lambda a, b: a.mean() - b.mean(), alternative="greater", n_resamples=np.inf
    ).pvalue
    p = permutation_test.permutation_p_value(x, y, 0, 20_000)
    assert abs(p - exact) < 4 * math.sqrt(exact * (1 - exact) / 20_000) + 1e-4


def test_cyclic_shifts_are_as_uniform_as_shuffles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permutation_test, "CYCLIC_ROWS", 50)  # so that a thousand tests are affordable
    generator = np.random.default_rng(9)
    for draw in (lambda n: generator.standard_normal(n), lambda n: generator.integers(0, 3, n).astype(float)):
        p = np.array([permutation_test.permutation_p_value(draw(90), draw(61), seed) for seed in range(RUNS)])
        for level in (0.01, 0.05, 0.2, 0.5):
            assert (p <= level).sum() <= allowed(level)
        assert (p <= 0.5).mean() > 0.3


def test_cyclic_shifts_match_a_direct_count(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(13)
    x, y = generator.standard_normal(40), generator.standard_normal(33) + 0.3
    order = stream(5, Purpose.PERMUTATION_TEST).permutation(73)
    scores, labels = np.concatenate([x, y])[order], order >= 40
    sums = [scores[np.roll(labels, shift)].sum() for shift in range(73)]
    assert sums[0] == pytest.approx(y.sum())
    monkeypatch.setattr(permutation_test, "CYCLIC_ROWS", 50)
    assert permutation_test.permutation_p_value(x, y, 5) == sum(s >= sums[0] - 1e-9 for s in sums) / 73


def test_large_inputs_are_quick_and_use_every_row() -> None:
    generator = np.random.default_rng(14)
    x, y = generator.standard_normal(1_000_000), generator.standard_normal(500_000) + 0.01
    start = time.perf_counter()
    # 0.01 is 5.8 standard errors: seen only if all rows count
    assert permutation_test.permutation_p_value(x, y, 3) <= 1e-5
    assert time.perf_counter() - start < 10


# --- clipping ------------------------------------------------------------------------------------------------------


def test_light_tails_are_hardly_clipped_and_heavy_tails_are() -> None:
    generator = np.random.default_rng(10)
    x, y = generator.random(5_000), generator.random(5_000) + 0.5
    low, high = mean_bounds.clip_interval(x, y, 2_000, 2_000, 0.05)
    assert low < 0.01
    assert high > 1.49
    x, y = generator.standard_t(2.5, 5_000), generator.standard_t(2.5, 5_000) + 1
    low, high = mean_bounds.clip_interval(x, y, 2_000, 2_000, 0.05)
    assert high - low < 0.5 * (max(x.max(), y.max()) - min(x.min(), y.min()))


def test_clipping_pays_off_in_the_bound() -> None:
    def bound(draw: Callable[[int], np.ndarray], clip: bool) -> float:
        fit_x, fit_y, x, y = draw(5_000), draw(5_000) + 0.5, draw(2_000), draw(2_000) + 0.5
        if clip:
            low, high = mean_bounds.clip_interval(fit_x, fit_y, 2_000, 2_000, 0.05)
        else:
            low, high = float(min(fit_x.min(), fit_y.min())), float(max(fit_x.max(), fit_y.max()))
        return mean_bounds.difference_lower_bound(seeded(x).clip(low, high), seeded(y).clip(low, high), low, high, 0.05)

    generators = [np.random.default_rng(12) for _ in range(2)]
    with_clip, without = (
        np.mean([bound(lambda n, g=g: g.standard_t(2.5, n), clip) for _ in range(20)])  # type: ignore[misc]
        for g, clip in zip(generators, (True, False), strict=True)
    )
    assert with_clip > without


def test_clip_interval_of_equal_scores() -> None:
    low, high = mean_bounds.clip_interval(np.ones(50), np.ones(50), 50, 50, 0.05)
    assert low == high == 1.0
