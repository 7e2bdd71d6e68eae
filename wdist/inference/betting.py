"""Betting bounds of both means: capital grows if a mean is larger than claimed, and rarely otherwise."""

import math

import numpy as np

from wdist.data.seeded import SeededScores
from wdist.inference.base import MeanMethod, Moments, Values

CHUNK = 1 << 16  # scores processed at once in a betting pass; they fit a core's cache
SMALLEST_MEAN = 1e-12  # smallest mean tested, on [0, 1]: at mean 0 the limit on stakes would be infinite
STAKE_LIMIT = 0.75  # c: a bet never risks more than this share of the capital in one step


class Betting(MeanMethod):
    """inf {m : max_t K_t(m) < 1/alpha}, K_t(m) = prod_{i<=t} (1 + min(lambda_i, c/m) (x_i - m)).

    For every mean <= m, K_t(m) is a test supermartingale: by Ville's inequality, it reaches 1/alpha with probability
    <= alpha. It decreases in m, so bisection finds the boundary. The m returned is a rejected one, so it is never above
    the boundary. Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (2024),
    section 4.
    """

    def unit_lower_bound(self, scaled: SeededScores, alpha: float, prior: Moments) -> float:
        x, n = scaled.values, len(scaled)
        threshold = math.log(1 / alpha) + 1e-9  # the margin exceeds the rounding error of the sums below
        stakes = _predictable_stakes(x, math.sqrt(2 * threshold / n), prior)
        mean = max(float(x.mean()), SMALLEST_MEAN)
        step = math.sqrt(2 * threshold * max(float(x.var()), 1.0 / n) / n)

        def rejected(m: float) -> bool:
            return _log_capital_reaches(x, stakes, m, threshold)

        upper = mean
        while upper < 1.0 and rejected(upper):  # the running maximum can reject the final mean itself
            upper = min(1.0, upper + step)
        lower = upper - step
        while lower > 0.0 and not rejected(lower):
            upper, step = lower, 2 * step
            lower -= step
        if lower <= 0.0:
            if not rejected(SMALLEST_MEAN):
                return 0.0
            lower = SMALLEST_MEAN
        tolerance = 1e-4 * max(upper - lower, 1e-12)
        while upper - lower > tolerance:
            middle = 0.5 * (lower + upper)
            if rejected(middle):
                lower = middle
            else:
                upper = middle
        return lower

    def rows_needed(self, alpha: float) -> int:
        return wins_needed(alpha / 2)


def wins_needed(alpha: float) -> int:
    """Bets in a row that must be won to reject a mean of 1/2: each multiplies the capital by at most 1 + c."""
    return 1 + math.ceil(math.log(1 / alpha) / math.log(1 + STAKE_LIMIT))


def _predictable_stakes(scaled: Values, rate: float, prior: Moments) -> Values:
    """lambda_t = rate / sigma_{t-1}: the fixed-n plug-in of Waudby-Smith and Ramdas, which uses only earlier values.

    mu_t = (mu_0 + sum x) / (t + 1), sigma_t^2 = (sigma_0^2 + sum (x_i - mu_i)^2) / (t + 1).
    """
    n = len(scaled)
    prior_mean, prior_variance = prior
    counts = np.arange(2, n + 2, dtype=np.float64)
    means = (prior_mean + np.cumsum(scaled)) / counts
    np.subtract(scaled, means, out=means)
    np.square(means, out=means)
    variances = np.cumsum(means, out=means)
    variances += prior_variance
    variances /= counts
    stakes = np.empty(n)
    stakes[0] = prior_variance
    stakes[1:] = variances[:-1]
    np.sqrt(stakes, out=stakes)
    np.maximum(stakes, 1e-12, out=stakes)
    return np.divide(rate, stakes, out=stakes)


def _log_capital_reaches(scaled: Values, stakes: Values, m: float, threshold: float) -> bool:
    """Whether the running maximum of log K_t(m) reaches the threshold. Streamed; stops as soon as it does."""
    limit, log_capital = STAKE_LIMIT / m, 0.0
    for start in range(0, len(scaled), CHUNK):
        bets = np.minimum(stakes[start : start + CHUNK], limit)
        bets *= scaled[start : start + CHUNK] - m
        path = np.cumsum(np.log1p(bets, out=bets), out=bets)
        if log_capital + float(path.max()) >= threshold:
            return True
        log_capital += float(path[-1])
    return False
