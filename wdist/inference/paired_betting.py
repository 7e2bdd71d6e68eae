"""A betting bound of the mean difference of paired scores."""

from wdist.data.seeded import SeededScores
from wdist.inference.base import BoundMethod, Moments, Prior
from wdist.inference.betting import Betting, wins_needed


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
