"""Facts about the uploaded rows themselves, as discrete measures: a lower and an upper end of their W1."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wdist.errors import SampleError
from wdist.transport.exact import distances, exact_w1, transport_cost

Values = NDArray[np.float64]

EXACT_ROWS = 5_000  # a side: seconds and 200 MB; beyond, the bracket is left open
TRANSFORM_PAIRS = 2_500_000_000  # distances in one c-transform: about a minute at 64 dimensions on 2 cores
ROUNDING = 1e-9  # of the data's radius: well above the rounding of `distances`
TRIAL_EVERY = 5  # blocks behind the choice of an order: a fifth


def empirical_bracket(
    x: ArrayLike,
    y: ArrayLike,
    scores_x: ArrayLike,
    scores_y: ArrayLike,
    lipschitz_bound: float,
    *,
    block_rows: int = 1_000,
) -> dict[str, float | None]:
    """{"lower", "upper", "exact"}: W1 between the two files' rows with equal weights; deterministic, no confidence.

    x (n, ...), y (m, ...): all rows; scores: the critic on them, not clipped to anything narrower than it was proven
    for; lipschitz_bound: its L. Up to 5,000 rows a side all three are the exact value. Otherwise lower is the critic's
    dual value, sharpened by the c-transform where that is affordable, and upper the cost of a block plan.
    """
    n, m = len(np.asarray(x)), len(np.asarray(y))
    if max(n, m) <= EXACT_ROWS:
        exact = exact_w1(x, y)
        return {"lower": exact, "upper": exact, "exact": exact}
    f, g = (np.asarray(scores, dtype=np.float64) / lipschitz_bound for scores in (scores_x, scores_y))
    lower = float(g.mean() - f.mean())
    if n * m <= TRANSFORM_PAIRS:
        lower = max(lower, dual_value(x, y, g))
    return {"lower": max(0.0, lower), "upper": best_block_plan_cost(x, y, f, g, block_rows), "exact": None}


def c_transform(points: ArrayLike, others: ArrayLike, values: Values) -> Values:
    """min_j (values_j + ||p_i - o_j||) for points (n, ...) and others (m, ...): float64 (n,), in blocks of memory."""
    rows, fixed = np.asarray(points), np.asarray(others)
    step = max(1, (1 << 22) // len(fixed))
    out = np.empty(len(rows))
    for start in range(0, len(rows), step):
        out[start : start + step] = (distances(rows[start : start + step], fixed) + values).min(axis=1)
    return out


def dual_value(x: ArrayLike, y: ArrayLike, g: Values) -> float:
    """A lower end of the W1 between two sets, from any values g (m,) on the rows of y.

    h_i = max_j (g_j - d_ij) is the least feasible partner on x, then g_j = min_i (h_i + d_ij) the greatest on y: both
    only raise mean g - mean h, and every pair satisfies g_j - h_i <= d_ij, so weak duality holds whatever g was. The
    rounding of the distances is subtracted.
    """
    h = -c_transform(x, y, -g)
    sharpened = c_transform(y, x, h)
    radius = float(np.abs(np.asarray(x, dtype=np.float64)).max()) * math.sqrt(np.asarray(x)[0].size)
    return float(sharpened.mean() - h.mean()) - ROUNDING * max(radius, float(np.abs(h).max()))


def best_block_plan_cost(x: ArrayLike, y: ArrayLike, f: Values, g: Values, block_rows: int = 1_000) -> float:
    """`block_plan_cost` in the order of the critic's scores or in random order, whichever a few blocks say is cheaper.

    Scores order rows along the direction of transport, which helps where mass moves one way; several separate places
    of origin undo that, and a random order is never worse than transport between random subsets.
    """
    generator = np.random.default_rng(len(f))
    orders = [(f, g), (generator.random(len(f)), generator.random(len(g)))]
    trial = [block_plan_cost(x, y, *order, block_rows, every=TRIAL_EVERY) for order in orders]
    return block_plan_cost(x, y, *orders[int(np.argmin(trial))], block_rows)


def block_plan_cost(
    x: ArrayLike, y: ArrayLike, order_x: Values, order_y: Values, block_rows: int = 1_000, every: int = 1
) -> float:
    """Cost of a feasible plan between all rows of two sets: exact transport inside blocks of equal mass.

    Rows are laid along the unit interval of mass in the order of `order_x` (n,) and `order_y` (m,), which is cut into
    blocks; a row that straddles a cut is shared. Any plan that respects both marginals costs at least W1. Orders that
    put near rows into the same block make it tighter. With `every` > 1 only every so many blocks are solved, which
    estimates the cost and is no longer an upper end.
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
    """For each of `blocks` equal parts of the unit mass: the first row in it, and the mass of each of its rows.

    Counted in units of 1 / (n * blocks), where every row has `blocks` units and every block n: whole numbers, exact.
    """
    for block in range(blocks):
        start, stop = block * n, (block + 1) * n
        first, last = start // blocks, (stop - 1) // blocks
        edges = np.clip(np.arange(first, last + 2, dtype=np.int64) * blocks, start, stop)
        yield first, np.diff(edges) / (n * blocks)
