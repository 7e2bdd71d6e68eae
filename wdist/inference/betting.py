"""Betting bounds of means: capital grows if a mean is larger than claimed, and rarely otherwise."""

import math
from typing import Final

import numpy as np

from wdist.data.seeded import SeededScores
from wdist.inference.base import BoundMethod, MeanMethod, Moments, Prior, Values
from wdist.inference.differences import paired_differences
from wdist.inference.roots import Bracket, bracket_of_root
from wdist.rounding import UNIT_ROUNDOFF

CHUNK = 1 << 16  # scores processed at once in a betting pass; they fit a core's cache
SMALLEST_MEAN = 1e-12  # smallest mean tested, on [0, 1]: at mean 0 the limit on stakes would be infinite
STAKE_LIMIT = 0.75  # c: a bet never risks more than this share of the capital in one step
TOLERANCE: Final = 1e-9  # of a bound on [0, 1]: the boundary is at most so far above it


class Bets:
    """Bets on draws within [0, 1]; K_t(m) = prod_{i<=t} (1 + min(lambda_i, c/m) (x_i - m)) is capital against a mean m.

    The stakes lambda_i are those of Waudby-Smith and Ramdas for a bound at error alpha after all n draws. They depend
    on earlier draws only, so that for every m >= the mean, K_t(m) is a test supermartingale. It decreases in m.

    draws: (n,), in a seeded order, each at most what it stands for (`SeededScores.lowered`).
    """

    def __init__(self, draws: SeededScores, alpha: float, prior: Moments) -> None:
        self.draws = draws.values
        self.stakes = _predictable_stakes(self.draws, math.sqrt(2 * math.log(1 / alpha) / len(draws)), prior)
        # Each of n steps adds an error of at most 2^-53 (|log K| + 12) to log K. |log K| is below 100, except after a
        # loss down to e^-100, from where capital reaches 1/alpha with a probability of about e^-100.
        self.rounding = 1e-12 + 128 * UNIT_ROUNDOFF * len(draws)

    def log_capital(self, m: float) -> float:
        """The largest log K_t(m), t = 1, ..., n, less its rounding. Streamed."""
        limit, log_capital, largest = STAKE_LIMIT / m, 0.0, -math.inf
        for start in range(0, len(self.draws), CHUNK):
            bets = np.minimum(self.stakes[start : start + CHUNK], limit)
            bets *= self.draws[start : start + CHUNK] - m
            path = np.cumsum(np.log1p(bets, out=bets), out=bets)
            largest = max(largest, log_capital + float(path.max()))
            log_capital += float(path[-1])
        return largest - self.rounding


class Betting(MeanMethod):
    """inf {m : max_t K_t(m) < 1/alpha}, with the capital of `Bets`.

    By Ville's inequality, capital against a true claim reaches 1/alpha with probability <= alpha. The m returned is a
    rejected one, at most 1e-9 below the boundary and never above it. Source: Waudby-Smith and Ramdas, "Estimating means
    of bounded random variables by betting" (2024), section 4.
    """

    def unit_lower_bound(self, scaled: SeededScores, alpha: float, prior: Moments) -> float:
        bets, n, threshold = Bets(scaled, alpha, prior), len(scaled), math.log(1 / alpha)
        mean = min(1.0, max(float(bets.draws.mean()), SMALLEST_MEAN))
        step = 1.1 * math.sqrt(2 * threshold * max(float(bets.draws.var()), 1.0 / n) / n)

        def excess(m: float) -> float:
            return bets.log_capital(m) - threshold

        lower = upper = mean
        above = below = excess(mean)
        while above < 0:
            if lower == SMALLEST_MEAN:
                return 0.0
            upper, below = lower, above
            lower, step = max(SMALLEST_MEAN, lower - step), 2 * step
            above = excess(lower)
        while below >= 0:  # the maximum of the capital can reject the mean of the draws itself
            lower, above = upper, below
            upper, step = min(1.0, upper + step), 2 * step
            below = excess(upper)  # at 1 no bet was won
        bracket: Bracket = lower, upper, above, below
        return bracket_of_root(excess, bracket, TOLERANCE)[0]

    def independent_lower_bound(
        self, fx: SeededScores, fy: SeededScores, low: float, high: float, alpha: float, prior: Prior | None
    ) -> float:
        differences, paired_prior = paired_differences(fx, fy, low, high, prior)
        return self.mean_lower_bound(differences, low - high, high - low, alpha, paired_prior)

    def rows_needed(self, alpha: float) -> int:
        return wins_needed(alpha / 2)


class PairedBetting(BoundMethod):
    """One betting bound at error alpha for the mean of `paired_differences`.

    It is tighter than two bounds, because the variances of the sides add, but the sides must be independent of each
    other.
    """

    def difference_lower_bound(
        self, fx: SeededScores, fy: SeededScores, low: float, high: float, alpha: float, prior: Prior | None
    ) -> float:
        return Betting().independent_lower_bound(fx, fy, low, high, alpha, prior)

    def linked_lower_bound(self, differences: SeededScores, width: float, alpha: float, prior: Moments | None) -> float:
        return Betting().linked_lower_bound(differences, width, alpha, prior)

    def rows_needed(self, alpha: float) -> int:
        return wins_needed(alpha)


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
