"""The upper end: what the certified transport plan costs, and how far the means of two samples may deviate.

Written from docs/certificate.md, not from the issuer's code. For every 1-Lipschitz function u, a plan with masses p
between rows x_i and y_j of weights w_i and v_j gives sum v_j u(y_j) - sum w_i u(x_i) <= cost + sum |v_j - p_j| d(y_j)
+ sum |w_i - p_i| d(x_i), where d is the distance from any fixed point. So masses that do not add up have a price, and
no plan makes the bound too small.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .container import CertificateError, Tensors
from .order import Index, Parts
from .rounding import NORM_ROUNDING, U, Values, row_norms
from .rows import Input

TOLERANCE = 1e-9  # of the cost and one deviation
ROUNDING_SHARE = 1e-2  # of the same: how much rounding may explain, at most
UNMOVED, UNMOVED_ROW = 1e-9, 1e-14  # of the mass of a set, and for each row: what all may lack or have too much
VARIANCE_SHARE = 0.05  # of the error, for the variance of each set
MEASURED = 1 + 1e-6  # a diameter may be so much below the largest distance of two rows, which may have been rounded
CHECKED_NUMBERS = 1 << 20  # of rows that are compared with their ranges at once


@dataclass(frozen=True)
class UpperEnd:
    """cost: of a plan; variance: total variance of a row of each set; rows: how many of each set it uses."""

    cost: float
    variance: tuple[float, float]
    rows: tuple[int, int]
    diameter: float | None

    def bound(self, alpha: float) -> float:
        bound = self.cost + self.deviation(alpha)
        return bound if self.diameter is None else min(bound, self.diameter)

    @property
    def one_deviation(self) -> float:
        """The standard error of the mean difference, at most."""
        return math.hypot(*(math.sqrt(v / n) for v, n in zip(self.variance, self.rows, strict=True)))

    def deviation(self, alpha: float) -> float:
        """What the mean difference exceeds with probability alpha at most; without a diameter, approximately."""
        if self.diameter is None:
            return NormalDist().inv_cdf(1 - alpha) * self.one_deviation
        wide, (n, m) = self.diameter, self.rows
        t, share = -math.log(alpha * (1 - 2 * VARIANCE_SHARE)), -math.log(alpha * VARIANCE_SHARE)
        squares = 0.0
        for variance, count in zip(self.variance, self.rows, strict=True):
            root = wide * math.sqrt(share / (4 * (count // 2)))
            squares += min((math.sqrt(variance + root**2) + root) ** 2, wide**2 / 4) / count
        bernstein = math.sqrt(2 * t * squares) + t / 3 * wide / min(n, m)
        return min(bernstein, wide * math.sqrt(t / 2 * (1 / n + 1 / m)))


@dataclass(frozen=True)
class _Side:
    """The rows of one set that the upper end uses. Distances are those from their mean, error what rounding may add."""

    array: NDArray[Any]
    used: Index
    mean: Values
    distances: Values
    error: Values

    @property
    def variance(self) -> float:
        """The unbiased trace of the covariance."""
        return float(np.square(self.distances).sum()) / (len(self.used) - 1)

    @property
    def largest_variance(self) -> float:
        """The same, with rounding; the mean square from another point than the mean is larger."""
        n = len(self.used)
        return float(np.square(self.distances + self.error).sum()) / (n - 1) * (1 + (n + 8) * U)


def check_upper_bound(
    certificate: Mapping[str, Any], tensors: Tensors, takes: Input, arrays: list[NDArray[Any]], parts: list[Parts]
) -> tuple[str, dict[str, Any]]:
    """Derive the upper bound. Raises CertificateError if the plan is none, or the stated bound is too small."""
    stated = certificate["upper"]
    if stated is None:
        return "none is certified", {"upper_bound": None}
    diameter = _diameter(stated, takes, arrays)
    sides = [_side(takes, array, used_rows(takes, part)) for array, part in zip(arrays, parts, strict=True)]
    if stated["diameter"] is not None:
        _check_diameter(takes, sides, float(stated["diameter"]))
    on_line = math.prod(takes.row_shape) == 1
    cost, rounding = _line_cost(takes, sides) if on_line else _plan_cost(takes, sides, tensors)
    counts = len(sides[0].used), len(sides[1].used)
    plain = UpperEnd(cost, (sides[0].variance, sides[1].variance), counts, diameter)
    end = UpperEnd(cost + rounding, (sides[0].largest_variance, sides[1].largest_variance), counts, diameter)
    alpha = 1 - float(certificate["statement"]["confidence"])
    derived = end.bound(alpha)
    if not math.isfinite(derived):
        raise CertificateError(f"the upper bound is {derived}: the rows are beyond double precision")
    rounding = derived - plain.bound(alpha)
    # The data decide the cost and its deviation. A wide clip, large biases or a large diameter make no room here.
    size = end.cost + end.one_deviation
    allowed = TOLERANCE * size + min(rounding, ROUNDING_SHARE * size)
    if not stated["cost"] >= end.cost - TOLERANCE * size - min(end.cost - cost, ROUNDING_SHARE * size):
        raise CertificateError(f"the plan's cost is stated as {stated['cost']}, it is {end.cost}")
    if not stated["bound"] >= derived - allowed:
        raise CertificateError(f"the upper bound is stated as {stated['bound']}, it is {derived}")
    kind = "approximate" if diameter is None else "finite-sample"
    parts_of_it = {"cost": end.cost, "deviation": derived - end.cost, "rounding": rounding, "diameter": diameter}
    moved = "sorted rows" if on_line else f"a plan of {len(tensors['plan.mass']):,} pairs"
    return (
        f"{derived:.6g} ({kind}): {moved} of {counts[0]:,} and {counts[1]:,} rows cost {end.cost:.6g}",
        {"upper_bound": derived, "upper_kind": kind, "upper": parts_of_it},
    )


def used_rows(takes: Input, part: Parts) -> Index:
    """The rows of one set that the upper end uses: all but those that decided the unit, ascending."""
    pieces = [part.train, part.test] if takes.is_fitted else [part.train, part.select, part.test]
    return np.sort(np.concatenate(pieces))


def _side(takes: Input, array: NDArray[Any], used: Index) -> _Side:
    if len(used) < 2:
        raise CertificateError(f"{len(used)} rows are left for the upper bound: at least 2 of each set are needed")
    first, _ = next(takes.blocks(array, used[:1]))
    total = np.zeros(takes.row_shape)
    for rows, _ in takes.blocks(array, used):
        total += (rows - first).sum(axis=0)  # from one row: an offset costs it nothing
    mean: Values = first[0] + total / len(used)
    distances, error = _distances(takes, array, used, mean)
    return _Side(array, used, mean, distances, error)


def _distances(takes: Input, array: NDArray[Any], used: Index, point: Values) -> tuple[Values, Values]:
    """Distances of rows from a point, and what rounding may add to each."""
    found, errors = [], []
    for rows, error in takes.blocks(array, used):
        found.append(row_norms(rows - point))
        errors.append(error + _norm_error(takes) * found[-1])
    return np.concatenate(found), np.concatenate(errors)


def _norm_error(takes: Input) -> float:
    """The relative error of the norm of a difference of two rows."""
    return (math.prod(takes.row_shape) + 4) * U


def _plan_cost(takes: Input, sides: list[_Side], tensors: Tensors) -> tuple[float, float]:
    """The cost of the plan, and what its rounding, and mass that rows lack or have too much, may add to it."""
    mass = tensors["plan.mass"]
    if not np.all(mass > 0):
        raise CertificateError("the plan has masses that are not above 0")
    ends = tensors["plan.source"], tensors["plan.target"]
    # A function is measured from its value at the mean of the source.
    apart = float(row_norms((sides[1].mean - sides[0].mean)[None])[0])
    price = 0.0
    for name, side, rows, far in zip(("source", "target"), sides, ends, (0.0, apart), strict=True):
        price += float(_misplaced(name, side, rows, mass) @ (side.distances + side.error + far))
    cost, error, start = 0.0, 0.0, 0
    blocks = (takes.blocks(side.array, rows) for side, rows in zip(sides, ends, strict=True))
    for (x, error_x), (y, error_y) in zip(*blocks, strict=True):
        own = mass[start : start + len(x)]
        gaps = row_norms(x - y)
        cost += float(own @ gaps)
        error += float(own @ (error_x + error_y + _norm_error(takes) * gaps))
        start += len(x)
    summed = (len(mass) + 8) * U
    return cost, (error + price) * NORM_ROUNDING + summed * cost


def _misplaced(name: str, side: _Side, rows: Index, mass: Values) -> Values:
    """For each used row, how far the mass that the plan gives it may be from its weight."""
    n = len(side.array)
    if rows.min() < 0 or rows.max() >= n:
        raise CertificateError(f"the plan names rows that {name} does not have")
    given, times = np.bincount(rows, mass, n), np.bincount(rows, minlength=n)
    if times.sum() != times[side.used].sum():
        raise CertificateError(f"the plan moves rows of {name} that decided the unit, and must not be used")
    weight, given = 1 / len(side.used), given[side.used]
    misplaced = np.abs(given - weight)
    if not misplaced.sum() <= UNMOVED + UNMOVED_ROW * len(misplaced):
        worst = int(misplaced.argmax())
        raise CertificateError(
            f"this is no plan: row {side.used[worst]} of {name} weighs {weight:.6g}, and it moves {given[worst]:.6g}"
        )
    error: Values = misplaced + (times[side.used] + 2) * U * (given + weight)
    return error


def _line_cost(takes: Input, sides: list[_Side]) -> tuple[float, float]:
    """The least cost on the line, which is the area between the distribution functions, and its rounding."""
    values, errors = [], 0.0
    for side in sides:
        blocks = list(takes.blocks(side.array, side.used))
        values.append(np.concatenate([rows.reshape(-1) for rows, _ in blocks]))
        errors += float(np.mean(np.concatenate([error for _, error in blocks])))
    n, m = map(len, values)
    pooled = np.concatenate(values)
    order = np.argsort(pooled, kind="stable")
    below = np.cumsum(order < n)  # of the source, up to each value
    between = np.abs(below / n - (np.arange(1, n + m + 1) - below) / m)
    steps = np.diff(pooled[order])
    cost = float(between[:-1] @ steps)
    return cost, errors + (n + m + 8) * U * cost + 4 * U * float(steps.sum())


def _diameter(stated: Mapping[str, Any], takes: Input, arrays: list[NDArray[Any]]) -> float | None:
    """The largest distance of two rows, as declared, or that of the corners of the declared ranges."""
    if stated["diameter"] is not None:
        return float(stated["diameter"])
    if stated["ranges"] is None:
        return None
    ends, numbers, columns = np.array(stated["ranges"], dtype=np.float64), math.prod(takes.row_shape), takes.columns
    given = np.ones(numbers, dtype=bool) if columns is None else columns.is_number
    if len(ends) != 2 and (len(takes.row_shape) == 3 or len(ends) != 2 * int(given.sum())):
        raise CertificateError(f"{len(ends)} numbers are no ranges of rows of {int(given.sum())}")
    low, high = np.zeros(numbers), np.zeros(numbers)
    low[given], high[given] = ends[::2], ends[1::2]
    _check_ranges(low[given], high[given], given, arrays)
    if takes.missing is not None and columns is not None:  # a missing value is one of the points of its column
        low = np.where(columns.is_optional, np.minimum(low, takes.missing), low)
        high = np.where(columns.is_optional, np.maximum(high, takes.missing), high)
    widths = (high - low) / (255.0 if takes.uint8 else 1.0)
    widths = widths / np.broadcast_to(takes.divisor, takes.row_shape).reshape(-1)
    if columns is not None and takes.category_cost is not None:
        widths = np.concatenate([widths, np.full(columns.costly, takes.category_cost)])
    return float(np.linalg.norm(widths)) * (1 + (len(widths) + 8) * U)


def _check_ranges(low: Values, high: Values, given: NDArray[np.bool_], arrays: list[NDArray[Any]]) -> None:
    """Refuse ranges that do not hold all values; missing ones are NaN."""
    step = max(1, CHECKED_NUMBERS // len(given))
    for side, array in zip(("source", "target"), arrays, strict=True):
        for start in range(0, len(array), step):
            rows = np.asarray(array[start : start + step], dtype=np.float64)
            rows = rows.reshape(len(rows), -1)[:, given]
            outside = ~np.all(((rows >= low) & (rows <= high)) | np.isnan(rows), axis=1)
            if outside.any():
                raise CertificateError(f"row {start + int(outside.argmax())} of {side} is outside of the stated ranges")


def _check_diameter(takes: Input, sides: list[_Side], diameter: float) -> None:
    """Refuse a diameter below the distance of two rows, as far as one sweep from the row that is farthest out finds."""
    outer = max(sides, key=lambda side: float(side.distances.max()))
    row = outer.used[[int(outer.distances.argmax())]]
    point, _ = next(takes.blocks(outer.array, row))
    for side in sides:
        distances, error = _distances(takes, side.array, side.used, point[0])
        if not np.all(distances - error <= diameter * MEASURED):
            raise CertificateError(
                f"the diameter is stated as {diameter}, and two rows are {float(distances.max())} apart"
            )
