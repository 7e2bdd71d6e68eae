"""The held-out scores of a pilot, and how much they vary after clipping."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from wdist.errors import OptionError
from wdist.inference.base import Values
from wdist.inference.mean_bounds import clip_interval
from wdist.inference.units import Units

CLIP_ROWS: Final = 20_000  # scores of each side from which a clip is chosen


@dataclass(frozen=True)
class Spread:
    """How much scores vary after clipping.

    Attributes:
        variances: of the score of one unit, on either side. If both sets have the same groups: that of the difference
            of a group's scores, and 0.
        errors: standard error of each variance, from the fourth moment of the unclipped scores.
        width: of the interval that the scores are clipped to.
        shown: difference of the mean scores.
    """

    variances: tuple[float, float]
    errors: tuple[float, float]
    width: float
    shown: float

    def standard_error(self, n: int, m: int) -> float:
        """Of the difference of the mean scores of n and m units."""
        return math.sqrt(self.variances[0] / n + self.variances[1] / m)

    def scaled(self, factor: float) -> Spread:
        """With deviations times this factor."""
        x, y = self.variances
        return Spread((factor**2 * x, factor**2 * y), self.errors, self.width, self.shown)

    def factor(self, alpha: float, ratio: float) -> float:
        """By how much the deviation of a difference of means may be off in either direction, each at error alpha."""
        total = self.variances[0] + self.variances[1] / ratio
        if total == 0:
            return 1.0
        relative = math.hypot(self.errors[0], self.errors[1] / ratio) / total
        return math.exp(NormalDist().inv_cdf(1 - alpha) * relative / 2)  # half: of a root


@dataclass(frozen=True)
class Pilot:
    """The held-out scores of a pilot, divided by L.

    Attributes:
        source, target: unclipped scores of the units, (n,) and (m,).
        is_linked: whether both are the scores of the same groups.
        value, lower_bound: as in the pilot's result.
    """

    source: Values
    target: Values
    is_linked: bool
    value: float
    lower_bound: float

    @classmethod
    def of(cls, units: Units, lipschitz_bound: float, value: float, lower_bound: float) -> Pilot:
        """From unclipped scores of held-out units, and figures of the result.

        Raises OptionError if the sets share some groups and not all: no formula for their margin is known to be close.
        """
        if units.layout == "mixed":
            raise OptionError("groups: some are in both sets and some are not; a plan needs all of them to be, or none")
        scores = units.fx.values / lipschitz_bound, units.fy.values / lipschitz_bound
        return cls(*scores, units.layout == "own", value, lower_bound)

    @property
    def tested(self) -> tuple[int, int]:
        """Number of held-out units."""
        return len(self.source), len(self.target)

    def spread(self, n: int, m: int, alpha: float, moved: float = 0.0) -> Spread:
        """Of scores that are clipped as n and m held-out units would be, after adding `moved` to those of the target.

        The interval is wider for more units, and narrow where the sets hardly differ. With the pilot's own, heavy tails
        would seem to vary too little: for Student's t with 3 degrees of freedom and a pilot of 400 rows, plans had
        three in four of the rows needed.
        """
        x, y = self.source, self.target + moved
        low, high = clip_interval(x[:CLIP_ROWS], y[:CLIP_ROWS], n, m, alpha, "target_stakes")
        parts = []
        for scores, clipped in zip(self._parts(x, y), self._parts(x.clip(low, high), y.clip(low, high)), strict=True):
            parts.append((float(clipped.var(ddof=1)), _relative_error(scores)))
        (variance_x, error_x), (variance_y, error_y) = parts
        shown = float(y.clip(low, high).mean() - x.clip(low, high).mean())
        return Spread((variance_x, variance_y), (variance_x * error_x, variance_y * error_y), high - low, shown)

    def _parts(self, x: Values, y: Values) -> tuple[Values, Values]:
        """Two independent scores whose variances add up."""
        return (y - x, np.zeros(2)) if self.is_linked else (x, y)

    def upper_limit(self, alpha: float) -> float:
        """The most that the critic may show on average: the upper end of the normal interval at error alpha.

        It is not an upper bound on W1: another critic may show more.
        """
        error = self.spread(*self.tested, alpha).standard_error(*self.tested)
        return max(0.0, self.value + NormalDist().inv_cdf(1 - alpha) * error)


def _relative_error(scores: Values) -> float:
    """Standard error of the unbiased variance v, sqrt((m4 - (n - 3) / (n - 1) v^2) / n), divided by v."""
    n = len(scores)
    variance = float(scores.var(ddof=1))
    if variance == 0:
        return 0.0
    fourth = float(((scores - scores.mean()) ** 4).mean()) / variance**2
    return math.sqrt(max(0.0, fourth - (n - 3) / (n - 1)) / n)
