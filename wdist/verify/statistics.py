"""Bounds of one mean and p-values, derived from scores: bets, empirical Bernstein, permutations.

Written from docs/certificate.md, not from the issuer's code.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .convolutions import U
from .order import PERMUTATION_TEST, stream

Values = NDArray[np.float64]
Moments = tuple[float, float]  # mean and deviation, expected from other rows

STAKE_LIMIT = 0.75
SMALLEST_MEAN = 1e-12
SMALLEST_DEVIATION = 1e-12
HALVINGS = 45  # of an interval of length 1: to less than 1e-13
PERMUTATIONS = 9_999
CYCLIC_ROWS = 10_000
BATCH = 1 << 21


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
    scores, n = np.concatenate([x.values, y.values]), len(x.values)
    scores = scores - scores.mean()
    # the tolerance makes sums of the same scores ties, in whatever order they were added
    observed = scores[n:].sum() - 1e-12 * np.abs(scores).sum()
    thresholds = observed, observed + 2 * float(x.error.sum() + y.error.sum())
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
