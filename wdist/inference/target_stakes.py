"""Betting bounds that aim at their threshold: each stake follows from the capital still missing and the draws left."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from wdist.data.seeded import SeededScores
from wdist.inference.base import MeanMethod, Moments, Prior, Values, check_draws, unit_draws, unit_prior
from wdist.inference.betting import SMALLEST_MEAN
from wdist.inference.differences import paired_differences, part_sizes_of_pairs
from wdist.rounding import UNIT_ROUNDOFF

STAKE_LIMIT: Final = 0.99  # c: a bet never risks more than this share of the capital in one step
AIM: Final = 0.1  # bets aim at log-capital ln(1/alpha) + AIM: a path that aims at the threshold itself stops just below
PRIOR_DRAWS: Final = 10  # how many draws the prior counts for in the running variance
STAKES: Final = 64  # stakes are renewed after every 64th of the draws left
CHUNK: Final = 64  # factors multiplied before a logarithm is taken; 0.01^64 is far from underflow
STEPS_PER_DEVIATION: Final = 32  # of the grid of means around the expected bound
EVEN_STEPS: Final = 128  # on either side, after which each step is GROWTH times the one before
GROWTH: Final = 1.02
GROWING_STEPS: Final = 2_000  # enough to leave [0, 1], whatever the deviation
SMALLEST_VARIANCE: Final = 1e-8


@dataclass(frozen=True)
class Draws:
    """Draws of one mean, and what is expected of them.

    values: (n,), within [0, 1], in a seeded order, each at most what it stands for (`SeededScores.lowered`).
    variances: (n,), expected variance of each draw. mean: expected of all.
    """

    values: Values
    variances: Values
    mean: float

    def grid(self, alpha: float) -> Values:
        """The means that are tested, ascending, within [1e-12, 1]: dense around the expected bound, sparse elsewhere.

        It depends on the expectations alone, never on the draws.
        """
        deviation = 1 / math.sqrt(float((1 / self.variances).sum()))  # of the weighted mean
        center = self.mean - math.sqrt(math.log(1 / alpha)) * deviation
        growth = np.maximum(0, np.arange(1, EVEN_STEPS + GROWING_STEPS + 1) - EVEN_STEPS)
        distances = np.cumsum(deviation / STEPS_PER_DEVIATION * GROWTH**growth)
        distances = distances[: np.searchsorted(distances, 2.0) + 1]
        means: Values = np.concatenate([center - distances, [center], center + distances])
        return np.unique(means.clip(SMALLEST_MEAN, 1.0))

    def deviations(self) -> Values:
        """After 0, ..., n draws: the ratio of their deviation to the expected one; (n + 1,)."""
        counts = PRIOR_DRAWS + np.arange(1, len(self.values) + 1)
        means = (PRIOR_DRAWS * self.mean + np.cumsum(self.values)) / counts
        squares = np.cumsum((self.values - means) ** 2 / self.variances)
        ratios: Values = np.sqrt(np.concatenate([[1.0], (PRIOR_DRAWS + squares) / counts]))
        return ratios


def target_lower_bound(draws: Draws, alpha: float) -> float:
    """The largest mean of the grid up to which all are rejected, or 0 if the smallest one is not.

    Capital against a mean m is K(m) = prod (1 + lambda_i(m) (x_i - m)). A mean is rejected if its capital reaches
    1/alpha when stakes are renewed, or at the end. With the log-capital L = ln(1/alpha) + AIM - log K(m) still missing
    and the information I = sum 1/v_j of the draws left,

        lambda_i(m) = min(2 L / (sqrt(2 L) + 1/2) / (deviation ratio * v_i * sqrt(I)), c / m).

    The stakes depend on earlier draws only, so that K(m) is a supermartingale for every m that is at least the mean of
    the draws. If the bound is wrong, the smallest mean of the grid that is not below the true one was rejected: by
    Ville's inequality, with probability <= alpha. Capital does not decrease in m, so that there is no bisection.

    For normal draws, the best bet on reaching 1/alpha by the last draw hedges a digital option. Its stake is
    phi(z) / (q deviation sqrt(draws left)) with q = alpha K and z = Phi^-1(q); the formula above has it within 4 % for
    q <= 0.3. Recomputing stakes from what is missing is from Voracek and Orabona, "STaR-Bets" (2025, arXiv 2505.22422),
    who stake sqrt(2 L).
    """
    n, goal = len(draws.values), math.log(1 / alpha)
    # Each factor is off by less than 200 roundoffs of itself, and sums of logarithms by less than 50 of them.
    rounding = 1e-12 + 256 * UNIT_ROUNDOFF * n
    means = draws.grid(alpha)
    rejected = np.zeros(len(means), dtype=bool)
    open_ = np.arange(len(means))  # not yet rejected
    capital = np.zeros(len(means))  # logarithm of that of the open means
    deviations, information = draws.deviations(), np.cumsum((1 / draws.variances)[::-1])[::-1]
    start = 0
    while start < n and len(open_):
        stop = start + max(1, (n - start) // STAKES)
        missing = goal + AIM - capital
        stakes = 2 * missing / (np.sqrt(2 * missing) + 0.5) / (deviations[start] * math.sqrt(information[start]))
        capital += _log_growth(draws, start, stop, stakes, means[open_])
        won = capital - rounding >= goal
        rejected[open_[won]] = True
        open_, capital = open_[~won], capital[~won]
        start = stop
    below = int(np.argmin(rejected)) if not rejected.all() else len(means)
    return float(means[below - 1]) if below else 0.0


def _log_growth(draws: Draws, start: int, stop: int, stakes: Values, means: Values) -> Values:
    """Change of log-capital against each mean (g,) by draws start to stop - 1; stakes (g,) are for variance 1."""
    growth, limit = np.zeros(len(means)), STAKE_LIMIT / means
    for first in range(start, stop, CHUNK):
        part = slice(first, min(stop, first + CHUNK))
        factors = np.minimum(stakes / draws.variances[part, None], limit)
        factors *= draws.values[part, None] - means
        factors += 1.0
        growth += np.log(np.multiply.reduce(factors, axis=0))
    return growth


class TargetStakes(MeanMethod):
    """Bets on the differences of both sets with target stakes, at error alpha (`target_lower_bound`).

    The sets must be independent of each other. Where some groups are in both and some are not, each mean is bounded at
    error alpha / 2, which is valid for dependent sides.
    """

    def unit_lower_bound(self, scaled: SeededScores, alpha: float, prior: Moments) -> float:
        mean, variance = prior
        return target_lower_bound(Draws(scaled.values, np.full(len(scaled), variance), mean), alpha)

    def difference_lower_bound(
        self, fx: SeededScores, fy: SeededScores, low: float, high: float, alpha: float, prior: Prior | None
    ) -> float:
        differences, expected = paired_differences(fx, fy, low, high, prior)
        width = high - low
        check_draws(differences, -width, width, alpha)
        if width == 0:
            return 0.0
        draws = unit_draws(differences, -width, width).values
        mean = unit_prior(expected, -width, width)[0]
        bound = target_lower_bound(Draws(draws, self._variances(len(fx), len(fy), width, prior), mean), alpha)
        return self.from_unit(bound, -width, width)

    def mixed_lower_bound(
        self, fx: SeededScores, fy: SeededScores, low: float, high: float, alpha: float, prior: Prior | None
    ) -> float:
        return super().difference_lower_bound(fx, fy, low, high, alpha, prior)

    def expected_margin(
        self, deviation_x: float, deviation_y: float, n: int, m: int, width: float, alpha: float
    ) -> float:
        # Simulated for seven shapes of scores, 60 to 4,000 of them: within 8 %. The second term is what the limit on
        # stakes costs.
        normal = NormalDist().inv_cdf(1 - alpha) * math.hypot(deviation_x / math.sqrt(n), deviation_y / math.sqrt(m))
        return math.hypot(normal, width * math.log(1 / alpha) / min(n, m))

    def rows_needed(self, alpha: float) -> int:
        # Bets in a row that must be won to reject a mean of 1/2: each multiplies the capital by at most 1 + c.
        return 1 + math.ceil(math.log(1 / alpha) / math.log(1 + STAKE_LIMIT))

    @staticmethod
    def _variances(n: int, m: int, width: float, prior: Prior | None) -> Values:
        """Expected variance of each difference, moved to [0, 1]: smaller for the mean of more scores."""
        sizes = part_sizes_of_pairs(n, m)
        deviations = (width / math.sqrt(2), width / math.sqrt(2)) if prior is None else (prior[0][1], prior[1][1])
        terms = [(deviation / (2 * width)) ** 2 / size for deviation, size in zip(deviations, sizes, strict=True)]
        return np.asarray((terms[0] + terms[1]).clip(SMALLEST_VARIANCE, 0.25))
