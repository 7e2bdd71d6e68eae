"""Bounds of one mean and p-values, derived from scores: bets, empirical Bernstein, target stakes, permutations.

Written from docs/certificate.md, not from the issuer's code.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .order import PERMUTATION_TEST, stream
from .rounding import U

Values = NDArray[np.float64]
Moments = tuple[float, float]  # mean and deviation, expected from other rows

STAKE_LIMIT = 0.75
SMALLEST_MEAN = 1e-12
SMALLEST_DEVIATION = 1e-12
HALVINGS = 52  # of an interval of length 1: to less than 1e-15
PERMUTATIONS = 9_999
CYCLIC_ROWS = 10_000
BATCH = 1 << 21
SUM_SHARE = 0.01  # of the standard deviation of a relabelled sum: how much rounding may explain, at most

# of target stakes
RISK = 0.99  # the largest share of the capital that one bet may lose
BEYOND = 0.1  # of log-capital, above the threshold
PRIOR_WEIGHT = 10
RENEWALS = 64
ROWS = 256  # of scores at a time
EVEN_STEPS, GROWTH, MOST_STEPS = 128, 1.02, 4_000


@dataclass(frozen=True)
class Scores:
    """Scores within [low, high] in a random order, and how far from the exact score each may be."""

    values: Values
    error: Values
    low: float
    high: float

    def mirrored(self) -> "Scores":
        """-f for f."""
        return Scores(-self.values, self.error, -self.high, -self.low)

    def clipped(self) -> "Scores":
        """Within the interval, from which rounding may have moved means."""
        return replace(self, values=np.clip(self.values, self.low, self.high))

    def unit(self) -> Values:
        """The least that the exact scores can be, moved to [0, 1]; 0 if the interval is a point."""
        if self.high == self.low:
            return np.zeros(len(self.values))
        moved = (self.values - self.error - self.low) / (self.high - self.low)
        return np.clip(moved - 4 * U, 0.0, 1.0)


class Bets:
    """The capital of bets that the mean of scores on [0, 1] is above m."""

    def __init__(self, scores: Scores, alpha: float, prior: Moments | None) -> None:
        self.unit = scores.unit()
        self.goal = math.log(1 / alpha)
        self.rounding = 1e-12 + 128 * U * len(self.unit)  # of the logarithm of the capital
        self.stakes = self._stakes(unit_prior(prior, scores.low, scores.high))

    def _stakes(self, prior: Moments) -> Values:
        """lambda_t = sqrt(2 T / (n sigma^2_{t-1})): sigma from earlier scores alone."""
        (mean, variance), n = prior, len(self.unit)
        steps = np.arange(1, n + 1) + 1.0
        means = (mean + np.cumsum(self.unit)) / steps
        variances = (variance + np.cumsum((self.unit - means) ** 2)) / steps
        before = np.sqrt(np.concatenate([[variance], variances[:-1]]))
        stakes: Values = math.sqrt(2 * self.goal / n) / np.maximum(before, SMALLEST_DEVIATION)
        return stakes

    def log_capital(self, m: float) -> float:
        """max_t log K_t(m), less its rounding."""
        path = np.cumsum(np.log1p(np.minimum(self.stakes, STAKE_LIMIT / m) * (self.unit - m)))
        return float(path.max()) - self.rounding


def unit_prior(prior: Moments | None, low: float, high: float) -> Moments:
    """Mean and variance before the first score, on [0, 1]."""
    if prior is None or high == low:
        return 0.5, 0.25
    mean = min(1.0, max(0.0, (prior[0] - low) / (high - low)))
    return mean, min(0.25, max(1e-8, min(1.0, prior[1] / (high - low)) ** 2))


def betting_lower_bound(scores: Scores, alpha: float, prior: Moments | None) -> float:
    """The largest mean that the capital rejects, from below, by bisection: the capital falls in the mean."""
    bets = Bets(scores, alpha, prior)
    if bets.log_capital(SMALLEST_MEAN) < bets.goal:
        return scores.low
    rejected, open_ = SMALLEST_MEAN, 1.0
    for _ in range(HALVINGS):
        middle = 0.5 * (rejected + open_)
        if bets.log_capital(middle) >= bets.goal:
            rejected = middle
        else:
            open_ = middle
    return scores.low + (scores.high - scores.low) * rejected


def bernstein_lower_bound(scores: Scores, alpha: float, prior: Moments | None) -> float:
    """Maurer and Pontil (2009), theorem 4; it takes no prior."""
    unit, log_term = scores.unit(), math.log(2 / alpha)
    n = len(unit)
    margin = math.sqrt(2 * float(unit.var(ddof=1)) * log_term / n) + 7 * log_term / (3 * (n - 1))
    return scores.low + (scores.high - scores.low) * max(0.0, float(unit.mean()) - margin)


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


def target_lower_bound(scores: Scores, alpha: float, prior: Moments | None) -> float:
    """Of one mean: all scores have the variance of the prior."""
    mean, variance = unit_prior(prior, scores.low, scores.high)
    return _moved_back(target_bound(scores.unit(), np.full(len(scores.values), variance), mean, alpha), scores)


def target_lower_bound_of_pairs(differences: Scores, variances: Values, alpha: float, prior: Moments | None) -> float:
    """Of the mean of differences, whose expected variances are given in their own units."""
    if differences.high == differences.low:
        return 0.0
    mean, _ = unit_prior(prior, differences.low, differences.high)
    unit_variances = np.clip(variances / (differences.high - differences.low) ** 2, 1e-8, 0.25)
    return _moved_back(target_bound(differences.unit(), unit_variances, mean, alpha), differences)


def _moved_back(bound: float, scores: Scores) -> float:
    return scores.low + (scores.high - scores.low) * bound


def plug_in_p_value(differences: Scores, alpha: float, prior: Moments | None) -> float:
    """Against "the mean is at most 0", the middle of the interval: 1 / the largest capital."""
    return math.exp(-max(0.0, Bets(differences, alpha, prior).log_capital(0.5)))


def crossing_p_value(x: Scores, y: Scores, alpha: float, prior_x: Moments | None, prior_y: Moments | None) -> float:
    """Against "the mean of y is at most that of the source", x = -f of the source: min(1, 2 sup 1 / max(M_Y, M_X)).

    M_Y falls and M_X rises in the common mean; of the bracket of their crossing the smaller capitals are taken.
    """
    bets_x, bets_y = Bets(x, alpha, prior_x), Bets(y, alpha, prior_y)
    low, high = SMALLEST_MEAN, 1.0 - SMALLEST_MEAN
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        if bets_y.log_capital(middle) >= bets_x.log_capital(1.0 - middle):
            low = middle
        else:
            high = middle
    return min(1.0, 2 * math.exp(-max(0.0, bets_y.log_capital(high), bets_x.log_capital(1.0 - low))))


def permutation_p_values(x: Scores, y: Scores, seed: int) -> tuple[float, float]:
    """(k + 1) / (B + 1) over relabellings of the pooled scores that give Y at least its observed sum; and the least
    that an issuer may state, whose scores rounding moved elsewhere: a sum then changes by twice their errors at most,
    and 2 relabellings may be ties.
    """
    scores, n, m = np.concatenate([x.values, y.values]), len(x.values), len(y.values)
    scores = scores - scores.mean()
    # the tolerance makes sums of the same scores ties, in whatever order they were added
    observed = scores[n:].sum() - 1e-12 * np.abs(scores).sum()
    deviation = float(scores.std()) * math.sqrt(n * m / (n + m))
    moved = min(2 * float(x.error.sum() + y.error.sum()), SUM_SHARE * deviation)
    thresholds = observed, observed + moved
    generator = stream(seed, PERMUTATION_TEST)
    if len(scores) > CYCLIC_ROWS:
        order = generator.permutation(len(scores))
        is_target = np.where(order >= n, 1.0, 0.0)
        sums = np.fft.irfft(np.fft.rfft(scores[order]) * np.conj(np.fft.rfft(is_target)), n=len(scores))[1:]
        reached, count = [int(np.count_nonzero(sums >= limit)) for limit in thresholds], len(scores) - 1
    else:
        reached, count, batch = [0, 0], PERMUTATIONS, max(1, BATCH // len(scores))
        for done in range(0, count, batch):
            rows = np.broadcast_to(scores, (min(batch, count - done), len(scores)))
            sums = generator.permuted(rows, axis=1)[:, n:].sum(axis=1)
            reached = [k + int(np.count_nonzero(sums >= limit)) for k, limit in zip(reached, thresholds, strict=True)]
    return (reached[0] + 1) / (count + 1), max(1, reached[1] - 1) / (count + 1)
