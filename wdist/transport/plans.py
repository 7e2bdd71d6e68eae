"""Feasible transport plans between weighted rows, near the optimum at a small share of its price.

A plan starts as the couplings of two sorted orders. Each pass cuts its coupled pairs into blocks of neighbours and
couples each block anew, by exact transport between the mass that its pairs move. What leaves and reaches each row stays
the same, so that every pass ends with a feasible plan, which costs no more than the one before.

All masses are whole numbers of 2^-48. Sums and differences of such numbers up to 1 are exact in float64, the solver's
too, so that no rounding builds up over the passes.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wdist.errors import SampleError
from wdist.streams import Purpose, stream
from wdist.transport.exact import Values, flat_rows, pair_distances, plan_between

Indices = NDArray[np.int64]
Effort = Literal["standard", "tight"]

BITS = 48  # masses are multiples of 2^-48, so that 4 bits of float64 are left for the solver's rescaling
CUT_COLUMNS = 16  # blocks are cut in at most this many random projections of the rows


@dataclass(frozen=True)
class Plan:
    """mass[k] > 0 goes from row source[k] to row target[k]; each array is (k,).

    What leaves a source row, and what reaches a target row, is its weight up to 4e-15.
    """

    source: Indices
    target: Indices
    mass: Values

    def cost(self, x: ArrayLike, y: ArrayLike) -> float:
        """Mass times Euclidean distance, summed over the pairs, for rows x (n, ...) and y (m, ...).

        Distances are computed from differences in float64: no offset or scale of the rows blurs them. Raises
        SampleError if the cost is beyond the largest float64.
        """
        with np.errstate(over="ignore"):
            gaps = pair_distances(flat_rows(x), flat_rows(y), self.source, self.target)
        cost = math.fsum(gaps * self.mass)
        if not math.isfinite(cost):
            raise SampleError(
                "the cost of the transport plan is beyond double precision; divide all rows by a constant"
            )
        return cost


@dataclass(frozen=True)
class _Work:
    """passes: block sizes, in coupled pairs, one after the other."""

    passes: tuple[int, ...]


def feasible_plan(
    x: ArrayLike, y: ArrayLike, weights_x: ArrayLike, weights_y: ArrayLike, effort: Effort, seed: int
) -> Plan:
    """A transport plan between rows x (n, ...) with weights (n,) and y (m, ...) with weights (m,), each of sum 1.

    Every plan costs at least W1 between the weighted rows. The work depends on n, m, the number of columns and `effort`
    alone, and the plan on these, the rows, the weights and the seed.

    Raises SampleError for rows that are not finite, or so far apart that their distance is not.
    """
    rows_x, rows_y = flat_rows(x), flat_rows(y)
    generator = stream(seed, Purpose.PLAN)
    on_x, on_y = _cut_columns(rows_x, rows_y, generator)
    plan = _sorted_plan(_units(weights_x), _units(weights_y), on_x[:, 0], on_y[:, 0])
    for number, size in enumerate(_work(len(rows_x), len(rows_y), effort).passes):
        plan = _improved(rows_x, rows_y, plan, _blocks(_features(on_x, on_y, plan, number), size, generator))
    source, target, units = plan
    return Plan(source, target, np.ldexp(units.astype(np.float64), -BITS))


Coupling = tuple[Indices, Indices, Indices]  # source rows, target rows, units of mass


def _work(n: int, m: int, effort: Effort) -> _Work:
    pairs = n + m
    passes = 8 if effort == "standard" else 12
    return _Work((500,) * passes if pairs > 1_000 else (pairs,))


def _units(weights: ArrayLike) -> Indices:
    """The weights as whole numbers of 2^-48, of sum 2^48, each within one unit of its weight."""
    ends = np.cumsum(np.asarray(weights, dtype=np.float64))
    units: Indices = np.diff(np.rint(np.ldexp(ends / ends[-1], BITS)).astype(np.int64), prepend=0)
    return units


def _cut_columns(x: Values, y: Values, generator: np.random.Generator) -> tuple[Values, Values]:
    """Rows as points in a few dimensions, near 1 in size, in which blocks are cut. No accuracy is needed there."""
    exponent = int(np.frexp(max(np.abs(x).max(), np.abs(y).max()))[1])
    a, b = np.ldexp(x, -exponent), np.ldexp(y, -exponent)
    centre = a.mean(axis=0)
    a, b = a - centre, b - centre
    projection = generator.standard_normal((a.shape[1], min(CUT_COLUMNS, a.shape[1])))
    return a @ projection, b @ projection


def _sorted_plan(units_x: Indices, units_y: Indices, values_x: Values, values_y: Values) -> Coupling:
    """Both sides laid out by increasing value, coupled where they overlap."""
    order_x, order_y = np.argsort(values_x, kind="stable"), np.argsort(values_y, kind="stable")
    ends_x, ends_y = np.cumsum(units_x[order_x]), np.cumsum(units_y[order_y])
    ends = np.union1d(ends_x, ends_y)
    ends = ends[ends > 0]
    source, target = order_x[np.searchsorted(ends_x, ends)], order_y[np.searchsorted(ends_y, ends)]
    return source, target, np.diff(ends, prepend=0)


def _features(x: Values, y: Values, plan: Coupling, number: int) -> Values:
    """A point for each pair: by turns its middle, its source and its target."""
    source, target, _ = plan
    return [lambda: x[source] + y[target], lambda: x[source], lambda: y[target]][number % 3]()


def _blocks(points: Values, size: int, generator: np.random.Generator) -> Iterator[Indices]:
    """Numbers of the points, cut into blocks of at most `size`: halves of halves, each across a random direction.

    The direction of a cut joins two random points of what is cut, so that it follows the spread of the points there.
    """
    order = np.arange(len(points))
    bounds = np.array([0, len(points)])
    for _ in range(math.ceil(math.log2(max(1.0, len(points) / size)))):
        starts, sizes = bounds[:-1], np.diff(bounds)
        node = np.repeat(np.arange(len(sizes)), sizes)
        ends = [points[order[starts + (generator.random(len(sizes)) * sizes).astype(np.int64)]] for _ in range(2)]
        values = np.einsum("ij,ij->i", points[order], (ends[0] - ends[1])[node])
        order = order[np.lexsort((values, node))]
        bounds = np.sort(np.concatenate([bounds, starts + sizes // 2]))
    for start, stop in pairwise(bounds):
        yield order[start:stop]


def _improved(x: Values, y: Values, plan: Coupling, blocks: Iterator[Indices]) -> Coupling:
    """The plan with the pairs of each block coupled anew."""
    source, target, units = plan
    parts = [_solved(x, y, (source[block], target[block], units[block])) for block in blocks]
    found = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
    return found[0], found[1], found[2]


def _solved(x: Values, y: Values, pairs: Coupling) -> Coupling:
    """The cheapest coupling of the mass that the pairs move; the pairs themselves where none is found to be cheaper."""
    source, target, units = pairs
    rows_x, at_x = np.unique(source, return_inverse=True)
    rows_y, at_y = np.unique(target, return_inverse=True)
    if min(len(rows_x), len(rows_y)) < 2:
        return pairs
    mass_x, mass_y = np.bincount(at_x, units), np.bincount(at_y, units)  # float64: exact, below 2^53
    exponent = int(np.frexp(mass_x.sum())[1])
    cost, flows, costs = plan_between(x[rows_x], y[rows_y], np.ldexp(mass_x, -exponent), np.ldexp(mass_y, -exponent))
    whole = np.rint(np.ldexp(flows, exponent))
    if np.any(whole.sum(axis=1) != mass_x) or np.any(whole.sum(axis=0) != mass_y):
        return pairs
    if cost >= np.ldexp(units.astype(np.float64), -exponent) @ costs[at_x, at_y]:
        return pairs
    i, j = np.nonzero(whole)
    return rows_x[i], rows_y[j], whole[i, j].astype(np.int64)
