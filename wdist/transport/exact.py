"""Exact optimal transport between small sets, and the simple distances shown beside an estimate."""

import math
import sys
import warnings
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wdist.definitions.figures import NullBaseline
from wdist.errors import SampleError
from wdist.streams import Purpose, stream
from wdist.transport.pot import load_emd2

Values = NDArray[np.float64]


class RowSource(Protocol):
    """`n` rows that can be read by index: a sample set, as it is or rescaled."""

    n: int

    def rows(self, index: NDArray[np.integer[Any]] | slice) -> NDArray[np.float64]: ...


NEAR = 1e-8  # squared distances below this share of the squared norms are recomputed from differences
SPREAD_PAIRS = 1_000
COST_BYTES_LIMIT = 2 << 30  # size of the cost matrix; the solver needs about as much again
GAP = 1e-8  # of its cost: how far a plan may be from its dual value and still count as exact
LEAST_MASS = 1e-14  # of a total of 1; less than this on a pair is the rounding of the solver's flows


def flat_rows(rows: ArrayLike) -> Values:
    """Rows as a float64 matrix, images flattened."""
    array = np.asarray(rows, dtype=np.float64)
    return array.reshape(len(array), -1)


def refuse_non_finite(x: Values, y: Values) -> None:
    for name, rows in (("first", x), ("second", y)):
        if not (is_finite := np.isfinite(rows).all(axis=1)).all():
            raise SampleError(f"row {int(is_finite.argmin())} of the {name} set is not finite; leave it out or fill it")


def distances(x: ArrayLike, y: ArrayLike) -> Values:
    """Euclidean distances between all rows of x (n, ...) and y (m, ...): float64 (n, m).

    Both sets are centred first, which keeps the expansion ||x||^2 + ||y||^2 - 2 <x, y> accurate under large offsets,
    and scaled by a power of two, so that no square overflows. Pairs so close that the expansion cancels are computed
    from differences. Errors stay below 1e-11 of the data's radius. Raises SampleError for rows that are not finite or
    farther apart than the largest float64.
    """
    rows_x, rows_y = flat_rows(x), flat_rows(y)
    refuse_non_finite(rows_x, rows_y)
    exponent = _exponent(max(np.abs(rows_x).max(), np.abs(rows_y).max()))
    a, b = np.ldexp(rows_x, -exponent), np.ldexp(rows_y, -exponent)
    centre = a.mean(axis=0)
    a, b = a - centre, b - centre
    found: Values = a @ b.T
    found *= -2.0
    norms_a, norms_b = np.einsum("ij,ij->i", a, a), np.einsum("ij,ij->i", b, b)
    found += norms_a[:, None]
    found += norms_b
    i, j = np.unravel_index(found.argmax(), found.shape)
    with np.errstate(over="ignore"):
        if np.isinf(np.ldexp(np.sqrt(max(found[i, j], 0.0)), exponent)):
            raise SampleError(
                f"row {i} of the first set and row {j} of the second are farther apart than {sys.float_info.max:.3g}, "
                "the largest number in double precision; divide all rows by a constant"
            )
    is_near = found <= NEAR * (norms_a.max() + norms_b.max())
    found[is_near] = 0.0  # rounding may have made them negative
    np.sqrt(found, out=found)
    np.ldexp(found, exponent, out=found)
    _recompute(found, is_near, rows_x, rows_y)
    return found


def _exponent(value: float) -> int:
    """The e with 2^(e - 1) <= value < 2^e. Scaling by 2^-e keeps every digit."""
    return int(np.frexp(value)[1])


