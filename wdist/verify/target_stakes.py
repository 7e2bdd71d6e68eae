"""The lower bound of method "target_stakes": bets whose stakes follow from what is missing and the scores left.

Written from docs/certificate.md, not from the issuer's code.
"""

import math

import numpy as np
from numpy.typing import NDArray

from .convolutions import U
from .statistics import SMALLEST_MEAN, Moments, Scores, unit_prior

Values = NDArray[np.float64]

RISK = 0.99  # the largest share of the capital that one bet may lose
BEYOND = 0.1  # of log-capital, above the threshold
PRIOR_WEIGHT = 10
RENEWALS = 64
ROWS = 256  # of scores at a time
EVEN_STEPS, GROWTH, MOST_STEPS = 128, 1.02, 4_000


def tested_means(mean: float, information: float, goal: float) -> Values:
    """The grid, ascending: steps of 1/32 deviation around the bound to be expected, then 2 % longer each."""
    deviation = 1 / math.sqrt(information)
    center = mean - math.sqrt(goal) * deviation
    step, distance, distances = deviation / 32, 0.0, []
    for number in range(1, MOST_STEPS + 1):
        distance += step * GROWTH ** max(0, number - EVEN_STEPS)
        distances.append(distance)
        if distance >= 2:
            break
    around = np.array(distances)
    means: Values = np.clip(np.concatenate([center - around, [center], center + around]), SMALLEST_MEAN, 1.0)
    return np.unique(means)


def target_bound(unit: Values, variances: Values, mean: float, alpha: float) -> float:
    """The largest tested mean up to which all are rejected; 0 if the first is not. All on [0, 1]."""
    n, goal = len(unit), math.log(1 / alpha)
    left = np.flip(np.cumsum(np.flip(1 / variances)))  # information of each score and all later ones
    weights = PRIOR_WEIGHT + np.arange(1, n + 1)
    residuals = unit - (PRIOR_WEIGHT * mean + np.cumsum(unit)) / weights
    ratios = np.concatenate([[1.0], np.sqrt((PRIOR_WEIGHT + np.cumsum(residuals**2 / variances)) / weights)])
    m = tested_means(mean, float(left[0]), goal)
    reached = goal + 1e-12 + 256 * U * n
    capital, rejected, start = np.zeros(len(m)), np.zeros(len(m), dtype=bool), 0
    while start < n and not rejected.all():
        alive = ~rejected
        missing = goal + BEYOND - capital[alive]
        aimed = 2 * missing / (np.sqrt(2 * missing) + 0.5) / (ratios[start] * math.sqrt(left[start]))
        stop = start + max(1, (n - start) // RENEWALS)
        for first in range(start, stop, ROWS):
            rows = slice(first, min(stop, first + ROWS))
            stakes = np.minimum(np.divide.outer(aimed, variances[rows]), RISK / m[alive, None])
            capital[alive] += np.log1p(stakes * np.subtract.outer(-m[alive], -unit[rows])).sum(axis=1)
        rejected |= capital >= reached
        start = stop
    count = len(m) if rejected.all() else int(np.argmin(rejected))
    return float(m[count - 1]) if count else 0.0


def mean_bound(scores: Scores, alpha: float, prior: Moments | None) -> float:
    """Of one mean: all scores have the variance of the prior."""
    mean, variance = unit_prior(prior, scores.low, scores.high)
    return _moved_back(target_bound(scores.unit(), np.full(len(scores.values), variance), mean, alpha), scores)


def pairs_bound(differences: Scores, variances: Values, alpha: float, prior: Moments | None) -> float:
    """Of the mean of differences, whose expected variances are given in their own units."""
    if differences.high == differences.low:
        return 0.0
    mean, _ = unit_prior(prior, differences.low, differences.high)
    unit_variances = np.clip(variances / (differences.high - differences.low) ** 2, 1e-8, 0.25)
    return _moved_back(target_bound(differences.unit(), unit_variances, mean, alpha), differences)


def _moved_back(bound: float, scores: Scores) -> float:
    return scores.low + (scores.high - scores.low) * bound
