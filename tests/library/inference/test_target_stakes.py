"""Target stakes: valid where nothing is to spare, close to the normal interval, and the same in the verifier's copy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from wdist.data.seeded import SeededScores
from wdist.inference.differences import paired_differences, part_sizes_of_pairs
from wdist.inference.mean_bounds import clip_interval, difference_lower_bound
from wdist.inference.target_stakes import Draws, target_lower_bound
from wdist.inference.units import Layout, Units, lower_bound_of
from wdist.verify import units as verifier
from wdist.verify.statistics import Scores

ALPHA = 0.05
Draw = Callable[[np.random.Generator, int], np.ndarray]


def coin(chance: float) -> Draw:
    return lambda generator, n: (generator.random(n) < chance).astype(float)


def pareto(generator: np.random.Generator, n: int) -> np.ndarray:
    return np.clip(0.02 * generator.pareto(1.5, n), 0, 1)


def as_given(values: np.ndarray, rounding: float = 0.0) -> SeededScores:
    rows = np.arange(len(values))
    return SeededScores.of(values, rows, rows, rounding)


def moments(values: np.ndarray) -> tuple[float, float]:
    return float(values.mean()), float(values.std())


class OneMean(Draws):
    """Draws whose grid is their true mean: whatever the grid, a bound is wrong only if one fixed claim is rejected."""

    truth = 0.5

    def grid(self, alpha: float) -> np.ndarray:
        return np.array([self.truth])


# two-point scores whose mean difference is W1 itself, and tails that the select rows hardly show
@pytest.mark.parametrize(
    ("x", "y", "difference"),
    [
        (coin(0.05), coin(0.05), 0.0),
        (coin(0.5), coin(0.5), 0.0),
        (coin(0.95), coin(0.95), 0.0),
        (coin(0.05), coin(0.95), 0.9),
        (coin(0.5), coin(0.95), 0.45),
        (pareto, pareto, 0.0),
    ],
    ids=["null .05", "null .5", "null .95", ".05 and .95", ".5 and .95", "null pareto"],
)
@pytest.mark.parametrize("expected", ["of other rows", "misleading"])
def test_a_true_claim_is_rejected_with_probability_alpha_at_most(
    x: Draw, y: Draw, difference: float, expected: str
) -> None:
    runs, n, m, wrong = 600, 60, 90, 0
    generator = np.random.default_rng([round(100 * difference), len(expected)])
    sizes_x, sizes_y = part_sizes_of_pairs(n, m)
    for _ in range(runs):
        differences = paired_differences(as_given(x(generator, n)), as_given(y(generator, m)), 0, 1, None)[0]
        variances, mean = np.full(n, 1e-4), 0.9
        if expected == "of other rows":
            others = x(generator, 20), y(generator, 30)
            variances = np.clip((others[0].var() / sizes_x + others[1].var() / sizes_y) / 4, 1e-8, 0.25)
            mean = (1 + others[1].mean() - others[0].mean()) / 2
        draws = OneMean((1 + differences.values) / 2, variances, mean)
        draws.__class__.truth = (1 + difference) / 2
        wrong += target_lower_bound(draws, ALPHA) > 0
    assert wrong <= stats.binom.ppf(0.9999, runs, ALPHA)


def test_claims_below_the_truth_are_rejected_so_the_simulation_can_fail() -> None:
    generator, runs = np.random.default_rng(0), 100
    OneMean.truth = 0.4
    found = [target_lower_bound(OneMean(generator.random(200), np.full(200, 1 / 12), 0.5), ALPHA) for _ in range(runs)]
    assert sum(bound > 0 for bound in found) > 0.95 * runs


@pytest.mark.parametrize("n", [1_000, 5_000])
@pytest.mark.parametrize("draw", [lambda g, n: g.random(n), coin(0.3), lambda g, n: g.beta(2, 5, n)])
def test_the_margin_is_close_to_that_of_the_normal_interval(draw: Draw, n: int) -> None:
    """Welch's interval is not valid at finite n; its margin is what no valid bound can undercut by much."""
    ratios = []
    for seed in range(20):
        generator = np.random.default_rng([seed, n])
        x, y = draw(generator, n), draw(generator, n + n // 3)
        prior = moments(draw(generator, n // 3)), moments(draw(generator, n // 3))
        bound = difference_lower_bound(as_given(x), as_given(y), 0, 1, ALPHA, "target_stakes", prior)
        welch = stats.norm.ppf(1 - ALPHA) * math.hypot(x.std() / math.sqrt(len(x)), y.std() / math.sqrt(len(y)))
        ratios.append((y.mean() - x.mean() - bound) / welch)
    assert 0.95 < np.mean(ratios) < 1.1


@pytest.mark.parametrize(("n", "m"), [(2, 2), (2, 7), (60, 60), (60, 119), (119, 60), (60, 1_001)])
def test_every_score_is_in_one_pair(n: int, m: int) -> None:
    sizes = part_sizes_of_pairs(n, m)
    for of_side, count in zip(sizes, (n, m), strict=True):
        assert of_side.sum() == count
        assert len(of_side) == min(n, m)
        assert 1 <= of_side.min() <= of_side.max() <= of_side.min() + 1


def test_more_scores_on_one_side_narrow_the_margin_at_every_size() -> None:
    """A discarded remainder would leave it as it is until the sides differ by a factor of 2."""
    generator = np.random.default_rng(1)
    margins = []
    for m in (1_000, 1_500, 1_900):
        x, y = generator.random((40, 1_000)), generator.random((40, m))
        prior = (0.5, 12**-0.5), (0.5, 12**-0.5)
        found = [
            b.mean() - a.mean() - difference_lower_bound(as_given(a), as_given(b), 0, 1, ALPHA, "target_stakes", prior)
            for a, b in zip(x, y, strict=True)
        ]
        margins.append(np.mean(found) / math.hypot(0.001**0.5, m**-0.5))
    assert max(margins) < 1.06 * min(margins)


def test_the_grid_is_fixed_before_the_draws() -> None:
    generator = np.random.default_rng(2)
    grids = [Draws(generator.random(50), np.full(50, 0.02), 0.6).grid(ALPHA) for _ in range(2)]
    np.testing.assert_array_equal(*grids)
    assert grids[0][0] > 0
    assert grids[0][-1] == 1


@pytest.mark.parametrize("layout", ["rows", "apart", "own", "mixed"])
@pytest.mark.parametrize("has_prior", [True, False])
def test_the_verifier_derives_the_same_bound(layout: Layout, has_prior: bool) -> None:
    found = 0
    for seed in range(8):
        generator = np.random.default_rng([seed, len(layout)])
        n, m = (int(size) for size in generator.integers(50, 300, 2))
        m, high = n if layout == "own" else m, float(10 ** generator.uniform(-3, 3))
        x, y = generator.beta(1, 3, n) * high, generator.beta(3, 3, m) * high
        prior: Any = (moments(x[:20]), moments(y[:20])) if has_prior else None
        bound = lower_bound_of(
            Units(as_given(x, 1e-12 * high), as_given(y, 1e-12 * high), layout), 0, high, ALPHA, "target_stakes", prior
        )
        sides = (Scores(side, np.full(len(side), 1e-12 * high), 0.0, high) for side in (x, y))
        units = verifier.Units(*sides, layout)
        assert verifier.lower_bound(units, "target_stakes", ALPHA, prior) == pytest.approx(
            max(0, bound), abs=1e-9 * high
        )
        found += bound > 0
    assert found >= 6


def test_clips_are_wider_than_for_bounds_with_a_larger_margin() -> None:
    generator = np.random.default_rng(4)
    x, y = generator.standard_t(3, 4_000), generator.standard_t(3, 4_000) + 0.5
    old, new = (clip_interval(x, y, 400, 400, ALPHA, method) for method in ("betting", "target_stakes"))
    assert new[1] - new[0] >= old[1] - old[0]
