"""A betting bound of the mean difference of paired scores."""

import math

import numpy as np
from numpy.typing import ArrayLike

from wdist.errors import OptionError
from wdist.inference.base import BoundMethod, Moments, Prior, Values
from wdist.inference.betting import Betting, wins_needed


class PairedBetting(BoundMethod):
    """One betting bound at error alpha for the mean of `paired_differences`.

    It is tighter than two bounds, because the variances of the sides add, but the sides must be independent of each
    other (no groups that occur in both).
    """

    def difference_lower_bound(
        self, fx: ArrayLike, fy: ArrayLike, low: float, high: float, alpha: float, prior: Prior | None
    ) -> float:
        differences, paired_prior = paired_differences(fx, fy, low, high, prior)
        return Betting().mean_lower_bound(differences, low - high, high - low, alpha, paired_prior)

    def rows_needed(self, alpha: float) -> int:
        return wins_needed(alpha)


def paired_differences(
    fx: ArrayLike, fy: ArrayLike, low: float, high: float, prior: Prior | None
) -> tuple[Values, Moments | None]:
    """min(n, m) independent draws with mean E f(Y) - E f(X), within [low - high, high - low], and their prior.

    In the given order, each score of the smaller side is paired with the mean of the next k = max // min scores of the
    larger side. The remainder, fewer than min(n, m) scores, is not used.
    """
    x, y = np.asarray(fx, dtype=np.float64), np.asarray(fy, dtype=np.float64)
    pairs = min(len(x), len(y))
    if pairs < 2 or not (min(x.min(), y.min()) >= low and max(x.max(), y.max()) <= high):
        raise OptionError(f"pairing needs at least 2 scores a side, clipped to [{low}, {high}]")
    per_x, per_y = len(x) // pairs, len(y) // pairs
    means_x, means_y = (side[: pairs * k].reshape(pairs, k).mean(axis=1) for side, k in ((x, per_x), (y, per_y)))
    differences = np.clip(means_y - means_x, low - high, high - low)
    if prior is None:
        return differences, None
    (mean_x, deviation_x), (mean_y, deviation_y) = prior
    return differences, (mean_y - mean_x, math.sqrt(deviation_x**2 / per_x + deviation_y**2 / per_y))
