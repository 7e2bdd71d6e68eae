"""Feasible transport plans between weighted rows, near the optimum at a small share of its price.

A plan starts from halving both sides alike, again and again, and coupling the parts in order. Each pass forms blocks of
neighbouring coupled pairs, first by that order, later by cuts between the middles of the pairs. Each block is coupled
anew, by exact transport between the mass that its pairs move. What leaves and reaches each row stays the same, so that
every pass ends with a feasible plan that costs no more than the last one.

All masses are whole numbers of one unit: 1 / lcm(n, m) for rows that weigh equally, else 2^-48. Sums and differences of
such numbers are exact in float64, the solver's too, so that no rounding builds up over the passes.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wdist.errors import SampleError
from wdist.streams import Purpose, stream
from wdist.transport.exact import Values, flat_rows, pair_distances, plan_between, refuse_non_finite

Indices = NDArray[np.int64]
Effort = Literal["standard", "tight"]

BITS = 48  # of all units together, so that 4 bits of float64 are left for the solver's rescaling
PLACE_COLUMNS = 16  # of more columns, this many random projections decide where blocks are cut
FIRST_LEVELS = 16  # halvings for the first plan; more would put up its price and change little
ONE_BLOCK: dict[Effort, int] = {"standard": 2_000, "tight": 4_000}  # rows in all that are solved exactly: .1 s, .6 s
MANY_ROWS = 400_000  # of more rows in all, blocks are small
MOST_ROWS = 4_000_000  # a minute or two, and 2 GB beside the rows

Coupling = tuple[Indices, Indices, Indices]  # source rows, target rows, units of mass


@dataclass(frozen=True)
class Plan:
    """mass[k] > 0 goes from row source[k] to row target[k]; each array is (k,).

    What leaves a source row, and what reaches a target row, is its weight, up to 1e-14 and the rounding of a sum.
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
class Work:
    """How a plan is improved: `passes` over all coupled pairs, in blocks of at most `block_pairs`."""

    block_pairs: int
    passes: int


