"""Sliced critics: f(x) = h(<v, x>) with a unit vector v and a piecewise linear h of slopes +1 and -1."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wdist.streams import Purpose, stream
from wdist.transport.exact import flat_rows

Values = NDArray[np.float64]

FIT_ROWS = 4_000  # rows a side in the search for a direction; every iteration sorts them
FIT_ELEMENTS = 1_000_000  # values in those rows; in high dimension this limits the rows (784-d: 1 s)
_DENSE_COLUMNS = 64  # below this dimension, a dense eigenvalue solver is used
CELLS = 512  # of the potential: finer than the noise of any sample below about 10^5 rows
NARROWEST = 1e-6  # narrowest cell, relative to its distance from the middle
PENALTIES = (0.0, 0.25, 1.0, 4.0, 16.0, np.inf)  # in standard errors of a cell's gain; inf gives a straight line


def fit_sliced(
    x_train: ArrayLike, y_train: ArrayLike, x_select: ArrayLike, y_select: ArrayLike, direction: Values
) -> tuple[Values, Values, Values]:
    """Fit sliced critics on the train rows and return the one with the largest mean difference on the select rows.

    x_*, y_*: rows (n, ...). Returns direction v (d,), knots (k,) ascending, and values h(knots) (k,); outside its knots
    h goes on with the slope of its first and last cell, see `evaluate_potential`. Candidates: `direction` (see
    `fit_direction`) and the mean difference, each with potentials from rough to a straight line.
    """
    a, b, a_select, b_select = (flat_rows(rows) for rows in (x_train, y_train, x_select, y_select))
    directions = [direction]
    mean_difference = b.mean(axis=0) - a.mean(axis=0)
    if (length := float(np.linalg.norm(mean_difference))) > 0:
        directions.append(mean_difference / length)
    best_value = -np.inf
    best = (directions[0], np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    for direction in directions:
        on_x, on_y = a_select @ direction, b_select @ direction
        for penalty in PENALTIES:
            knots, values = fit_potential(a @ direction, b @ direction, penalty)
            value = float(
                evaluate_potential(on_y, knots, values).mean() - evaluate_potential(on_x, knots, values).mean()
            )
            if value > best_value:
                best_value, best = value, (direction, knots, values)
    return best


def evaluate_potential(t: Values, knots: Values, values: Values) -> Values:
    """h(t): linear between knots, continued beyond them with the slope of the first and the last cell."""
    inside: Values = np.interp(t, knots, values)
    first = (values[1] - values[0]) / (knots[1] - knots[0])
    last = (values[-1] - values[-2]) / (knots[-1] - knots[-2])
    beyond: Values = first * np.minimum(t - knots[0], 0.0) + last * np.maximum(t - knots[-1], 0.0)
    return inside + beyond


def fit_potential(on_x: Values, on_y: Values, penalty: float, cells: int = CELLS) -> tuple[Values, Values]:
    """Knots and values of the 1-D potential with slopes +-1 that maximises mean h(y) - mean h(x) less a penalty.

    mean h(y) - mean h(x) = integral of h' (F_x - F_y), so without a penalty h' = sign(F_x - F_y) in every cell. Each
    change of sign costs `penalty` standard errors of a cell's contribution, which keeps h from following noise. The
    best signs are found by dynamic programming. Knots are pooled quantiles. Returns two arrays (k,), k >= 2.
    """
    pooled = np.concatenate([on_x, on_y])
    knots = _separate(np.unique(np.quantile(pooled, np.linspace(0.0, 1.0, cells + 1))))
    if len(knots) < 2:
        step = max(1.0, float(np.spacing(abs(knots[0]))))  # beyond 2^53, a step of 1 leads back to the same number
        return np.array([knots[0], knots[0] + step]), np.array([0.0, step])
    # the integral of F over a cell is the mean of (right - clip(t)), exact for the empirical distribution
    gains = _cell_integrals(on_x, knots) - _cell_integrals(on_y, knots)
    widths = np.diff(knots)
    noise = np.sqrt(0.25 / len(on_x) + 0.25 / len(on_y)) * float(np.median(widths))
    steps = _best_signs(gains, penalty * noise) * widths
    # summed outwards from the middle, so that each value is at most its knot's distance from the middle
    middle = len(knots) // 2
    left = -np.cumsum(steps[:middle][::-1])[::-1]
    return knots, np.concatenate([left, [0.0], np.cumsum(steps[middle:])])


def _separate(knots: Values) -> Values:
    """Ascending knots without those that are too close to their neighbour on the side of the middle.

    A slope is a quotient of differences. Quantiles of rounded projections can be 1e-16 of the range apart, and the
    slope over such a gap is meaningless. The gaps that are kept give slopes within about 1e-10 of +-1.
    """
    middle = len(knots) // 2
    kept = [float(knots[middle])]
    for side in (knots[middle + 1 :], knots[:middle][::-1]):
        last = float(knots[middle])
        for knot in side.tolist():
            if abs(knot - last) > NARROWEST * max(abs(knot - float(knots[middle])), abs(knot) * 1e-3):
                kept.append(knot)
                last = knot
    return np.sort(np.array(kept))


def _cell_integrals(t: Values, knots: Values) -> Values:
    """Integral of the empirical distribution function of t over each cell between knots."""
    ascending = np.sort(t)
    counts = np.searchsorted(ascending, knots, side="right")
    sums = np.concatenate([[0.0], np.cumsum(ascending)])[counts]
    # the integral of F up to a knot k is mean (k - t)+ = (count * k - sum of the values up to k) / n
    integrals: Values = (counts * knots - sums) / len(t)
    return np.diff(integrals)


def _best_signs(gains: Values, change_cost: float) -> Values:
    """The signs s that maximise sum s_i gains_i - change_cost * (number of sign changes), by the Viterbi recursion."""
    if np.isinf(change_cost):
        return np.full(len(gains), 1.0 if gains.sum() >= 0 else -1.0)
    low = high = 0.0  # best total that ends with sign -1, +1; plain floats, as arrays of two take ten times as long
    came_from = []
    for gain in gains.tolist():
        came_from.append((0 if low >= high - change_cost else 1, 1 if high >= low - change_cost else 0))
        low, high = max(low, high - change_cost) - gain, max(high, low - change_cost) + gain
    state = int(high > low)
    signs = np.empty(len(gains))
    for i in range(len(gains) - 1, -1, -1):
        signs[i] = 2.0 * state - 1.0
        state = came_from[i][state]
    return signs


def fit_direction(x: ArrayLike, y: ArrayLike, seed: int = 0, iterations: int = 60) -> Values:
    """A unit vector v (d,) that (locally) maximises the one-dimensional W1 between <v, x> and <v, y>.

    Gradient ascent on the sphere from several starts: the mean difference, the directions in which the variance changes
    most, and random ones. It uses at most 4,000 rows a side, drawn with the seed.
    """
    generator = stream(seed, Purpose.DIRECTION)
    a, b = flat_rows(x), flat_rows(y)
    n = min(len(a), len(b), FIT_ROWS, max(200, FIT_ELEMENTS // a.shape[1]))
    a, b = (rows[generator.choice(len(rows), n, replace=False)] for rows in (a, b))
    centre = 0.5 * (a.mean(axis=0) + b.mean(axis=0))
    a, b = a - centre, b - centre
    best_value: float = -1.0
    best: Values = np.eye(1, a.shape[1])[0]
    for start in _starts(a, b, generator):
        value, direction = _ascend(a, b, start, iterations)
        if value > best_value:
            best_value, best = value, direction
    return best


def _starts(a: Values, b: Values, generator: np.random.Generator) -> list[Values]:
    """Unit vectors from which the ascent starts."""
    d = a.shape[1]
    starts = [b.mean(axis=0) - a.mean(axis=0), *_changes_of_variance(a, b, generator)]
    starts += list(generator.standard_normal((2, d)))
    lengths = [float(np.linalg.norm(start)) for start in starts]
    return [start / length for start, length in zip(starts, lengths, strict=True) if length > 0]


def _changes_of_variance(a: Values, b: Values, generator: np.random.Generator) -> list[Values]:
    """The two directions along which the variance of b minus that of a is smallest and largest."""
    d = a.shape[1]
    if d < _DENSE_COLUMNS:
        _, vectors = np.linalg.eigh(np.atleast_2d(np.cov(b.T) - np.cov(a.T)))
        return [vectors[:, 0], vectors[:, -1]]
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    difference = LinearOperator(
        (d, d), matvec=lambda v: b.T @ (b @ v) / len(b) - a.T @ (a @ v) / len(a), dtype=np.float64
    )
    try:  # low accuracy is enough for a start
        _, vectors = eigsh(difference, k=2, which="BE", v0=generator.standard_normal(d), tol=0.05, maxiter=30)
    except ArpackNoConvergence as error:
        vectors = error.eigenvectors
    return list(vectors.T)


def _projected_w1(x: Values, y: Values, direction: Values) -> tuple[float, Values]:
    """W1 of the projections of equally many rows, and its gradient in the direction for a fixed coupling."""
    on_x, on_y = x @ direction, y @ direction
    order_x, order_y = np.argsort(on_x), np.argsort(on_y)
    signs = np.sign(on_y[order_y] - on_x[order_x])
    # the sum of sign * (y - x) over coupled rows, without reordering the rows
    sign_x, sign_y = np.empty_like(signs), np.empty_like(signs)
    sign_x[order_x], sign_y[order_y] = signs, signs
    gradient: Values = (sign_y @ y - sign_x @ x) / len(x)
    return float(gradient @ direction), gradient


def _ascend(a: Values, b: Values, start: Values, iterations: int) -> tuple[float, Values]:
    """Gradient ascent from one start. The step is halved whenever it brings no improvement."""
    direction, step = start, 1.0
    value, gradient = _projected_w1(a, b, direction)
    for _ in range(iterations):
        length = float(np.linalg.norm(gradient))
        if length == 0.0 or step < 1e-3:
            break
        candidate = direction + step * (gradient / length - direction)
        norm = float(np.linalg.norm(candidate))
        if norm == 0.0:
            break
        candidate /= norm
        new_value, new_gradient = _projected_w1(a, b, candidate)
        if new_value > value * (1 + 1e-6):
            direction, value, gradient = candidate, new_value, new_gradient
        else:
            step /= 2
    return value, direction
