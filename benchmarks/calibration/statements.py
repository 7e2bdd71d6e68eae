"""Statements about a sample, made as `estimate_w1` makes them, except that the critic is known and not trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.calibration.cell import ABOVE, ALPHA
from wdist import certify, estimate
from wdist.data.pair import SamplePair, Shared
from wdist.data.seeded import SeededScores
from wdist.data.splits import tested_units
from wdist.definitions.reading import Reading
from wdist.inference import units as inference
from wdist.inference.base import Prior
from wdist.inference.mean_bounds import clip_interval
from wdist.inference.registry import METHODS
from wdist.inference.units import Units, lower_bound_of, p_value_of
from wdist.options import Options

Values = NDArray[np.float64]

DEFAULT: str = Options.model_fields["method"].default
LEVELS = (0.01, 0.05, 0.1)
BOOTSTRAPS = 200
COMMON: dict[str, float | None] = {"Welch": None, "bootstrap": None}

# Betting bounds are above their value with a probability of about alpha^2 in a random order. For Brownian motion it is
# alpha^2: capital against the sample mean reaches 1/alpha if a Brownian bridge crosses a line, which has probability
# exp(-2 ln(1/alpha)). Simulated with 4,000 samples each of normal, Student 2.5, lognormal, two-point and rare scores,
# 51 to 500 a side: 0 to 2.1 alpha^2 (two points, where many paths end at the mean). In sorted files it is 1 of 2.
ABOVE_VALUE = 4 * ALPHA**2


@dataclass(frozen=True)
class Oracle:
    """A potential with slopes of at most 1 that reads one column, or a few, and does not round.

    function: rows (n, d) -> (n,). Clipped to [low, high].
    """

    function: Callable[[Values], Values]
    low: float = -np.inf
    high: float = np.inf

    def scores(self, rows: Values) -> Values:
        return self.function(rows).clip(self.low, self.high)

    def scores_and_rounding(self, rows: Values, error: Values) -> tuple[Values, Values]:
        return self.scores(rows), error


def first_column(rows: Values) -> Values:
    return rows[:, 0]


@dataclass(frozen=True)
class Case:
    """What bounds and p-values are computed from."""

    units: Units
    low: float
    high: float
    prior: Prior | None


def opened(
    x: Any, y: Any, number: int, groups: tuple[Any, Any] | None = None, shared: Shared | None = None, **options: Any
) -> SamplePair:
    """Both sets as `estimate_w1` reads, checks, splits and scales them, or as a pair of a matrix (`shared`)."""
    pair, _ = estimate._open(
        x, y, ("source", "target"), Options.checked(seed=number, **options), Reading(), groups, shared
    )
    return pair


def case_of(
    pair: SamplePair,
    potential: Callable[[Values], Values] = first_column,
    within: tuple[float, float] | None = None,
) -> Case:
    """The scores of the test rows, clipped as train and select rows advise, or to the interval `within`."""
    oracle = Oracle(potential)
    select = pair.scores(oracle, "select")
    if within is None:
        train = pair.scores(oracle, "train")
        seen_x, seen_y = (np.concatenate(side) for side in zip(train, select, strict=True))
        tested = tested_units((pair.source_split, pair.target_split), pair.groups)
        within = clip_interval(seen_x, seen_y, *tested, ALPHA, DEFAULT)
    clipped = Oracle(potential, *within)
    means = [certify._means(pair, side, scores.clip(*within)) for side, scores in enumerate(select)]
    prior_x, prior_y = ((float(each.mean()), float(each.std())) for each in means)
    units = certify._units_of_chance(pair, *pair.test_scores(clipped))
    return Case(units, *within, (prior_x, prior_y))


def simulated(fx: Values, fy: Values, low: float, high: float) -> Case:
    """Scores that are independent draws, so that the order they were drawn in is a random one."""
    sides = (SeededScores.of(side.clip(low, high), np.arange(len(side)), np.arange(len(side))) for side in (fx, fy))
    return Case(inference.units_of_rows(*sides), low, high, None)


def lower_bound(case: Case, method: str = DEFAULT, alpha: float = ALPHA) -> tuple[float, bool]:
    """The bound, and whether it was above its value and was lowered to it."""
    before = inference.bounds_above_value
    bound = lower_bound_of(case.units, case.low, case.high, alpha, method, case.prior)
    return bound, inference.bounds_above_value > before


def above(method: str) -> str:
    """The name of the statement that a bound is at most its value."""
    return method + ABOVE


def allowed_of(methods: Iterable[str] = METHODS) -> dict[str, float | None]:
    """For the statements of `judged`."""
    allowed: dict[str, float | None] = dict.fromkeys(methods, ALPHA)
    return allowed | {above(name): ABOVE_VALUE for name in allowed}


def judged(case: Case, truth: float, methods: Iterable[str] = METHODS) -> dict[str, bool]:
    """Which methods give a bound above the truth, and which gave one above their value."""
    wrong = {}
    for method in methods:
        bound, wrong[above(method)] = lower_bound(case, method)
        wrong[method] = bound > truth
    return wrong


def p_name(level: float) -> str:
    return f"p <= {level:g}"


P_ALLOWED: dict[str, float | None] = {p_name(level): level for level in LEVELS}


def judged_p(case: Case, number: int) -> dict[str, bool]:
    """Which levels the p-value is at most, of two sets from one population."""
    p = p_value_of(case.units, case.low, case.high, ALPHA, case.prior, number)
    return {p_name(level): p <= level for level in LEVELS}


def in_common_use(case: Case, truth: float, generator: np.random.Generator) -> dict[str, bool]:
    """Whether the bounds of the central limit theorem (Welch) and of the percentile bootstrap are above the truth."""
    fx, fy = case.units.fx.values, case.units.fy.values
    error = np.sqrt(fx.var(ddof=1) / len(fx) + fy.var(ddof=1) / len(fy))
    welch = fy.mean() - fx.mean() - stats.norm.ppf(1 - ALPHA) * error
    drawn = [side[generator.integers(0, len(side), (BOOTSTRAPS, len(side)))].mean(axis=1) for side in (fx, fy)]
    bootstrap = np.quantile(drawn[1] - drawn[0], ALPHA)
    return {"Welch": welch > truth, "bootstrap": bootstrap > truth}
