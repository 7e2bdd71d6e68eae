"""A betting bound of the mean difference of paired scores."""

import math

from wdist.data.seeded import SeededScores, require_seeded
from wdist.errors import OptionError
from wdist.inference.base import BoundMethod, Moments, Prior
from wdist.inference.betting import Betting, wins_needed


class PairedBetting(BoundMethod):
    """One betting bound at error alpha for the mean of `paired_differences`.

    It is tighter than two bounds, because the variances of the sides add, but the sides must be independent of each
    other (no groups that occur in both).
    """

    def difference_lower_bound(
        self, fx: SeededScores, fy: SeededScores, low: float, high: float, alpha: float, prior: Prior | None
    ) -> float:
        differences, paired_prior = paired_differences(fx, fy, low, high, prior)
        return Betting().mean_lower_bound(differences, low - high, high - low, alpha, paired_prior)

    def rows_needed(self, alpha: float) -> int:
        return wins_needed(alpha)


def paired_differences(
    fx: SeededScores, fy: SeededScores, low: float, high: float, prior: Prior | None
) -> tuple[SeededScores, Moments | None]:
    """min(n, m) independent draws with mean E f(Y) - E f(X), within [low - high, high - low], and their prior.

    In the seeded order, each score of the smaller side is paired with the mean of the next k = max // min scores of the
    larger side. The remainder, fewer than min(n, m) scores, is not used.
    """
    x, y = require_seeded(fx).values, require_seeded(fy).values
    pairs = min(len(x), len(y))
    if pairs < 2 or not (min(x.min(), y.min()) >= low and max(x.max(), y.max()) <= high):
        raise OptionError(f"pairing needs at least 2 scores a side, clipped to [{low}, {high}]")
    per_x, per_y = len(x) // pairs, len(y) // pairs
    differences = (fy.block_means(pairs, per_y) - fx.block_means(pairs, per_x)).clip(low - high, high - low)
    if prior is None:
        return differences, None
    (mean_x, deviation_x), (mean_y, deviation_y) = prior
    return differences, (mean_y - mean_x, math.sqrt(deviation_x**2 / per_x + deviation_y**2 / per_y))