def _recompute(found: Values, where: NDArray[np.bool_], x: Values, y: Values) -> None:
    """Distances of the given pairs from the differences of their rows, however small or large those are."""
    height, step = max(1, (1 << 22) // len(y)), max(1, (1 << 20) // x.shape[1])
    for top in range(0, len(x), height):
        near = np.argwhere(where[top : top + height])
        for start in range(0, len(near), step):
            i, j = near[start : start + step].T
            i = i + top
            found[i, j] = _lengths(x[i] - y[j])


def pair_distances(x: Values, y: Values, i: NDArray[np.int64], j: NDArray[np.int64]) -> Values:
    """Distance (k,) between row i[k] of x (n, d) and row j[k] of y (m, d), from differences, however small or large."""
    step = max(1, (1 << 20) // x.shape[1])
    parts = [_lengths(x[i[start : start + step]] - y[j[start : start + step]]) for start in range(0, len(i), step)]
    return np.concatenate(parts)


def _lengths(gaps: Values) -> Values:
    """Norms of the rows of `gaps`, each scaled by its own power of two, so that no square over- or underflows."""
    exponents = np.frexp(np.abs(gaps).max(axis=1))[1]
    gaps = np.ldexp(gaps, -exponents[:, None])
    lengths: Values = np.ldexp(np.sqrt(np.einsum("ij,ij->i", gaps, gaps)), exponents)
    return lengths


def exact_w1(x: ArrayLike, y: ArrayLike) -> float:
    """Exact Euclidean W1 between two sets as equally weighted discrete measures.

    x (n, ...), y (m, ...). On the line by sorting, otherwise by the network simplex of POT, whose dual value must come
    within a share of 1e-8. Raises SampleError if it does not, if the solver does not converge, if the cost matrix would
    exceed 2 GiB, or for rows that are not finite or farther apart than the largest float64.
    """
    lower, upper = w1_ends(x, y)
    if lower < upper:
        raise SampleError(
            f"exact transport between {len(np.asarray(x)):,} and {len(np.asarray(y)):,} rows is only known to lie "
            f"between {lower:.6g} and {upper:.6g}, as some rows are too far from all others for double precision; "
            "leave out the farthest rows"
        )
    return upper


def w1_ends(x: ArrayLike, y: ArrayLike) -> tuple[float, float]:
    """The dual value and the cost of the best plan found; both are the exact W1 if they agree within 1e-8 of it.

    Raises the same errors as `exact_w1`, except where the two differ.
    """
    if math.prod(np.shape(x)[1:]) == 1:
        a, b = flat_rows(x), flat_rows(y)
        refuse_non_finite(a, b)
        exact = one_dimensional_w1(a[:, 0], b[:, 0])
        return exact, exact
    upper, log = solve_plan(x, y)
    return log["lower"], upper


def solve_plan(x: ArrayLike, y: ArrayLike) -> tuple[float, dict[str, Any]]:
    """The cost of the best plan found between equally weighted rows, and the solver's log.

    The log holds the dual potentials "u" (n,) and "v" (m,), and "lower", their lower bound on the cost of every plan.
    "lower" is the cost itself if the two agree within 1e-8 of it.
    """
    n, m = len(np.asarray(x)), len(np.asarray(y))
    cost, log = _solve(_costs(x, y), np.full(n, 1 / n), np.full(m, 1 / m))
    del log["G"]
    return cost, log


def plan_between(x: ArrayLike, y: ArrayLike, weights_x: Values, weights_y: Values) -> tuple[float, Values, Values]:
    """The best plan found between rows whose weights have one sum, near 1: its cost, its masses and the distances.

    Masses and distances are (n, m). The plan is optimal up to what the solver resolves. Raises the same errors as
    `w1_ends`.
    """
    costs = _costs(x, y)
    cost, log = _solve(costs, weights_x, weights_y)
    return cost, log["G"], costs


def _costs(x: ArrayLike, y: ArrayLike) -> Values:
    """`distances`, unless they need too much memory."""
    n, m = len(np.asarray(x)), len(np.asarray(y))
    if 8 * n * m > COST_BYTES_LIMIT:
        raise SampleError(
            f"exact transport between {n:,} and {m:,} rows needs {8 * n * m / 2**30:.1f} GiB for its distances, "
            f"the limit is {COST_BYTES_LIMIT / 2**30:.0f}; use a random subset of the rows"
        )
    return distances(x, y)


def _solve(costs: Values, weights_x: Values, weights_y: Values) -> tuple[float, dict[str, Any]]:
    """The cost of the best plan found, and the solver's log with "G", the plan's masses."""
    cap = float(costs.max())
    upper, log = _capped_plan(costs, cap, weights_x, weights_y)
    # The solver resolves costs up to a share of the largest, so that a few far rows can hide the rest. Distances that
    # no good plan uses can be cut: potentials that are feasible for the cut distances are feasible for the full ones.
    while upper - log["lower"] > GAP * upper and 8 * log["longest"] < cap:
        cap = 4 * log["longest"]
        upper, log = _capped_plan(costs, cap, weights_x, weights_y)
    if upper - log["lower"] <= GAP * upper:
        log["lower"] = upper
    return upper, log


def _capped_plan(costs: Values, cap: float, weights_x: Values, weights_y: Values) -> tuple[float, dict[str, Any]]:
    """A plan for min(costs, cap): its cost at the full `costs`, and the solver's log with "lower" and "longest".

    "lower" bounds the cost of every plan from below; "longest" is the largest cost of a pair that the plan uses.
    """
    n, m = costs.shape
    used = np.minimum(costs, cap) if cap < costs.max() else costs
    exponent = 0 if 0.125 < cap < 2.0**100 else _exponent(cap)  # the solver adds 1 to the largest cost
    scaled = np.ldexp(used, -exponent) if exponent else used
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the result code is checked below instead
        cost, log = load_emd2()(
            weights_x, weights_y, scaled, numItermax=max(1_000_000, 100 * (n + m)), log=True, return_matrix=True
        )
    if log["result_code"] != 1 or not math.isfinite(cost):  # 1 is OPTIMAL in POT's emd
        raise SampleError(f"exact transport between {n:,} and {m:,} rows did not converge: {log['warning']}")
    lower = math.ldexp(_dual_value(scaled, np.asarray(log["u"]), weights_x, weights_y), exponent)
    log["u"], log["v"] = np.ldexp(log["u"], exponent), np.ldexp(log["v"], exponent)
    masses = log["G"]
    is_used = masses > LEAST_MASS
    paid = costs[is_used]
    upper, reported = float(masses[is_used] @ paid), math.ldexp(float(cost), exponent)
    if abs(reported - upper) <= 1e-12 * upper:  # the same sum in the solver's order
        upper = reported
    return upper, log | {"lower": max(0.0, lower), "longest": float(paid.max())}


def _dual_value(costs: Values, u: Values, weights_x: Values, weights_y: Values) -> float:
    """weights_x . u + weights_y . v with the largest v that is feasible: v_j = min_i (costs_ij - u_i).

    A bound on its rounding errors is subtracted.
    """
    u = u - float(weights_x @ u)  # the value stays, its rounding errors fall
    v = np.full(costs.shape[1], np.inf)
    step = max(1, (1 << 20) // len(v))
    for start in range(0, len(u), step):
        part = slice(start, start + step)
        np.minimum(v, (costs[part] - u[part, None]).min(axis=0), out=v)
    terms = np.concatenate([weights_x * u, weights_y * v])
    return math.fsum(terms) - 4 * sys.float_info.epsilon * math.fsum(np.abs(terms))


def null_baseline(x: RowSource, y: RowSource, rows: int, seed: int) -> NullBaseline | None:
    """Exact OT between `rows` rows of each set, and between two disjoint parts of the larger set of the same size.

    Returns {"rows", "between", "within"}. "within" is the distance that exact OT reports at this size between equal
    distributions. `rows` is reduced to the smaller set and to half of the larger one; None if fewer than 2 rows remain.
    """
    larger = x if x.n >= y.n else y
    size = min(rows, x.n, y.n, larger.n // 2)
    if size < 2:
        return None
    generator = stream(seed, Purpose.BASELINE)
    parts = [generator.choice(samples.n, size, replace=False) for samples in (x, y)]
    halves = generator.choice(larger.n, 2 * size, replace=False)
    between = exact_w1(x.rows(parts[0]), y.rows(parts[1]))
    within = exact_w1(larger.rows(halves[:size]), larger.rows(halves[size:]))
    return {"rows": size, "between": between, "within": within}


def spread_of(x: RowSource, seed: int) -> float | None:
    """Mean Euclidean distance of two random rows, from pairs without a row in common; None of fewer than two rows.

    Up to 1,000 pairs: the mean of 1,000 is mostly within 3 % of that of all pairs.
    """
    pairs = min(SPREAD_PAIRS, x.n // 2)
    if not pairs:
        return None
    chosen = stream(seed, Purpose.SPREAD).choice(x.n, 2 * pairs, replace=False).reshape(2, pairs)
    chunks = zip(*(np.array_split(side, math.ceil(pairs / 100)) for side in chosen), strict=True)
    spread = float(np.concatenate([_apart(x.rows(one), x.rows(other)) for one, other in chunks]).mean())
    return spread if math.isfinite(spread) else None


def _apart(x: ArrayLike, y: ArrayLike) -> Values:
    """Distance of each row of x from the row of y at its place; inf beyond the largest float64."""
    a, b = flat_rows(x), flat_rows(y)
    exponent = _exponent(max(np.abs(a).max(), np.abs(b).max()))
    with np.errstate(over="ignore"):
        apart: Values = np.linalg.norm(np.ldexp(a, -exponent) - np.ldexp(b, -exponent), axis=1)
        return np.ldexp(apart, exponent)


def one_dimensional_w1(
    a: ArrayLike, b: ArrayLike, weights_a: Values | None = None, weights_b: Values | None = None
) -> float:
    """W1 between two samples on the line: the area between their distribution functions.

    a (n,), b (m,); weights of the same shapes, each with sum 1, or None for equal ones. Raises SampleError if the area
    is beyond the largest float64.
    """
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    # sums and differences of numbers near the end of float64 would overflow
    exponent = 64 if max(np.abs(x).max(), np.abs(y).max()) > 2.0**900 else 0
    x, y = np.ldexp(x, -exponent), np.ldexp(y, -exponent)
    if len(x) == len(y) and weights_a is None and weights_b is None:
        area = float(np.abs(np.sort(x) - np.sort(y)).mean())
    else:
        points = np.sort(np.concatenate([x, y]))
        below = _share_up_to(points[:-1], x, weights_a) - _share_up_to(points[:-1], y, weights_b)
        area = float((np.abs(below) * np.diff(points)).sum())
    try:
        return math.ldexp(area, exponent)
    except OverflowError:
        raise SampleError(
            f"the samples are farther apart than {sys.float_info.max:.3g}, the largest number in double precision; "
            "divide all values by a constant"
        ) from None


def _share_up_to(points: Values, values: Values, weights: Values | None) -> Values:
    """The share of the values that are at most each point."""
    order = np.argsort(values, kind="stable")
    count = len(values)
    sums = np.arange(count + 1) / count if weights is None else np.concatenate([[0.0], np.cumsum(weights[order])])
    shares: Values = sums[np.searchsorted(values[order], points, side="right")]
    return shares
