"""How many rows or groups an estimate needs, from the held-out scores of a pilot.

The scores of the planned estimate are taken to have the pilot's deviations. Its margin then follows from their number,
and its bound is above 0 with the power asked for if the distance that the critic shows exceeds the margin by z_power
standard errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from wdist.data.splits import MINIMUM_ROWS, group_test_share, part_sizes
from wdist.errors import OptionError
from wdist.inference.base import Values
from wdist.inference.target_stakes import TargetStakes
from wdist.inference.units import Units, value_of

# Median margin of target stakes over `TargetStakes.expected_margin`. Simulated for normal, even, exponential and t2.5
# scores, 50 to 5,000 of them: 1.00 to 1.07. What it takes for a power of .8 gives the same figure, .97 to 1.10.
MARGIN: Final = 1.05
MOST: Final = 10**12  # units of the source; nobody has more

TestedUnits = Callable[[int, int], tuple[int, int]]
"""How many of n source and m target units are held out."""


@dataclass(frozen=True)
class Pilot:
    """What a pilot says of the scores of any estimate of the same pair, in units of the distance.

    Attributes:
        variances: of the score of one unit, on either side. If both sets have the same groups: that of the difference
            of a group's scores, and 0.
        errors: standard error of each variance, from the fourth moment.
        tested: number of held-out units.
        width: of the interval that the scores were clipped to.
        value, lower_bound: as in the pilot's result.
    """

    variances: tuple[float, float]
    errors: tuple[float, float]
    tested: tuple[int, int]
    width: float
    value: float
    lower_bound: float

    @classmethod
    def of(cls, units: Units, width: float, lipschitz_bound: float, lower_bound: float) -> Pilot:
        """From held-out scores; width: of their interval. Scores and width are divided by lipschitz_bound.

        Raises OptionError if the sets share some groups and not all: no formula for their margin is known to be close.
        """
        x, y = units.fx.values / lipschitz_bound, units.fy.values / lipschitz_bound
        tested = len(x), len(y)
        if units.layout == "mixed":
            raise OptionError("groups: some are in both sets and some are not; a plan needs all of them to be, or none")
        if units.layout == "own":
            (variance, error), other = _variance(y - x), (0.0, 0.0)
        else:
            (variance, error), other = _variance(x), _variance(y)
        return cls(
            variances=(variance, other[0]),
            errors=(error, other[1]),
            tested=tested,
            width=width / lipschitz_bound,
            value=value_of(units) / lipschitz_bound,
            lower_bound=lower_bound,
        )

    def upper_limit(self, alpha: float) -> float:
        """The most that the critic may show on average: the upper end of the normal interval at error alpha.

        It is not an upper bound on W1: another critic may show more.
        """
        error = math.hypot(*(math.sqrt(v / n) for v, n in zip(self.variances, self.tested, strict=True)))
        return max(0.0, self.value + NormalDist().inv_cdf(1 - alpha) * error)

    def factor(self, alpha: float, ratio: float) -> float:
        """By how much the deviation of a difference of means may be off in either direction, each at error alpha."""
        total = self.variances[0] + self.variances[1] / ratio
        if total == 0:
            return 1.0
        relative = math.hypot(self.errors[0], self.errors[1] / ratio) / total
        return math.exp(NormalDist().inv_cdf(1 - alpha) * relative / 2)  # half: of a root


@dataclass(frozen=True)
class Range:
    """Number of units of one set: about so many are needed, and from low to high for what the pilot leaves open."""

    low: int
    about: int
    high: int


Counts = tuple[int | None, int | None, int | None]
"""Source units, as in `Range`; None where more than 10^12 are needed, or no number is enough."""


@dataclass(frozen=True)
class Design:
    """The estimate that is planned.

    Attributes:
        alpha: error of its lower bound.
        ratio: target units for each source unit.
        tested: how many units are held out.
    """

    alpha: float
    ratio: float
    tested: TestedUnits

    @property
    def least(self) -> int:
        """The fewest source units that can be split."""
        return math.ceil(MINIMUM_ROWS / min(1.0, self.ratio))

    def target(self, source: int) -> int:
        """Number of target units that goes with this number of source units."""
        return round(self.ratio * source)

    def for_margin(self, pilot: Pilot, margin: float, alpha: float) -> Counts:
        """Source units with which the median margin is at most `margin`.

        alpha: chance that the deviations are below those of `low`, and that they are above those of `high`.
        """
        factor = pilot.factor(alpha, self.ratio)
        low, about, high = (
            self._fewest(lambda n, m, f=f: self._margin(pilot, n, m, f) <= margin)  # type: ignore[misc]
            for f in (1 / factor, 1.0, factor)
        )
        return low, about, high

    def to_detect(self, pilot: Pilot, distance: float, power: float, alpha: float) -> Counts:
        """Source units with which the bound is above 0 with this power, if the critic shows `distance`."""
        factor = pilot.factor(alpha, self.ratio)
        low, about, high = (self._detected(pilot, distance, power, f) for f in (1 / factor, 1.0, factor))
        return low, about, high

    def to_detect_again(self, pilot: Pilot, power: float, alpha: float) -> Counts:
        """The same if the critic shows what the pilot's does: from its upper limit down to the pilot's lower bound."""
        shown = pilot.upper_limit(alpha), pilot.value, pilot.lower_bound
        low, about, high = (self._detected(pilot, distance, power, 1.0) for distance in shown)
        return low, about, high

    def _detected(self, pilot: Pilot, distance: float, power: float, factor: float) -> int | None:
        if distance <= 0:
            return None
        z = NormalDist().inv_cdf(power)

        def is_detected(n: int, m: int) -> bool:
            error = factor * math.sqrt(pilot.variances[0] / n + pilot.variances[1] / m)
            return self._margin(pilot, n, m, factor) + z * error <= distance

        return self._fewest(is_detected)

    def _margin(self, pilot: Pilot, n: int, m: int, factor: float) -> float:
        """Of n and m held-out units, whose deviations are the pilot's times the factor."""
        x, y = (factor * math.sqrt(variance) for variance in pilot.variances)
        return MARGIN * TargetStakes().expected_margin(x, y, n, m, pilot.width, self.alpha)

    def _fewest(self, is_enough: Callable[[int, int], bool]) -> int | None:
        """The least number of source units whose held-out units are enough, by bisection."""
        needed = TargetStakes().rows_needed(self.alpha)

        def suffices(source: int) -> bool:
            tested = self.tested(source, self.target(source))
            return min(tested) >= needed and is_enough(*tested)

        low = high = self.least
        while not suffices(high):
            if high > MOST:
                return None
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if suffices(middle) else (middle, high)
        return high


def held_out_rows(n: int, m: int) -> tuple[int, int]:
    """Held-out rows of n and m."""
    return part_sizes(n)[2], part_sizes(m)[2]


def held_out_groups(n: int, m: int) -> tuple[int, int]:
    """Held-out groups of n and m, as chance distributes them."""
    share = group_test_share(min(n, m))
    return int(share * n), int(share * m)


def _variance(scores: Values) -> tuple[float, float]:
    """Unbiased variance and its standard error, sqrt((m4 - (n - 3) / (n - 1) v^2) / n)."""
    n = len(scores)
    variance = float(scores.var(ddof=1))
    fourth = float(((scores - scores.mean()) ** 4).mean())
    return variance, math.sqrt(max(0.0, fourth - (n - 3) / (n - 1) * variance**2) / n)
