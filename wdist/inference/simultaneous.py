"""Statements made together: pairs of a matrix, columns of a table. Each is weakened so that all hold at once."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wdist.inference.mean_bounds import clip_interval, difference_lower_bound
from wdist.transport.sliced import evaluate_potential, fit_potential

Values = NDArray[np.float64]


def adjusted_p_values(p_values: ArrayLike) -> Values:
    """Holm's step-down adjustment: rejecting where the result is <= alpha errs anywhere with probability <= alpha.

    Shape as given; NaN (no test for this pair) stays NaN and does not count.
    """
    given = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(given.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(given))
    order = tested[np.argsort(given.flat[tested], kind="stable")]
    factors = len(order) - np.arange(len(order))
    adjusted.flat[order] = np.minimum(1.0, np.maximum.accumulate(given.flat[order] * factors))
    return adjusted


def adjusted_matrix(p_values: ArrayLike) -> Values:
    """Holm's adjustment of a matrix of pairs: (K, K), of which the pairs above the diagonal count once, or (1, M)."""
    given = np.asarray(p_values, dtype=np.float64)
    if len(given) == 1:
        return adjusted_p_values(given)
    adjusted = np.ones_like(given)
    above = np.triu_indices(len(given), 1)
    adjusted[above] = adjusted_p_values(given[above])
    adjusted.T[above] = adjusted[above]
    return adjusted


def column_lower_bounds(
    x_fit: ArrayLike, y_fit: ArrayLike, x_test: ArrayLike, y_test: ArrayLike, alpha: float, penalty: float = 4.0
) -> tuple[Values, Values]:
    """Held-out W1 of each column alone, and lower bounds that hold for all columns together at error alpha.

    x_*, y_*: tables (n, d), fit rows disjoint from test rows. A potential with slopes +-1 is fitted per column and
    clipped; each bound has error alpha / d. W1 of a column is at most W1 of the whole rows. Returns two arrays (d,).
    """
    fit_x, fit_y, on_x, on_y = (np.asarray(rows, dtype=np.float64) for rows in (x_fit, y_fit, x_test, y_test))
    d = fit_x.shape[1]
    values, lower = np.empty(d), np.empty(d)
    for column in range(d):
        potential = fit_potential(fit_x[:, column], fit_y[:, column], penalty)
        seen_x, seen_y = (evaluate_potential(rows[:, column], *potential) for rows in (fit_x, fit_y))
        low, high = clip_interval(seen_x, seen_y, len(on_x), len(on_y), alpha / d)
        fx, fy = (np.clip(evaluate_potential(rows[:, column], *potential), low, high) for rows in (on_x, on_y))
        values[column] = fy.mean() - fx.mean()
        lower[column] = max(0.0, difference_lower_bound(fx, fy, low, high, alpha / d))
    return values, lower