def work(n: int, m: int, effort: Effort) -> Work:
    """The work on a plan between n and m rows: one block if they are few, one pass in small blocks if they are many.

    In between it takes about a second, or several for "tight". If one side has far fewer rows than the other, blocks
    are cheap, and there are more passes.
    """
    block_pairs, most, budget = (512, 4, 80_000) if effort == "standard" else (1_024, 8, 240_000)
    if n + m <= ONE_BLOCK[effort]:
        return Work(n + m, 1)
    if n + m > MANY_ROWS:
        return Work(block_pairs // 4, 1)
    return Work(block_pairs, min(most, max(1, budget // (2 * math.isqrt(n * m)))))


def too_large(n: int, m: int) -> str | None:
    """Why `feasible_plan` refuses sets of n and m rows, or None if it does not."""
    if n + m <= MOST_ROWS:
        return None
    return f"a plan between {n:,} and {m:,} rows would take minutes; the limit is {MOST_ROWS:,} rows in all"


def feasible_plan(
    x: ArrayLike, y: ArrayLike, weights_x: ArrayLike, weights_y: ArrayLike, effort: Effort, seed: int
) -> Plan:
    """A transport plan between rows x (n, ...) with weights (n,) and y (m, ...) with weights (m,), each of sum 1.

    Every plan costs at least W1 between the weighted rows; this one costs just that if all rows fit into one block. The
    work depends on n, m and `effort` alone (see `work`), and the plan on the rows, the weights, `effort` and `seed`.

    Raises SampleError for more rows than `too_large` allows, for rows that are not finite, and for rows farther apart
    than the largest float64.
    """
    rows_x, rows_y = flat_rows(x), flat_rows(y)
    refuse_non_finite(rows_x, rows_y)
    if (reason := too_large(len(rows_x), len(rows_y))) is not None:
        raise SampleError(f"{reason}; use a random subset of the rows")
    generator = stream(seed, Purpose.PLAN)
    at_x, at_y = _places(rows_x, rows_y, generator)
    units_x, units_y, whole = _units(np.asarray(weights_x, dtype=np.float64), np.asarray(weights_y, dtype=np.float64))
    coupling = _first(at_x, at_y, units_x, units_y, generator)
    planned = work(len(rows_x), len(rows_y), effort)
    for number in range(planned.passes):
        source, target, _ = coupling
        if number == 0:
            blocks = np.array_split(np.arange(len(source)), math.ceil(len(source) / planned.block_pairs))
        else:
            blocks = _blocks(at_x[source] + at_y[target], planned.block_pairs, generator)
        coupling = _improved(rows_x, rows_y, coupling, blocks)
    source, target, units = coupling
    return Plan(source, target, units / whole)


def _units(weights_x: Values, weights_y: Values) -> tuple[Indices, Indices, int]:
    """The weights of both sides as whole numbers of a unit, and how many units there are on each side.

    Equal weights are whole numbers of 1 / lcm(n, m): then no pair moves only what rounding left over. Others are within
    2^-48 of their weight.
    """
    n, m = len(weights_x), len(weights_y)
    whole = math.lcm(n, m)
    if np.ptp(weights_x) == np.ptp(weights_y) == 0 and whole <= 1 << BITS:
        return np.full(n, whole // n), np.full(m, whole // m), whole
    sides = []
    for weights in (weights_x, weights_y):
        ends = np.cumsum(weights)
        sides.append(np.diff(np.rint(np.ldexp(ends / ends[-1], BITS)).astype(np.int64), prepend=0))
    return sides[0], sides[1], 1 << BITS


def _places(x: Values, y: Values, generator: np.random.Generator) -> tuple[Values, Values]:
    """The rows as points near 1 in size and of few columns, for cuts alone: they need not be accurate."""
    a, b, d = x, y, x.shape[1]
    if d > PLACE_COLUMNS:
        projection = np.ldexp(generator.standard_normal((d, PLACE_COLUMNS)), -_size(x, y))
        a, b = x @ projection, y @ projection
    a, b = (np.ldexp(points, -_size(a, b)) for points in (a, b))
    a, b = a - a[0], b - a[0]  # a column of one value becomes 0, however large the value is beside the other columns
    a, b = (np.ldexp(points, -_size(a, b)) for points in (a, b))
    return a, b


def _size(x: Values, y: Values) -> int:
    """The largest binary exponent of the values, cut to those for which 2^-exponent is no extreme number itself."""
    largest = max(max(-points.min(), points.max()) for points in (x, y))  # |x| would be a copy of all rows
    return int(np.clip(np.frexp(largest)[1], -1_000, 1_000))


def _first(at_x: Values, at_y: Values, units_x: Indices, units_y: Indices, generator: np.random.Generator) -> Coupling:
    """Both sides halved alike, laid out in the order that this gives, and coupled where they overlap."""
    levels = min(FIRST_LEVELS, max(len(at_x), len(at_y)).bit_length() - 1)
    (order_x, _), (order_y, _) = _halved([(at_x, units_x), (at_y, units_y)], levels, generator)
    ends_x, ends_y = np.cumsum(units_x[order_x]), np.cumsum(units_y[order_y])
    ends = np.union1d(ends_x, ends_y)
    ends = ends[ends > 0]  # a row of less than half a unit has none
    source, target = order_x[np.searchsorted(ends_x, ends)], order_y[np.searchsorted(ends_y, ends)]
    return source, target, np.diff(ends, prepend=0)


def _blocks(points: Values, size: int, generator: np.random.Generator) -> list[Indices]:
    """Numbers of the points in blocks of at most `size` neighbours."""
    levels = (math.ceil(len(points) / size) - 1).bit_length()
    ((order, part),) = _halved([(points, np.ones(len(points), dtype=np.int64))], levels, generator)
    return np.split(order, np.flatnonzero(np.diff(part)) + 1)


def _halved(
    sides: Sequence[tuple[Values, Indices]], levels: int, generator: np.random.Generator
) -> list[tuple[Indices, Indices]]:
    """For each side, points and masses, an order of its points and their parts (ascending) after `levels` halvings.

    Every part is cut into halves of equal mass across the line through two of its points, drawn at random, so that cuts
    follow the spread of the points. All sides are cut across the same line: one joins the first side to the last.
    """
    found = [(np.arange(len(points)), np.zeros(len(points), dtype=np.int64)) for points, _ in sides]
    for level in range(levels):
        starts, stops = (
            _members(points, *found[side], 1 << level, generator)
            for side, (points, _) in ((0, sides[0]), (-1, sides[-1]))
        )
        lines = stops - starts
        for side, ((points, masses), (order, part)) in enumerate(zip(sides, found, strict=True)):
            values = np.einsum("ij,ij->i", points[order], lines[part])
            order = order[np.lexsort((values, part))]
            ends = np.cumsum(masses[order])
            middles = (ends - 0.5 * masses[order]) / ends[-1]
            parts = 2 << level
            found[side] = order, np.minimum((middles * parts).astype(np.int64), parts - 1)
    return found


def _members(points: Values, order: Indices, part: Indices, parts: int, generator: np.random.Generator) -> Values:
    """A random point of each part (parts, d); of an empty part, a point near by."""
    bounds = np.searchsorted(part, np.arange(parts + 1))
    drawn = bounds[:-1] + (generator.random(parts) * np.diff(bounds)).astype(np.int64)
    return points[order[np.minimum(drawn, len(order) - 1)]]


def _improved(x: Values, y: Values, plan: Coupling, blocks: Iterable[Indices]) -> Coupling:
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
    if whole.min() < 0 or np.any(whole.sum(axis=1) != mass_x) or np.any(whole.sum(axis=0) != mass_y):
        return pairs
    if cost >= np.ldexp(units.astype(np.float64), -exponent) @ costs[at_x, at_y]:
        return pairs
    i, j = np.nonzero(whole)
    return rows_x[i], rows_y[j], whole[i, j].astype(np.int64)
