"""The contract of a bound method: a lower confidence bound of a difference of means, from bounded held-out scores.

A method is a subclass of `BoundMethod` or `MeanMethod`, and one entry in `wdist.inference.registry`. Methods
must be valid at finite n for independent scores. `SeededScores` guarantees an order fixed without looking at them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from wdist.data.seeded import SeededScores, require_seeded
from wdist.errors import OptionError
from wdist.rounding import UNIT_ROUNDOFF

Values = NDArray[np.float64]
Moments = tuple[float, float]  # mean and standard deviation, as expected from other rows
Prior = tuple[Moments, Moments]  # of the source and the target scores


class BoundMethod(ABC):
    """A lower bound of E f(Y) - E f(X) from scores fx (n,), fy (m,) within [low, high], wrong with probability alpha.

    Methods subtract the rounding of the scores. The prior tunes a method and does not affect its validity.
    """

    @abstractmethod
    def difference_lower_bound(
        self, fx: SeededScores, fy: SeededScores, low: float, high: float, alpha: float, prior: Prior | None
    ) -> float:
        """The bound: at most the difference of the means, with probability 1 - alpha. It may be negative."""

    def independent_lower_bound(
        self, fx: SeededScores, fy: SeededScores, low: float, high: float, alpha: float, prior: Prior | None
    ) -> float:
        """The same for sides that are known to be independent of each other, which a method may use."""
        return self.difference_lower_bound(fx, fy, low, high, alpha, prior)

    def mixed_lower_bound(
        self, fx: SeededScores, fy: SeededScores, low: float, high: float, alpha: float, prior: Prior | None
    ) -> float:
        """The same for sides that may depend on each other in any way, but have no common units to subtract."""
        return self.difference_lower_bound(fx, fy, low, high, alpha, prior)

    @abstractmethod
    def linked_lower_bound(self, differences: SeededScores, width: float, alpha: float, prior: Moments | None) -> float:
        """The same from the differences (n,), within [-width, width], of units that have a score on either side."""

    def expected_margin(
        self, deviation_x: float, deviation_y: float, n: int, m: int, width: float, alpha: float
    ) -> float:
        """About how far below the difference of the means the bound will be; it chooses the interval of the scores.

        deviation_x, deviation_y: of the scores, n and m of them. By default the sum over both sides of
        deviation * sqrt(2 ln(2/alpha) / n) and width * ln(2/alpha) / (2 n).
        """
        log_term = math.log(2 / alpha)
        margin = math.sqrt(2 * log_term) * (deviation_x / math.sqrt(n) + deviation_y / math.sqrt(m))
        return margin + width * log_term * (1 / n + 1 / m) / 2

    @abstractmethod
    def rows_needed(self, alpha: float) -> int:
        """Fewest test rows a side for a bound above 0, even if all scores are 0 on one side and 1 on the other."""


class MeanMethod(BoundMethod):
    """Bounds each mean at error alpha / 2, which is valid even if the two sides are dependent."""

    @abstractmethod
    def unit_lower_bound(self, scaled: SeededScores, alpha: float, prior: Moments) -> float:
        """At most the mean of `scaled`, (n,) draws within [0, 1], with probability 1 - alpha.

        The rounding of the draws has been subtracted from them. prior: mean and variance expected of the draws.
        """

    def mean_lower_bound(
        self, values: SeededScores, low: float, high: float, alpha: float, prior: Moments | None
    ) -> float:
        """The same for draws within [low, high]. Raises OptionError for values outside the interval."""
        return self.from_unit(self._share_of_interval(values, low, high, alpha, prior), low, high)

    @staticmethod
    def from_unit(bound: float, low: float, high: float) -> float:
        """At most low + (high - low) * bound in exact arithmetic, for a bound within [0, 1]."""
        if bound <= 0:
            return low
        # The product is off by at most 4 roundoffs of the width, and the sum by half the distance to the next number.
        return max(low, math.nextafter(low + (high - low) * (bound - 4 * UNIT_ROUNDOFF), -math.inf))

    def mean_upper_bound(
        self, values: SeededScores, low: float, high: float, alpha: float, prior: Moments | None
    ) -> float:
        """At least the mean, with probability 1 - alpha: the mirror image of `mean_lower_bound`."""
        return -self.mean_lower_bound(-require_seeded(values), -high, -low, alpha, mirrored(prior))

    def difference_lower_bound(
        self, fx: SeededScores, fy: SeededScores, low: float, high: float, alpha: float, prior: Prior | None
    ) -> float:
        # From shares of the interval, so that nothing is lost where `low` is large compared with the width.
        prior_x, prior_y = prior if prior is not None else (None, None)
        lower_y = self._share_of_interval(fy, low, high, alpha / 2, prior_y)
        below_high_x = self._share_of_interval(-require_seeded(fx), -high, -low, alpha / 2, mirrored(prior_x))
        return (high - low) * (lower_y + below_high_x - 1.0 - 8 * UNIT_ROUNDOFF)

    def linked_lower_bound(self, differences: SeededScores, width: float, alpha: float, prior: Moments | None) -> float:
        return self.mean_lower_bound(differences, -width, width, alpha, prior)

    def _share_of_interval(
        self, values: SeededScores, low: float, high: float, alpha: float, prior: Moments | None
    ) -> float:
        """The bound as a share of the interval, from 0 (no more than `low`) to 1."""
        check_draws(values, low, high, alpha)
        if high == low:
            return 0.0
        return max(0.0, self.unit_lower_bound(unit_draws(values, low, high), alpha, unit_prior(prior, low, high)))


def unit_draws(values: SeededScores, low: float, high: float) -> SeededScores:
    """Draws within [0, 1] that are at most the exact scores, mapped from [low, high]."""
    return values.to_unit(low, high).lowered(0.0)


def unit_prior(prior: Moments | None, low: float, high: float) -> Moments:
    """Mean and variance on [0, 1]. Without a prior, those of Waudby-Smith and Ramdas: 1/2 and 1/4."""
    if prior is None:
        return 0.5, 0.25
    width = high - low
    mean = min(1.0, max(0.0, (prior[0] - low) / width))
    return mean, min(0.25, max(1e-8, (prior[1] / width) ** 2))


def mirrored(prior: Moments | None) -> Moments | None:
    """The moments of -f, from those of f."""
    return None if prior is None else (-prior[0], prior[1])


def check_draws(values: SeededScores, low: float, high: float, alpha: float) -> None:
    """Raise OptionError for arguments that give no bound."""
    scores = require_seeded(values).values
    if not 0 < alpha < 1:
        raise OptionError(f"alpha {alpha} is outside (0, 1)")
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise OptionError(f"[{low}, {high}] is not an interval")
    if len(scores) < 2:
        raise OptionError(f"{len(scores)} held-out scores: at least 2 are needed")
    if not (scores.min() >= low and scores.max() <= high):  # written so that NaN is refused, too
        raise OptionError(f"values reach outside [{low}, {high}]; clip them to an interval chosen on other rows first")
