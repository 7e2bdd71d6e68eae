"""Lower and upper ends of the W1 between the given rows themselves, as discrete measures."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wdist.definitions.figures import Empirical
from wdist.errors import SampleError
from wdist.streams import Purpose, stream
from wdist.transport.exact import distances, transport_cost, w1_ends

Values = NDArray[np.float64]

EXACT_ROWS = 5_000  # rows a side solved exactly: seconds and 200 MB; larger sets only get a lower and an upper end
TRANSFORM_PAIRS = 2_500_000_000  # distances in one c-transform: about a minute at 64 dimensions on 2 cores
ROUNDING = 1e-9  # relative to the data's radius; well above the rounding error of `distances`
TRIAL_EVERY = 5  # one block in five is solved to choose an order


def empirical_bracket(
    x: ArrayLike,
    y: ArrayLike,
    scores_x: ArrayLike,
    scores_y: ArrayLike,
    lipschitz_bound: float,
    *,
    block_rows: int = 1_000,
) -> Empirical:
    """{"lower", "upper", "exact"}: bracket of the W1 between two sets of equally weighted rows.

    The bracket is deterministic and involves no confidence level. x (n, ...), y (m, ...): all rows; scores: the
    critic's values on them; lipschitz_bound: the critic's proven L. The scores must be those of the function for which
    L was proven. Up to 5,000 rows a side, all three are the exact value, or the two ends that `w1_ends` finds with None
    for "exact" if they differ. Beyond that, lower is the critic's dual value, sharpened by the c-transform where that
    is affordable, and upper is the cost of a block plan.
    """
    n, m = len(np.asarray(x)), len(np.asarray(y))
    if max(n, m) <= EXACT_ROWS:
        lower, upper = w1_ends(x, y)
        return {"lower": lower, "upper": upper, "exact": upper if lower == upper else None}
    f, g = (np.asarray(scores, dtype=np.float64) / lipschitz_bound for scores in (scores_x, scores_y))
    lower = float(g.mean() - f.mean())
    if n * m <= TRANSFORM_PAIRS:
        lower = max(lower, dual_value(x, y, g))
    return {"lower": max(0.0, lower), "upper": best_block_plan_cost(x, y, f, g, block_rows), "exact": None}


def c_transform(points: ArrayLike, others: ArrayLike, values: Values) -> Values:
    """min_j (values_j + ||p_i - o_j||) for points (n, ...) and others (m, ...): float64 (n,), computed in blocks."""
    rows, fixed = np.asarray(points), np.asarray(others)
    step = max(1, (1 << 22) // len(fixed))
    out = np.empty(len(rows))
    for start in range(0, len(rows), step):
        out[start : start + step] = (distances(rows[start : start + step], fixed) + values).min(axis=1)
    return out


def dual_value(x: ArrayLike, y: ArrayLike, g: Values) -> float:
    """A lower bound on the W1 between two sets, from any values g (m,) on the rows of y.

    h_i = max_j (g_j - d_ij) is the smallest feasible partner on x, and g_j = min_i (h_i + d_ij) is then the largest on
    y. Both steps can only raise mean g - mean h. Every pair satisfies g_j - h_i <= d_ij, so weak duality holds for any
    initial g. A margin for the rounding of the distances is subtracted.
    """
    h = -c_transform(x, y, -g)
    sharpened = c_transform(y, x, h)
    radius = float(np.abs(np.asarray(x, dtype=np.float64)).max()) * math.sqrt(np.asarray(x)[0].size)
    return float(sharpened.mean() - h.mean()) - ROUNDING * max(radius, float(np.abs(h).max()))


def best_block_plan_cost(x: ArrayLike, y: ArrayLike, f: Values, g: Values, block_rows: int = 1_000) -> float:
    """`block_plan_cost` in the order of the critic's scores or in random order, whichever is cheaper on a few blocks.

    Scores order rows along the direction of transport, which helps if all mass moves one way. It does not help if mass
    starts from several separate places; a random order is then no worse than transport between random subsets.
    """
    generator = stream(len(f), Purpose.BRACKET)
    orders = [(f, g), (generator.random(len(f)), generator.random(len(g)))]
    trial = [block_plan_cost(x, y, *order, block_rows, every=TRIAL_EVERY) for order in orders]
    return block_plan_cost(x, y, *orders[int(np.argmin(trial))], block_rows)


def block_plan_cost(
    x: ArrayLike, y: ArrayLike, order_x: Values, order_y: Values, block_rows: int = 1_000, every: int = 1
) -> float:
    """Cost of a feasible plan between all rows of two sets: exact transport inside blocks of equal mass.

    Rows are sorted by `order_x` (n,) and `order_y` (m,) and cut into blocks of equal mass; a row that straddles a cut
    is shared between blocks. Any plan that respects both marginals costs at least W1. The cost is tighter if nearby
    rows fall into the same block. With `every` > 1, only one block in `every` is solved: the result then estimates the
    cost and is no longer an upper bound.
    """
    a, b = np.asarray(x), np.asarray(y)
    blocks = max(1, math.ceil(max(len(a), len(b)) / block_rows))
    rank_x, rank_y = np.argsort(order_x, kind="stable"), np.argsort(order_y, kind="stable")
    total = 0.0
    pieces = list(zip(_pieces(len(a), blocks), _pieces(len(b), blocks), strict=True))[every // 2 :: every]
    for (first_x, weights_x), (first_y, weights_y) in pieces:
        part_x = a[rank_x[first_x : first_x + len(weights_x)]]
        part_y = b[rank_y[first_y : first_y + len(weights_y)]]
        total += transport_cost(part_x, part_y, weights_x, weights_y)
    if not math.isfinite(total):
        raise SampleError("the block plan's cost is not finite; check the rows for values beyond float64")
    return total * blocks / len(pieces)


def _pieces(n: int, blocks: int) -> Iterator[tuple[int, Values]]:
    """For each of `blocks` equal parts of the unit mass: its first row, and the mass of each of its rows.

    Mass is counted in units of 1 / (n * blocks). A row has `blocks` units and a block has n, so the counts are exact.
    """
    for block in range(blocks):
        start, stop = block * n, (block + 1) * n
        first, last = start // blocks, (stop - 1) // blocks
        edges = np.clip(np.arange(first, last + 2, dtype=np.int64) * blocks, start, stop)
        yield first, np.diff(edges) / (n * blocks)
