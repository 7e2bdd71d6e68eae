"""Empirical Bernstein bounds of both means."""

import math
from typing import Final

from wdist.data.seeded import SeededScores
from wdist.inference.base import MeanMethod, Moments

ROUNDING: Final = 1e-13  # of mean and deviation of draws within [0, 1], which numpy sums in pairs


class EmpiricalBernstein(MeanMethod):
    """Maurer and Pontil (2009), theorem 4: mean - sqrt(2 V ln(2/alpha) / n) - 7 ln(2/alpha) / (3 (n - 1)), unbiased V.

    It takes no prior.
    """

    def unit_lower_bound(self, scaled: SeededScores, alpha: float, prior: Moments) -> float:
        n, log_term = len(scaled), math.log(2 / alpha)
        variance = float(scaled.values.var(ddof=1))
        margin = math.sqrt(2 * variance * log_term / n) + 7 * log_term / (3 * (n - 1))
        return float(scaled.values.mean()) - margin * (1 + ROUNDING) - ROUNDING

    def rows_needed(self, alpha: float) -> int:
        # The bound on the mean of ones must exceed 1/2, and 7 ln(4/alpha) / (3 (n - 1)) is subtracted from it.
        return 2 + math.ceil(14 * math.log(4 / alpha) / 3)
