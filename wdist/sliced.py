"""Sliced critics: the best one-dimensional projection of two sets."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]

FIT_ROWS = 4_000  # rows a side behind the search for a direction; every iteration sorts them


def _flat(rows: ArrayLike) -> Values:
    array = np.asarray(rows, dtype=np.float64)
    return array.reshape(len(array), -1)


def _projected_w1(x: Values, y: Values, direction: Values) -> tuple[float, Values]:
    """W1 of the projections of equally many rows, and its gradient in the direction (coupling held fixed)."""
    order_x, order_y = np.argsort(x @ direction), np.argsort(y @ direction)
    gaps = y[order_y] - x[order_x]
    signs = np.sign(gaps @ direction)
    gradient = signs @ gaps / len(gaps)
    return float(gradient @ direction), gradient


def fit_direction(x: ArrayLike, y: ArrayLike, seed: int = 0, iterations: int = 60) -> Values:
    """A unit vector v (d,) that (locally) maximises the one-dimensional W1 between <v, x> and <v, y>.

    Gradient ascent on the sphere from several starts: the mean difference, the directions of largest change of
    variance, and random ones. At most 4,000 rows a side are used, drawn by the seed.
    """
    generator = np.random.default_rng([seed, 4])
    a, b = _flat(x), _flat(y)
    n = min(len(a), len(b), FIT_ROWS)
    a, b = (rows[generator.choice(len(rows), n, replace=False)] for rows in (a, b))
    centre = 0.5 * (a.mean(axis=0) + b.mean(axis=0))
    a, b = a - centre, b - centre
    best_value: float = -1.0
    best: Values = np.eye(a.shape[1])[0]
    for start in _starts(a, b, generator):
        value, direction = _ascend(a, b, start, iterations)
        if value > best_value:
            best_value, best = value, direction
    return best


def _starts(a: Values, b: Values, generator: np.random.Generator) -> list[Values]:
    """Unit vectors from which the ascent begins."""
    d = a.shape[1]
    starts = [b.mean(axis=0) - a.mean(axis=0)]
    if d <= 1_024:
        _, vectors = np.linalg.eigh(np.atleast_2d(np.cov(b.T) - np.cov(a.T)))
        starts += [vectors[:, 0], vectors[:, -1]]
    starts += list(generator.standard_normal((2, d)))
    lengths = [float(np.linalg.norm(start)) for start in starts]
    return [start / length for start, length in zip(starts, lengths, strict=True) if length > 0]


def _ascend(a: Values, b: Values, start: Values, iterations: int) -> tuple[float, Values]:
    """Ascent with a step that halves whenever it does not improve."""
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
