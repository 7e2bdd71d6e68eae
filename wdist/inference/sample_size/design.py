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
from wdist.inference.sample_size.pilot import Pilot, Spread
from wdist.inference.target_stakes import TargetStakes

# Median margin of target stakes over `TargetStakes.expected_margin`. Simulated for normal, even, exponential and t2.5
# scores, 50 to 5,000 of them: 1.00 to 1.07. What it takes for a power of .8 gives the same figure, .97 to 1.10.
MARGIN: Final = 1.05
ROUNDS: Final = 3
MOST: Final = 10**12  # units of the source; nobody has more

TestedUnits = Callable[[int, int], tuple[int, int]]
"""How many of n source and m target units are held out."""
IsEnough = Callable[[Spread, int, int], bool]
"""Whether n and m held-out units with scores of this spread are enough."""


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
        return self._range(pilot, lambda spread, n, m: self._margin(spread, n, m) <= margin, alpha)

    def to_detect(self, pilot: Pilot, distance: float, power: float, alpha: float) -> Counts:
        """Source units with which the bound is above 0 with this power, if the critic shows `distance` unclipped."""
        moved = distance - float(pilot.target.mean() - pilot.source.mean())
        return self._range(pilot, self._detects(power), alpha, moved)

    def to_detect_again(self, pilot: Pilot, power: float, alpha: float) -> Counts:
        """The same if the critic shows what the pilot's does: from its upper limit down to the pilot's lower bound."""
        shown = pilot.upper_limit(alpha), pilot.value, pilot.lower_bound
        low, about, high = (
            self._solved(pilot, self._detects(power), distance - pilot.value)[0] if distance > 0 else None
            for distance in shown
        )
        return low, about, high

    def as_many_as(self, pilot: Pilot, alpha: float) -> int | None:
        """The fewest source units with which both sets hold out as many as the pilot."""
        source, target = pilot.tested
        return self._fewest(lambda _, n, m: n >= source and m >= target, pilot.spread(source, target, alpha))

    def _margin(self, spread: Spread, n: int, m: int) -> float:
        """Of n and m held-out units."""
        x, y = map(math.sqrt, spread.variances)
        return MARGIN * TargetStakes().expected_margin(x, y, n, m, spread.width, self.alpha)

    def _detects(self, power: float) -> IsEnough:
        z = NormalDist().inv_cdf(power)
        return lambda spread, n, m: (
            spread.shown > 0 and self._margin(spread, n, m) + z * spread.standard_error(n, m) <= spread.shown
        )

    def _range(self, pilot: Pilot, is_enough: IsEnough, alpha: float, moved: float = 0.0) -> Counts:
        """The numbers for the deviations as they are, and for what they may be."""
        about, spread = self._solved(pilot, is_enough, moved)
        factor = spread.factor(alpha, self.ratio)
        low, high = (self._fewest(is_enough, spread.scaled(each)) for each in (1 / factor, factor))
        return low, about, high

    def _solved(self, pilot: Pilot, is_enough: IsEnough, moved: float) -> tuple[int | None, Spread]:
        """The least number of source units that are enough, with scores that are clipped for this number."""
        tested = pilot.tested
        for _ in range(ROUNDS):
            spread = pilot.spread(*tested, self.alpha, moved)
            if (found := self._fewest(is_enough, spread)) is None:
                break
            tested = self.tested(found, self.target(found))
        return found, spread

    def _fewest(self, is_enough: IsEnough, spread: Spread) -> int | None:
        """The least number of source units whose held-out units are enough, by bisection."""
        needed = TargetStakes().rows_needed(self.alpha)

        def suffices(source: int) -> bool:
            tested = self.tested(source, self.target(source))
            return min(tested) >= needed and is_enough(spread, *tested)

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
