"""Statements about the difference of two means from the units of chance: single rows, or whole groups of rows.

Of groups, the populations are: draw a group that has source (target) rows, then one of its rows. Groups count equally,
whatever their sizes. What may be done with them depends on their layout, see `Layout`.

The bound and the p-value of one result may disagree. The p-value of rows is that of a permutation test, and the one of
groups comes from the bets of method "betting", whatever the method of the bound.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wdist.data.seeded import SeededScores, require_seeded
from wdist.errors import OptionError
from wdist.inference.base import Moments, Prior, mirrored, unit_draws, unit_prior
from wdist.inference.betting import SMALLEST_MEAN, Bets
from wdist.inference.differences import linked_differences, paired_differences
from wdist.inference.permutation_test import permutation_p_value
from wdist.inference.registry import find_method
from wdist.inference.roots import bracket_of_root

Codes = NDArray[np.int64]
Layout = Literal["rows", "apart", "own", "mixed"]
"""rows: single rows. Of groups: none is in both sets ("apart"), all are ("own"), or some are ("mixed")."""

logger = logging.getLogger("wdist")
bounds_above_value = 0  # how many bounds of this process were above their value and were lowered to it


@dataclass(frozen=True)
class Units:
    """What the statements of an estimate are computed from.

    Attributes:
        fx, fy: score of each test row, (n,) and (m,), or mean score of each test group, in one random order. If the
            layout is "own", both list the same groups.
        layout: what the units are, and whether the two sides share them.
    """

    fx: SeededScores
    fy: SeededScores
    layout: Layout


def units_of_rows(fx: SeededScores, fy: SeededScores) -> Units:
    """Rows that are independent draws; fx (n,), fy (m,) are the scores of the test rows."""
    return Units(require_seeded(fx), require_seeded(fy), "rows")


def layout_of(codes_x: Codes, codes_y: Codes) -> Layout:
    """The layout of groups, from the group codes of all rows of both sets.

    The test rows alone would not do: a few groups in both sets may all be in other parts, and whether they are would
    then choose the method.
    """
    in_both = np.intersect1d(codes_x, codes_y)
    if not len(in_both):
        return "apart"
    return "own" if len(in_both) == len(np.union1d(codes_x, codes_y)) else "mixed"


def refuse_layout(layout: Layout, method: str) -> str | None:
    """Why a method cannot bound units of this layout, or None if it can. Raises OptionError for an unknown method."""
    if layout == "mixed" and find_method(method).needs_independent_sets:
        return (
            f"some groups are in both sets and some are not, but {method} needs sets that share all their groups or "
            "none: use betting"
        )
    return None


def units_of_groups(fx: SeededScores, fy: SeededScores, codes_x: Codes, codes_y: Codes, layout: Layout) -> Units:
    """Whole groups of rows.

    fx (n,), fy (m,): scores of the test rows in the order of the split (`wdist.data.splits.GroupOrder`). codes_x,
    codes_y: the group code of each of these rows. layout: that of all groups (`layout_of`). Raises OptionError if the
    codes do not fit the scores or the layout.
    """
    (means_x, names_x), (means_y, names_y) = (
        require_seeded(scores).group_means(codes) for scores, codes in ((fx, codes_x), (fy, codes_y))
    )
    if layout == "rows" or (layout == "apart" and np.isin(names_x, names_y).any()):
        raise OptionError(f"the groups of these test rows are not of layout {layout!r}")
    if layout == "own" and not np.array_equal(names_x, names_y):
        raise OptionError("both sides must list the same test groups in the same order if all are in both sets")
    return Units(means_x, means_y, layout)


def value_of(units: Units) -> float:
    """Mean of fy less mean of fx, of the scores as they are; an offset common to all scores costs no accuracy."""
    lowest = min(float(units.fx.values.min()), float(units.fy.values.min()))
    return float((units.fy.values - lowest).mean() - (units.fx.values - lowest).mean())


def lower_bound_of(units: Units, low: float, high: float, alpha: float, method: str, prior: Prior | None) -> float:
    """At most E f(Y) - E f(X), with probability 1 - alpha, and at most `value_of(units)`. It may be negative.

    low, high: the interval that the scores were clipped to. prior: (mean, standard deviation) of the source and target
    scores, expected from other rows; it tunes bets and does not affect validity. Raises OptionError for scores outside
    the interval, an unknown method, or one that this layout does not allow.
    """
    if (reason := refuse_layout(units.layout, method)) is not None:
        raise OptionError(reason)
    bound, (fx, fy) = find_method(method).load(), _within(units, low, high)
    match units.layout:
        case "rows":
            difference = bound.difference_lower_bound(fx, fy, low, high, alpha, prior)
        case "mixed":
            difference = bound.mixed_lower_bound(fx, fy, low, high, alpha, prior)
        case "apart":
            difference = bound.independent_lower_bound(fx, fy, low, high, alpha, prior)
        case "own":
            differences, own_prior = linked_differences(fx, fy, low, high, prior)
            difference = bound.linked_lower_bound(differences, high - low, alpha, own_prior)
    return at_most_value(difference, value_of(units))


def at_most_value(bound: float, value: float) -> float:
    """The smaller of a bound and its value, and a warning and a count where that is the value.

    A bet is won if capital reaches 1/alpha at any time, even if it is lost again by the last unit. A betting bound at
    error alpha can therefore lie above the mean of its own scores. In a random order, it does so with a probability of
    about alpha^2, that of a Brownian bridge: .0025 at alpha = .05, and simulated for one mean, .0018 (1,000 normal
    scores) and .0033 (100 differences of coins). If it happens often, the order depends on the scores: if they are
    sorted downwards, it happens every time. Lowering a valid bound leaves it valid.
    """
    global bounds_above_value
    if bound > value:
        bounds_above_value += 1
        logger.warning("a lower bound of %.6g was above its value and was lowered to it: %.6g", bound, value)
    return min(bound, value)


def p_value_of(units: Units, low: float, high: float, alpha: float, prior: Prior | None, seed: int) -> float:
    """P-value against mean f(Y) > mean f(X): at most any level u with probability at most u.

    Rows: the permutation test of P = Q (`permutation_p_value`). Groups: 1 / (largest capital of bets against equal or
    smaller mean scores in the target), which is valid whatever the sizes of the groups, and whether or not the groups
    differ between the sets. The bets are those of method "betting" at error alpha.
    """
    if units.layout == "rows":
        return permutation_p_value(units.fx.values, units.fy.values, seed)
    if low == high:
        return 1.0
    fx, fy = _within(units, low, high)
    if units.layout == "mixed":
        return _p_value_of_means(fx, fy, low, high, alpha, prior)
    make = paired_differences if units.layout == "apart" else linked_differences
    differences, prior_of_them = make(fx, fy, low, high, prior)
    bets = _bets(differences, low - high, high - low, alpha, prior_of_them)
    return math.exp(-max(0.0, bets.log_capital(0.5)))  # a difference of 0 is 1/2 on [0, 1]


def _p_value_of_means(
    fx: SeededScores, fy: SeededScores, low: float, high: float, alpha: float, prior: Prior | None
) -> float:
    """min(1, 2 sup_mu 1 / max(M_Y(mu), M_X(mu))), for sides that may depend on each other.

    M_Y(mu) and M_X(mu) are the largest capitals against "the target mean is at most mu" and "the source mean is at
    least mu". One of these is true for every mu, if the target mean is not above the source mean. M_Y falls in mu and
    M_X rises, so that max(M_Y, M_X) is at least M_Y(b) and M_X(a) everywhere, if the two cross between a and b.
    """
    prior_x, prior_y = prior if prior is not None else (None, None)
    on_target = _bets(fy, low, high, alpha / 2, prior_y)
    on_source = _bets(-fx, -high, -low, alpha / 2, mirrored(prior_x))

    def lead(mu: float) -> float:
        return _log_capital(on_target, mu) - _log_capital(on_source, 1 - mu)

    ends = 0.0, 1.0
    leads = lead(ends[0]), lead(ends[1])
    if leads[0] < 0 or leads[1] >= 0:
        return 1.0
    a, b, _, _ = bracket_of_root(lead, (*ends, *leads), 1e-12)
    least = max(0.0, _log_capital(on_target, b), _log_capital(on_source, 1 - a))
    return min(1.0, 2 * math.exp(-least))


def _log_capital(bets: Bets, m: float) -> float:
    """At most the largest log-capital against a mean m on [0, 1]; it decreases in m, and 0 is not tested itself."""
    return bets.log_capital(max(m, SMALLEST_MEAN))


def _bets(scores: SeededScores, low: float, high: float, alpha: float, prior: Moments | None) -> Bets:
    return Bets(unit_draws(scores, low, high), alpha, unit_prior(prior, low, high))


def _within(units: Units, low: float, high: float) -> tuple[SeededScores, SeededScores]:
    """Scores of both sides; means of groups are clipped, because rounding may have pushed them out of the interval.

    Raises OptionError for means that lie further outside.
    """
    if units.layout == "rows":
        return units.fx, units.fy
    for means in (units.fx, units.fy):
        if not ((means.values + means.rounding >= low) & (means.values - means.rounding <= high)).all():
            raise OptionError(f"group means reach outside [{low}, {high}]; clip the scores first")
    return units.fx.clip(low, high), units.fy.clip(low, high)
