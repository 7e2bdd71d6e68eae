"""Units of chance, and what their scores support: value, lower bound and p-value, by the method of the certificate.

Everything is in scores less the lower end of the clip, so that the interval is [0, width] and an offset costs nothing.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .container import CertificateError
from .order import Index
from .rounding import U
from .statistics import (
    Moments,
    Scores,
    bernstein_lower_bound,
    betting_lower_bound,
    crossing_p_value,
    permutation_p_values,
    plug_in_p_value,
    target_lower_bound,
    target_lower_bound_of_pairs,
)

Values = NDArray[np.float64]
Priors = tuple[Moments, Moments] | None

ROUNDING_SHARE = 1e-4  # of the spread of the scores: how much the rounding of another program may explain, at most


@dataclass(frozen=True)
class Units:
    """Scores of the units of each side, in their random order.

    layout: "rows", or for groups "apart" (none in both sets), "own" (all in both) or "mixed".
    """

    x: Scores
    y: Scores
    layout: str

    @property
    def width(self) -> float:
        return self.x.high - self.x.low

    @property
    def spread(self) -> float:
        """The largest difference of two scores."""
        return max(float(side.values.max()) for side in (self.x, self.y)) - self._lowest

    @property
    def value(self) -> float:
        """Mean of the target's less mean of the source's."""
        return float((self.y.values - self._lowest).mean() - (self.x.values - self._lowest).mean())

    @property
    def _lowest(self) -> float:
        return min(float(side.values.min()) for side in (self.x, self.y))

    @property
    def rounding(self) -> float:
        """What rounding may cost the value."""
        return float(self.x.error.mean() + self.y.error.mean())


def units_of_rows(x: Scores, y: Scores) -> Units:
    """Every row is a unit."""
    _need_two(len(x.values), len(y.values), "rows")
    return Units(x, y, "rows")


def units_of_groups(x: Scores, groups_x: Index, y: Scores, groups_y: Index, layout: str) -> Units:
    """Every group is a unit: the mean score of its rows. groups_*: for each row the place of its group in the order."""
    units = Units(_group_means(x, groups_x), _group_means(y, groups_y), layout)
    _need_two(len(units.x.values), len(units.y.values), "groups")
    return units


def layout_of(groups_x: Index, groups_y: Index) -> str:
    """The layout of groups, from those of all rows: whether those of the test rows are in both sets is chance."""
    names = np.unique(groups_x), np.unique(groups_y)
    shared = len(np.intersect1d(*names))
    return "apart" if shared == 0 else "own" if shared == len(names[0]) == len(names[1]) else "mixed"


def _need_two(n: int, m: int, what: str) -> None:
    if min(n, m) < 2:
        raise CertificateError(f"{n} and {m} test {what}: at least 2 a side are needed")


def _group_means(scores: Scores, groups: Index) -> Scores:
    """Mean score of each group, by ascending place: the order of the permutation."""
    _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    means = np.bincount(inverse, weights=scores.values) / counts
    error = np.bincount(inverse, weights=scores.error) / counts + (counts + 2) * U * (scores.high - scores.low)
    return replace(scores, values=means, error=error).clipped()


def _part_sizes(n: int, count: int) -> Index:
    """How many of n consecutive scores each pair takes: pair s ends behind score floor(s n / count)."""
    return np.diff(np.arange(count + 1, dtype=np.int64) * n // count)


def _part_means(scores: Scores, sizes: Index) -> Scores:
    """Means of consecutive scores."""
    part = np.repeat(np.arange(len(sizes)), sizes)
    values, error = (np.bincount(part, weights=each) / sizes for each in (scores.values, scores.error))
    return replace(scores, values=values, error=error + np.where(sizes > 1, (sizes + 2) * U * scores.high, 0.0))


def pairs(units: Units, priors: Priors) -> tuple[Scores, Moments | None, Values]:
    """Differences of the units in order, target less source, their prior, and the variance expected of each; also those
    of groups in both sets.
    """
    n, m = len(units.x.values), len(units.y.values)
    count = min(n, m)
    sizes_x, sizes_y = _part_sizes(n, count), _part_sizes(m, count)
    x, y = _part_means(units.x, sizes_x), _part_means(units.y, sizes_y)
    error = x.error + y.error + U * units.width
    differences = Scores(y.values - x.values, error, -units.width, units.width)
    if priors is None:
        return differences, None, units.width**2 * (0.5 / sizes_x + 0.5 / sizes_y)
    (mean_x, deviation_x), (mean_y, deviation_y) = priors
    deviation = math.hypot(deviation_x * math.sqrt(count / n), deviation_y * math.sqrt(count / m))
    return differences, (mean_y - mean_x, deviation), deviation_x**2 / sizes_x + deviation_y**2 / sizes_y


def _mirrored(prior: Moments | None) -> Moments | None:
    """The moments of -f, from those of f."""
    return None if prior is None else (-prior[0], prior[1])


MeanBound = Callable[[Scores, float, Moments | None], float]
Bound = Callable[[Units, float, Priors], float]


def _of_means(bound: MeanBound) -> Bound:
    """A bound for each mean, at half of the error."""

    def lower(units: Units, alpha: float, priors: Priors) -> float:
        prior_x, prior_y = priors if priors is not None else (None, None)
        return bound(units.y, alpha / 2, prior_y) + bound(units.x.mirrored(), alpha / 2, _mirrored(prior_x))

    return lower


def _of_differences(bound: MeanBound) -> Bound:
    """One bound for the differences, at the full error."""

    def lower(units: Units, alpha: float, priors: Priors) -> float:
        differences, prior, _ = pairs(units, priors)
        return bound(differences, alpha, prior)

    return lower


def _target_of_pairs(units: Units, alpha: float, priors: Priors) -> float:
    differences, prior, variances = pairs(units, priors)
    return target_lower_bound_of_pairs(differences, variances, alpha, prior)


BETS_ON_MEANS, BETS_ON_PAIRS = _of_means(betting_lower_bound), _of_differences(betting_lower_bound)
MEANS, DIFFERENCES = _of_means(bernstein_lower_bound), _of_differences(bernstein_lower_bound)
TARGETS, TARGETS_ON_OWN = _of_means(target_lower_bound), _of_differences(target_lower_bound)

# method -> layout of the units -> the lower bound of the expected difference; what is not here is refused
METHODS: Mapping[str, Mapping[str, Bound]] = {
    "betting": {"rows": BETS_ON_MEANS, "apart": BETS_ON_PAIRS, "own": BETS_ON_PAIRS, "mixed": BETS_ON_MEANS},
    "empirical_bernstein": {"rows": MEANS, "apart": MEANS, "own": DIFFERENCES, "mixed": MEANS},
    "paired_betting": {"rows": BETS_ON_PAIRS, "apart": BETS_ON_PAIRS, "own": BETS_ON_PAIRS},
    "target_stakes": {
        "rows": _target_of_pairs,
        "apart": _target_of_pairs,
        "own": TARGETS_ON_OWN,
        "mixed": TARGETS,
    },
}


def lower_bound(units: Units, method: str, alpha: float, priors: Priors) -> float:
    """The derived lower bound of the difference of the means: at most `value`, at least 0."""
    bounds = METHODS[method]
    if units.layout not in bounds:
        raise CertificateError(f"{method} does not bound groups of which some, but not all, are in both sets")
    return max(0.0, min(bounds[units.layout](units, alpha, priors), units.value))


def p_values(units: Units, alpha: float, priors: Priors, seed: int) -> tuple[float, float]:
    """The derived p-value, and the smallest that may be stated: as rounding may have moved each score by its error.

    Beyond `ROUNDING_SHARE`, errors explain no other p-value: an issuer can make them as large as the scores.
    """
    if units.layout == "rows":
        return permutation_p_values(units.x, units.y, seed)
    explained = ROUNDING_SHARE * units.spread
    x, y = (replace(side, error=np.maximum(side.error - explained, 0.0)) for side in (units.x, units.y))
    p, least = (_group_p_value(each, alpha, priors) for each in (units, replace(units, x=x, y=y)))
    return p, min(p, least) * (1 - 1e-6)


def _group_p_value(units: Units, alpha: float, priors: Priors) -> float:
    if units.layout != "mixed":
        differences, prior, _ = pairs(units, priors)
        return plug_in_p_value(differences, alpha, prior)
    prior_x, prior_y = priors if priors is not None else (None, None)
    return crossing_p_value(units.x.mirrored(), units.y, alpha / 2, _mirrored(prior_x), prior_y)
