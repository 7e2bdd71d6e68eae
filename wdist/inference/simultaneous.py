"""Simultaneous inference for the pairs of a matrix or the columns of a table: adjusted so that all hold at once."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wdist.data.seeded import SeededScores
from wdist.data.splits import HeldOutRows
from wdist.inference.mean_bounds import clip_interval
from wdist.inference.units import lower_bound_of, units_of_rows, value_of
from wdist.rounding import UNIT_ROUNDOFF
from wdist.transport.sliced import evaluate_potential, fit_potential

Values = NDArray[np.float64]


def adjusted_p_values(p_values: ArrayLike) -> Values:
    """Holm's step-down adjustment, which controls the family-wise error rate.

    If every hypothesis with an adjusted p-value <= alpha is rejected, the probability of any false rejection is at most
    alpha. The shape is kept. NaN (no test for this pair) stays NaN and does not count as a test.
    """
    given = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(given.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(given))
    order = tested[np.argsort(given.flat[tested], kind="stable")]
    factors = len(order) - np.arange(len(order))
    adjusted.flat[order] = np.minimum(1.0, np.maximum.accumulate(given.flat[order] * factors))
    return adjusted


def adjusted_matrix(p_values: ArrayLike) -> Values:
    """Holm's adjustment for a matrix of pairs: (K, K) symmetric, where each pair counts once, or (1, M)."""
    given = np.asarray(p_values, dtype=np.float64)
    if len(given) == 1:
        return adjusted_p_values(given)
    adjusted = np.ones_like(given)
    above = np.triu_indices(len(given), 1)
    adjusted[above] = adjusted_p_values(given[above])
    adjusted.T[above] = adjusted[above]
    return adjusted


def column_lower_bounds(
    x_fit: ArrayLike,
    y_fit: ArrayLike,
    x_test: HeldOutRows,
    y_test: HeldOutRows,
    alpha: float,
    penalty: float = 4.0,
) -> tuple[Values, Values]:
    """Held-out W1 of each column alone, and lower bounds that hold for all columns at once at error alpha.

    x_*, y_*: tables (n, d); the fit rows, in any order, must be disjoint from the test rows. For each column, a
    potential with slopes +-1 is fitted and clipped, and its bound has error alpha / d. The W1 of a column is at most
    the W1 of whole rows. Returns two arrays (d,); a bound is at most its value, unless that is negative.
    """
    tables = x_fit, y_fit, x_test.rows, y_test.rows
    fit_x, fit_y, on_x, on_y = (np.asarray(rows, dtype=np.float64) for rows in tables)
    d = fit_x.shape[1]
    values, lower = np.empty(d), np.empty(d)
    for column in range(d):
        # Knots and potentials of numbers far from 0 would be coarse.
        centre = float(np.median(np.concatenate([fit_x[:, column], fit_y[:, column]])))
        seen_x, seen_y = fit_x[:, column] - centre, fit_y[:, column] - centre
        potential = fit_potential(seen_x, seen_y, penalty)
        seen_x, seen_y = (evaluate_potential(t, *potential) for t in (seen_x, seen_y))
        low, high = clip_interval(seen_x, seen_y, len(on_x), len(on_y), alpha / d)
        units = units_of_rows(
            *(
                _scores(side, potential, rows[:, column] - centre).clip(low, high)
                for side, rows in ((x_test, on_x), (y_test, on_y))
            )
        )
        bound = lower_bound_of(units, low, high, alpha / d, "betting", None)
        slope = max(1.0, steepest(*potential))
        values[column], lower[column] = value_of(units) / slope, max(0.0, bound / slope)
    return values, lower


def _scores(held_out: HeldOutRows, potential: tuple[Values, Values], t: Values) -> SeededScores:
    """The potential at t (n,), the differences of one column of the rows to a number.

    In the standard model of float64, the slope of a cell, the distance to its knot, their product and two sums are
    rounded. None of these parts of the score is larger than the score and two values at knots.
    """
    scores = evaluate_potential(t, *potential)
    largest = 2 * float(np.abs(potential[1]).max())
    return held_out.scores(
        scores,
        steepest(*potential) * (held_out.rounding + UNIT_ROUNDOFF * np.abs(t))
        + 8 * UNIT_ROUNDOFF * (np.abs(scores) + largest),
    )


def steepest(knots: Values, values: Values) -> float:
    """At least the largest slope of the potential through these points, which rounding may have put above 1."""
    return float(np.abs(np.diff(values) / np.diff(knots)).max()) * (1 + 4 * UNIT_ROUNDOFF)
