"""Upper confidence bound on the population W1, from exact transport between disjoint blocks of rows."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wdist.errors import OptionError, SampleError
from wdist.streams import Purpose, stream
from wdist.transport.exact import RowSource, exact_w1


@dataclass(frozen=True)
class UpperBound:
    """W1(P, Q) <= value with probability at least 1 - alpha, if both supports lie in a set of the given diameter.

    block_mean: mean W1 over `blocks` pairs of blocks with `block_rows` rows each; its expectation is at least W1.
    """

    value: float
    block_mean: float
    blocks: int
    block_rows: int
    diameter: float
    alpha: float

    @property
    def assumption(self) -> str:
        """The assumption behind the bound, in words."""
        return f"no two possible rows of the two populations are more than {self.diameter:.6g} apart"


def upper_bound(
    x: RowSource,
    y: RowSource,
    alpha: float,
    diameter: float,
    *,
    seed: int = 0,
    block_rows: int = 1_000,
    blocks: int = 20,
    is_checked: bool = False,
) -> UpperBound:
    """Upper bound on W1 at error alpha, from exact transport between K pairs of blocks and McDiarmid's inequality.

    E W1(P_b, Q_b) >= W1(P, Q), since W1 is convex. One row changes the mean over K blocks by at most diameter / (K b):
    upper = mean + diameter sqrt((1/n' + 1/m') ln(1/alpha) / 2), n' = m' = K b. The bound is loose in high dimension,
    because the mean itself is biased upwards by about b^(-1/d). The blocks are disjoint and drawn with the seed. The
    critic plays no part, so train rows may be used. Rows that decided the unit of the distance may not. Set
    `is_checked` if `check_diameter` has already passed.

    Raises OptionError if the diameter is not positive or smaller than the data's, SampleError below 2 rows a side.
    """
    if not (math.isfinite(diameter) and diameter > 0):
        raise OptionError(
            f"diameter {diameter} is not a positive number; give the largest possible distance of two rows"
        )
    if not 0 < alpha < 1:
        raise OptionError(f"alpha {alpha} is outside (0, 1)")
    size = min(block_rows, x.n, y.n)
    if size < 2:
        raise SampleError(f"{x.n} and {y.n} rows are too few for an upper bound; at least 2 a side are needed")
    count = max(1, min(blocks, x.n // size, y.n // size))
    if not is_checked:
        check_diameter(x, y, diameter)
    chosen = [
        stream(seed, Purpose.BLOCKS_OF_TRANSPORT, side).choice(rows.n, count * size, replace=False)
        for side, rows in enumerate((x, y))
    ]
    costs = []
    for block in range(count):
        part = slice(block * size, (block + 1) * size)
        costs.append(exact_w1(x.rows(chosen[0][part]), y.rows(chosen[1][part])))
    block_mean = float(np.mean(costs))
    deviation = diameter * math.sqrt(2 / (count * size) * math.log(1 / alpha) / 2)
    return UpperBound(min(block_mean + deviation, diameter), block_mean, count, size, diameter, alpha)


def diameter_from_ranges(low: NDArray[np.float64], high: NDArray[np.float64]) -> float:
    """Diameter of the box given by column ranges [low, high], each (d,): the length of its diagonal.

    The ranges must be known in advance (grey levels, percentages), not taken from the data. Raises OptionError for a
    range that is empty or not finite.
    """
    widths = np.asarray(high, dtype=np.float64) - np.asarray(low, dtype=np.float64)
    if not np.all(np.isfinite(widths)) or np.any(widths < 0):
        raise OptionError("ranges: every column needs finite ends with low <= high")
    return float(np.linalg.norm(widths))


def check_diameter(x: RowSource, y: RowSource, diameter: float, block: int = 4_096) -> None:
    """Raise OptionError if two rows of the data are found to be farther apart than the declared diameter.

    Two sweeps find the row farthest from the first one, then the row farthest from that. Their distance is at least
    half of the data's diameter, and in practice nearly all of it.
    """
    pivot, where = np.asarray(x.rows(slice(0, 1)), dtype=np.float64).reshape(-1), ("source", 0)
    for _ in range(2):
        farthest, candidate, there = -1.0, pivot, where
        for name, rows in (("source", x), ("target", y)):
            for start in range(0, rows.n, block):
                part = np.asarray(rows.rows(slice(start, start + block)), dtype=np.float64)
                gaps = np.linalg.norm(part.reshape(len(part), -1) - pivot, axis=1)
                if gaps.max() > farthest:
                    worst = int(gaps.argmax())
                    farthest, candidate, there = float(gaps[worst]), part[worst].reshape(-1), (name, start + worst)
        # values may have been rounded to float32 before, so that a distance equal to the diameter is slightly more
        if farthest > diameter * (1 + 1e-6):
            raise OptionError(
                f"diameter {diameter:.6g} is smaller than the data: row {where[1]} of {where[0]} and row {there[1]} of "
                f"{there[0]} are {farthest:.6g} apart; give the largest distance that is possible, not a typical one"
            )
        pivot, where = candidate, there
