"""The upper end: W1 of the populations is at most the cost of a transport plan between their rows, plus a deviation.

Let u be the 1-Lipschitz function whose mean difference is W1(P, Q): it exists where first moments do, and depends on
the populations alone. Every plan between the rows costs at least mean u(Y) - mean u(X), which is W1 on average. So only
the deviation of two means of one fixed function is missing, and Var u(X) <= tr Cov X. The plan may be chosen after
looking at the rows; the set of rows, and the unit of the distance, may not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from wdist.errors import OptionError
from wdist.streams import Purpose, stream
from wdist.transport.exact import RowSource, exact_w1, one_dimensional_w1
from wdist.transport.plans import Effort, Plan, feasible_plan, too_large

Values = NDArray[np.float64]
Rows = NDArray[np.int64]
Kind = Literal["approximate", "finite-sample"]

SHARE_OF_VARIANCE: Final = 0.05  # of the error, for each set's variance in the finite-sample deviation
NUMBERS: Final = 1 << 28  # 2 GiB in double precision
PAIRS_OF_GROUPS: Final = 1_000  # from which the spread of groups is estimated
ROWS_OF_A_GROUP: Final = 200  # more are not looked at there; fewer rows of a group make its distances larger on average


@dataclass(frozen=True)
class UpperEnd:
    """What the upper bound is computed from.

    Attributes:
        cost: of the plan.
        variance: total variance of a row of each set, tr Cov; of groups half the mean square of the distance of two.
        units: number of independent rows or groups of each set.
        is_linked: whether some groups are in both sets; their deviations are then added.
        diameter: the largest distance of two possible rows, if it was declared.
        plan: the plan, by numbers of the rows of each set; None on the line, where sorting gives the cost.
    """

    cost: float
    variance: tuple[float, float]
    units: tuple[int, int]
    is_linked: bool = False
    diameter: float | None = None
    plan: Plan | None = None

    @property
    def kind(self) -> Kind:
        """finite-sample if a diameter was declared, else approximate."""
        return "approximate" if self.diameter is None else "finite-sample"

    def bound(self, alpha: float) -> float:
        """The upper bound at error alpha; W1 is never above a declared diameter."""
        bound = self.cost + self.deviation(alpha)
        return bound if self.diameter is None else min(bound, self.diameter)

    def deviation(self, alpha: float) -> float:
        """What to add to the cost at error alpha."""
        if self.diameter is not None:
            return finite_sample_deviation(self.variance, self.units, self.diameter, alpha)
        roots = [math.sqrt(variance / n) for variance, n in zip(self.variance, self.units, strict=True)]
        return NormalDist().inv_cdf(1 - alpha) * (sum(roots) if self.is_linked else math.hypot(*roots))


def finite_sample_deviation(
    variance: tuple[float, float], units: tuple[int, int], diameter: float, alpha: float
) -> float:
    """Deviation of the mean difference of a 1-Lipschitz function of rows that are at most `diameter` apart.

    The smaller of Bernstein's, with a share of the error for an upper bound of each variance, and of McDiarmid's.
    variance: unbiased, of n and m rows. The variance of such a function is at most that of a row, and diameter^2 / 4.
    """
    log_share = math.log(1 / (SHARE_OF_VARIANCE * alpha))
    rest = math.log(1 / (alpha * (1 - 2 * SHARE_OF_VARIANCE)))
    spread = 0.0
    for value, n in zip(variance, units, strict=True):
        # Half of the squared distance of two rows has mean tr Cov and lies in [0, diameter^2 / 2]: n // 2 of them.
        root = diameter * math.sqrt(log_share / (4 * (n // 2)))
        largest = min((math.sqrt(value + root**2) + root) ** 2, diameter**2 / 4)
        spread += largest / n
    bernstein = math.sqrt(2 * rest * spread) + rest / 3 * diameter / min(units)
    return min(bernstein, diameter * math.sqrt(rest / 2 * (1 / units[0] + 1 / units[1])))


def upper_end_of_rows(
    x: RowSource, y: RowSource, used: tuple[Rows, Rows], effort: Effort, seed: int, diameter: float | None = None
) -> UpperEnd | str:
    """The upper end from rows that are independent draws, or why there is none.

    x, y: rescaled rows; used: the numbers of those that the bound may use, all but the ones that decided the unit.
    """
    counts = len(used[0]), len(used[1])
    if (reason := _too_large(x, counts)) is not None:
        return reason
    rows = _read(x, used[0]), _read(y, used[1])
    variance = _total_variance(rows[0]), _total_variance(rows[1])
    weights = np.full(counts[0], 1 / counts[0]), np.full(counts[1], 1 / counts[1])
    cost, plan = _cheap_plan(rows, weights, used, effort, seed)
    return UpperEnd(cost, variance, counts, diameter=diameter, plan=plan)


def upper_end_of_groups(
    x: RowSource, y: RowSource, used: tuple[Rows, Rows], codes: tuple[Rows, Rows], effort: Effort, seed: int
) -> UpperEnd | str:
    """The upper end from groups that are independent draws, or why there is none.

    codes: the group of each row of x and of y. A draw is a group, then one of its rows. The mean of a 1-Lipschitz
    function over one group differs from that over another by at most W1 between them, so that half of the mean square
    of that distance takes the place of tr Cov.
    """
    if (reason := _too_large(x, (len(used[0]), len(used[1])))) is not None:
        return reason
    rows = _read(x, used[0]), _read(y, used[1])
    of_rows = codes[0][used[0]], codes[1][used[1]]
    spreads, counts, weights = [], [], []
    for side in (0, 1):
        _, group, sizes = np.unique(of_rows[side], return_inverse=True, return_counts=True)
        weights.append(1 / (len(sizes) * sizes[group]))
        counts.append(len(sizes))
        spreads.append(_spread_of_groups(rows[side], group, len(sizes), stream(seed, Purpose.PAIRS_OF_GROUPS, side)))
    cost, plan = _cheap_plan(rows, (weights[0], weights[1]), used, effort, seed)
    is_linked = len(np.intersect1d(*codes)) > 0
    return UpperEnd(cost, (spreads[0], spreads[1]), (counts[0], counts[1]), is_linked, plan=plan)


def _too_large(x: RowSource, counts: tuple[int, int]) -> str | None:
    dimension = math.prod(x.rows(slice(0, 1)).shape[1:])
    if sum(counts) * dimension <= NUMBERS:
        return too_large(*counts) if dimension > 1 else None
    return f"the sets have more than {NUMBERS:,} numbers together, and a transport plan needs all of them in memory"


def _read(source: RowSource, used: Rows) -> Values:
    """The used rows as a matrix (len(used), d)."""
    rows = np.asarray(source.rows(used), dtype=np.float64)
    return rows.reshape(len(rows), -1)


def _total_variance(rows: Values) -> float:
    """tr Cov, unbiased. By blocks: the rows may fill most of the memory, and their squares need as much again."""
    mean, step = rows.mean(axis=0), max(1, (1 << 20) // rows.shape[1])
    squares = [float(np.square(rows[start : start + step] - mean).sum()) for start in range(0, len(rows), step)]
    return math.fsum(squares) / (len(rows) - 1)


def _cheap_plan(
    rows: tuple[Values, Values], weights: tuple[Values, Values], used: tuple[Rows, Rows], effort: Effort, seed: int
) -> tuple[float, Plan | None]:
    if rows[0].shape[1] == 1:
        return one_dimensional_w1(rows[0][:, 0], rows[1][:, 0], *weights), None
    plan = feasible_plan(*rows, *weights, effort, seed)
    return plan.cost(*rows), Plan(used[0][plan.source], used[1][plan.target], plan.mass)


def _spread_of_groups(rows: Values, group: Rows, count: int, generator: np.random.Generator) -> float:
    """Half of the mean square of W1 between two groups, over disjoint random pairs of groups."""
    order = np.argsort(group, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(group, minlength=count))[:-1])
    pairs = generator.permutation(count)[: count // 2 * 2].reshape(-1, 2)[:PAIRS_OF_GROUPS]
    squares = []
    for pair in pairs:
        one, other = (rows[generator.permutation(members[each])[:ROWS_OF_A_GROUP]] for each in pair)
        squares.append(exact_w1(one, other) ** 2)
    return float(np.mean(squares)) / 2


def diameter_from_ranges(low: NDArray[np.float64], high: NDArray[np.float64]) -> float:
    """Diameter of the box given by column ranges [low, high], each (d,): the length of its diagonal.

    The ranges must be known in advance (grey levels, percentages), not taken from the data. Raises OptionError for a
    range that is empty or not finite.
    """
    widths = np.asarray(high, dtype=np.float64) - np.asarray(low, dtype=np.float64)
    if not np.all(np.isfinite(widths)) or np.any(widths < 0):
        raise OptionError("ranges: every column needs finite ends with low <= high")
    return float(np.linalg.norm(widths))


class NumberedRows(RowSource, Protocol):
    """Rows whose numbers in the data as given are known."""

    def numbers(self, index: Rows) -> Rows: ...


def check_diameter(
    x: NumberedRows,
    y: NumberedRows,
    diameter: float,
    names: tuple[str, str] = ("source", "target"),
    block: int = 4_096,
) -> None:
    """Raise OptionError if two rows of the data are found to be farther apart than the declared diameter.

    Two sweeps find the row farthest from the first one, then the row farthest from that. Their distance is at least
    half of the data's diameter, and in practice nearly all of it.
    """
    pivot, where = np.asarray(x.rows(slice(0, 1)), dtype=np.float64).reshape(-1), (0, 0)
    for _ in range(2):
        farthest, candidate, there = -1.0, pivot, where
        for side, rows in enumerate((x, y)):
            for start in range(0, rows.n, block):
                part = np.asarray(rows.rows(slice(start, start + block)), dtype=np.float64)
                gaps = np.linalg.norm(part.reshape(len(part), -1) - pivot, axis=1)
                if gaps.max() > farthest:
                    worst = int(gaps.argmax())
                    farthest, candidate, there = float(gaps[worst]), part[worst].reshape(-1), (side, start + worst)
        # values may have been rounded to float32 before, so that a distance equal to the diameter is slightly more
        if farthest > diameter * (1 + 1e-6):
            one, other = (
                f"row {(x, y)[side].numbers(np.array([place]))[0]} of {names[side]}" for side, place in (where, there)
            )
            raise OptionError(
                f"diameter {diameter:.6g} is smaller than the data: {one} and {other} are {farthest:.6g} apart; "
                "give the largest distance that is possible, not a typical one"
            )
        pivot, where = candidate, there
