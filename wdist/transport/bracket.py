"""Lower and upper ends of the W1 between the given rows themselves, as discrete measures."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wdist.definitions.figures import Empirical
from wdist.transport.exact import distances, w1_ends
from wdist.transport.plans import feasible_plan

Values = NDArray[np.float64]

EXACT_ROWS = 5_000  # rows a side solved exactly: seconds and 200 MB; larger sets only get a lower and an upper end
TRANSFORM_PAIRS = 2_500_000_000  # distances in one c-transform: about a minute at 64 dimensions on 2 cores
ROUNDING = 1e-9  # relative to the data's radius; well above the rounding error of `distances`


def empirical_bracket(
    x: ArrayLike,
    y: ArrayLike,
    scores_x: ArrayLike,
    scores_y: ArrayLike,
    lipschitz_bound: float,
) -> Empirical:
    """{"lower", "upper", "exact"}: bracket of the W1 between two sets of equally weighted rows.

    The bracket is deterministic and involves no confidence level. x (n, ...), y (m, ...): all rows; scores: the
    critic's values on them; lipschitz_bound: the critic's proven L. The scores must be those of the function for which
    L was proven. Up to 5,000 rows a side, all three are the exact value, or the two ends that `w1_ends` finds with None
    for "exact" if they differ. Beyond that, lower is the critic's dual value, sharpened by the c-transform where that
    is affordable, and upper is the cost of a feasible plan.
    """
    n, m = len(np.asarray(x)), len(np.asarray(y))
    if max(n, m) <= EXACT_ROWS:
        lower, upper = w1_ends(x, y)
        return {"lower": lower, "upper": upper, "exact": upper if lower == upper else None}
    f, g = (np.asarray(scores, dtype=np.float64) / lipschitz_bound for scores in (scores_x, scores_y))
    lower = float(g.mean() - f.mean())
    if n * m <= TRANSFORM_PAIRS:
        lower = max(lower, dual_value(x, y, g))
    plan = feasible_plan(x, y, np.full(n, 1 / n), np.full(m, 1 / m), "standard", seed=0)
    return {"lower": max(0.0, lower), "upper": plan.cost(x, y), "exact": None}


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
