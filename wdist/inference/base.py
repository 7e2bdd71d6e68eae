"""The contract of a bound method: a lower confidence bound of a difference of means, from bounded held-out scores.

A method is one file that subclasses `BoundMethod` or `MeanMethod`, and one entry in `wdist.inference.registry`. Methods
must be valid at finite n for independent scores. `SeededScores` guarantees an order fixed without looking at them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from wdist.data.seeded import SeededScores, require_seeded
from wdist.errors import OptionError

Values = NDArray[np.float64]
Moments = tuple[float, float]  # mean and standard deviation, as expected from other rows
Prior = tuple[Moments, Moments]  # of the source and the target scores


class BoundMethod(ABC):
    """A lower bound of E f(Y) - E f(X) from scores fx (n,), fy (m,) within [low, high], wrong with probability alpha.

    The prior tunes a method and does not affect its validity.
    """

    @abstractmethod
    def difference_lower_bound(
        self, fx: SeededScores, fy: SeededScores, low: float, high: float, alpha: float, prior: Prior | None
    ) -> float:
        """The bound: at most the difference of the means, with probability 1 - alpha. It may be negative."""

    @abstractmethod
    def rows_needed(self, alpha: float) -> int:
        """Fewest test rows a side for a bound above 0, even if all scores are 0 on one side and 1 on the other."""

    def statement(
        self, fx: SeededScores, fy: SeededScores, low: float, high: float, alpha: float, prior: Prior | None
    ) -> dict[str, float]:
        """What a certificate states, so that a verifier can recompute the bound from it."""
        return {"difference_lower": self.difference_lower_bound(fx, fy, low, high, alpha, prior)}


class MeanMethod(BoundMethod):
    """Bounds each mean at error alpha / 2, which is valid even if the two sides are dependent."""

    @abstractmethod
    def unit_lower_bound(self, scaled: SeededScores, alpha: float, prior: Moments) -> float:
        """At most the mean of `scaled`, (n,) draws within [0, 1], with probability 1 - alpha.

        prior: mean and variance expected of the draws.
        """

    def mean_lower_bound(
        self, values: SeededScores, low: float, high: float, alpha: float, prior: Moments | None
    ) -> float:
        """The same for draws within [low, high]. Raises OptionError for values outside the interval."""
        _check(values, low, high, alpha)
        if (width := high - low) == 0.0:
            return low
        bound = self.unit_lower_bound(values.to_unit(low, high), alpha, _unit_prior(prior, low, width))
        return low + width * bound if bound > 0 else low

    def mean_upper_bound(
        self, values: SeededScores, low: float, high: float, alpha: float, prior: Moments | None
    ) -> float:
        """At least the mean, with probability 1 - alpha: the mirror image of `mean_lower_bound`."""
        mirrored = None if prior is None else (-prior[0], prior[1])
        return -self.mean_lower_bound(-require_seeded(values), -high, -low, alpha, mirrored)

    def difference_lower_bound(
        self, fx: SeededScores, fy: SeededScores, low: float, high: float, alpha: float, prior: Prior | None
    ) -> float:
        bounds = self.statement(fx, fy, low, high, alpha, prior)
        return bounds["target_mean_lower"] - bounds["source_mean_upper"]

    def statement(
        self, fx: SeededScores, fy: SeededScores, low: float, high: float, alpha: float, prior: Prior | None
    ) -> dict[str, float]:
        prior_x, prior_y = prior if prior is not None else (None, None)
        return {
            "source_mean_upper": self.mean_upper_bound(fx, low, high, alpha / 2, prior_x),
            "target_mean_lower": self.mean_lower_bound(fy, low, high, alpha / 2, prior_y),
        }


def _check(values: SeededScores, low: float, high: float, alpha: float) -> None:
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


def _unit_prior(prior: Moments | None, low: float, width: float) -> Moments:
    """Mean and variance on [0, 1]. Without a prior, those of Waudby-Smith and Ramdas: 1/2 and 1/4."""
    if prior is None:
        return 0.5, 0.25
    mean = min(1.0, max(0.0, (prior[0] - low) / width))
    return mean, min(0.25, max(1e-8, (prior[1] / width) ** 2))
