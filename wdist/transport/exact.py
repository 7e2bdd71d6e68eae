"""Exact optimal transport between small sets, and the simple distances shown beside an estimate."""

import math
import warnings
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wdist.definitions.figures import NullBaseline
from wdist.errors import SampleError
from wdist.transport.pot import load_emd2

Values = NDArray[np.float64]


class RowSource(Protocol):
    """`n` rows that can be read by index: a sample set, as it is or rescaled."""

    n: int

    def rows(self, index: NDArray[np.integer[Any]] | slice) -> NDArray[np.float32]: ...


NEAR = 1e-8  # squared distances below this share of the squared norms are recomputed from differences
COST_BYTES_LIMIT = 2 << 30  # size of the cost matrix; the solver needs about as much again


def _flat(rows: ArrayLike) -> Values:
    """Rows as a float64 matrix, images flattened."""
    array = np.asarray(rows, dtype=np.float64)
    return array.reshape(len(array), -1)


def distances(x: ArrayLike, y: ArrayLike) -> Values:
    """Euclidean distances between all rows of x (n, ...) and y (m, ...): float64 (n, m).

    Both sets are centred first, which keeps the expansion ||x||^2 + ||y||^2 - 2 <x, y> accurate under large offsets.
    Pairs so close that the expansion cancels are computed from differences. Errors stay below 1e-11 of the data's
    radius.
    """
    a, b = _flat(x), _flat(y)
    centre = a.mean(axis=0)
    a, b = a - centre, b - centre
    squared: Values = a @ b.T
    squared *= -2.0
    norms_a, norms_b = np.einsum("ij,ij->i", a, a), np.einsum("ij,ij->i", b, b)
    squared += norms_a[:, None]
    squared += norms_b
    near = np.argwhere(squared < NEAR * (norms_a.max() + norms_b.max()))
    step = max(1, (1 << 20) // a.shape[1])
    for start in range(0, len(near), step):
        i, j = near[start : start + step].T
        gaps = a[i] - b[j]
        squared[i, j] = np.einsum("ij,ij->i", gaps, gaps)
    np.sqrt(squared, out=squared)
    return squared


def exact_w1(x: ArrayLike, y: ArrayLike) -> float:
    """Exact Euclidean W1 between two sets as equally weighted discrete measures, by the network simplex of POT.

    x (n, ...), y (m, ...). Raises SampleError if the cost matrix would exceed 2 GiB or the solver does not converge.
    """
    return solve_plan(x, y)[0]


def solve_plan(x: ArrayLike, y: ArrayLike) -> tuple[float, dict[str, Any]]:
    """`exact_w1` and the solver's log, which holds the dual potentials "u" (n,) and "v" (m,)."""
    n, m = len(np.asarray(x)), len(np.asarray(y))
    return _solve(x, y, np.full(n, 1 / n), np.full(m, 1 / m))


def transport_cost(x: ArrayLike, y: ArrayLike, weights_x: Values, weights_y: Values) -> float:
    """Cost of the optimal plan between weighted rows of equal total mass. Raises the same errors as `exact_w1`."""
    mass = float(weights_x.sum())
    return mass * _solve(x, y, weights_x / mass, weights_y / float(weights_y.sum()))[0]


def _solve(x: ArrayLike, y: ArrayLike, weights_x: Values, weights_y: Values) -> tuple[float, dict[str, Any]]:
    n, m = len(weights_x), len(weights_y)
    if 8 * n * m > COST_BYTES_LIMIT:
        raise SampleError(
            f"exact transport between {n:,} and {m:,} rows needs {8 * n * m / 2**30:.1f} GiB for its distances, "
            f"the limit is {COST_BYTES_LIMIT / 2**30:.0f}; use a random subset of the rows"
        )
    emd2 = load_emd2()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the result code is checked below instead
        cost, log = emd2(weights_x, weights_y, distances(x, y), numItermax=max(1_000_000, 100 * (n + m)), log=True)
    if log["result_code"] != 1 or not math.isfinite(cost):  # 1 is OPTIMAL in POT's emd
        raise SampleError(f"exact transport between {n:,} and {m:,} rows did not converge: {log['warning']}")
    return float(cost), log


def null_baseline(x: RowSource, y: RowSource, rows: int, seed: int) -> NullBaseline | None:
    """Exact OT between `rows` rows of each set, and between two disjoint parts of the larger set of the same size.

    Returns {"rows", "between", "within"}. "within" is the distance that exact OT reports at this size between equal
    distributions. `rows` is reduced to the smaller set and to half of the larger one; None if fewer than 2 rows remain.
    """
    larger = x if x.n >= y.n else y
    size = min(rows, x.n, y.n, larger.n // 2)
    if size < 2:
        return None
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 3])))
    parts = [generator.choice(samples.n, size, replace=False) for samples in (x, y)]
    halves = generator.choice(larger.n, 2 * size, replace=False)
    between = exact_w1(x.rows(parts[0]), y.rows(parts[1]))
    within = exact_w1(larger.rows(halves[:size]), larger.rows(halves[size:]))
    return {"rows": size, "between": between, "within": within}


def one_dimensional_w1(a: ArrayLike, b: ArrayLike) -> float:
    """W1 between two samples on the line: the area between their empirical distribution functions."""
    x, y = np.sort(np.asarray(a, dtype=np.float64)), np.sort(np.asarray(b, dtype=np.float64))
    if len(x) == len(y):
        return float(np.abs(x - y).mean())
    points = np.sort(np.concatenate([x, y]))
    gaps = np.diff(points)
    below_x = np.searchsorted(x, points[:-1], side="right") / len(x)
    below_y = np.searchsorted(y, points[:-1], side="right") / len(y)
    return float((np.abs(below_x - below_y) * gaps).sum())
