"""Confidence bounds for means of bounded held-out scores.

All bounds are one-sided, hold at finite n, and assume rows that are independent given the critic. They take
`SeededScores`, because a betting bound is valid only for an order fixed without looking at the scores, and raise
OptionError for arrays.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from wdist.data.seeded import SeededScores
from wdist.data.splits import rows_with_test
from wdist.errors import OptionError, SampleError
from wdist.inference.base import MeanMethod, Moments, Prior, Values
from wdist.inference.differences import paired_differences as paired_differences
from wdist.inference.registry import METHODS as METHODS
from wdist.inference.registry import find_method


def mean_lower_bound(
    values: SeededScores,
    low: float,
    high: float,
    alpha: float,
    method: str = "betting",
    prior: Moments | None = None,
) -> float:
    """Lower confidence bound: at most the mean of the distribution of `values`, with probability 1 - alpha.

    values: n independent draws within [low, high]. prior: (mean, standard deviation)
    expected from other rows (train and select); it tunes the bets and does not affect validity. method "betting":
    Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (2024), section 4;
    "empirical_bernstein": Maurer and Pontil (2009), theorem 4. Raises OptionError for values outside the interval or a
    method that does not bound single means.
    """
    return _mean_method(method).mean_lower_bound(values, low, high, alpha, prior)


def mean_upper_bound(
    values: SeededScores,
    low: float,
    high: float,
    alpha: float,
    method: str = "betting",
    prior: Moments | None = None,
) -> float:
    """Upper confidence bound: at least the mean, with probability 1 - alpha. The mirror image of `mean_lower_bound`."""
    return _mean_method(method).mean_upper_bound(values, low, high, alpha, prior)


def _mean_method(name: str) -> MeanMethod:
    if not isinstance(method := find_method(name).load(), MeanMethod):
        raise OptionError(f"method {name!r} bounds a difference of means, not a mean; 'betting' bounds both")
    return method


def difference_lower_bound(
    fx: SeededScores,
    fy: SeededScores,
    low: float,
    high: float,
    alpha: float,
    method: str = "betting",
    prior: Prior | None = None,
) -> float:
    """Lower confidence bound: at most E f(Y) - E f(X), with probability 1 - alpha.

    fx, fy: n and m held-out scores within [low, high]. prior: (mean, standard deviation) of the source and target
    scores, expected from other rows. The result may be negative; the bound on W1 is its positive part over L.

    method "betting" and "empirical_bernstein" bound each mean at error alpha / 2, which is valid even if the two sides
    are dependent. "paired_betting" bounds the mean of `paired_differences` at error alpha. It is tighter, because the
    variances of the sides add, but the sides must be independent of each other (no groups that occur in both). Raises
    OptionError for scores outside the interval or an unknown method.
    """
    return find_method(method).load().difference_lower_bound(fx, fy, low, high, alpha, prior)


def rows_needed(alpha: float, method: str = "betting") -> int:
    """Fewest test rows a side with which a difference bound can exceed 0, even for perfectly separated scores."""
    return find_method(method).load().rows_needed(alpha)


def check_confidence(
    confidence: float,
    n_test_x: int,
    n_test_y: int,
    method: str = "betting",
    names: tuple[str, str] = ("source", "target"),
) -> None:
    """Raise OptionError for a confidence outside [0.5, 1), SampleError if it needs more test rows than there are."""
    if not 0.5 <= confidence < 1:
        raise OptionError(f"confidence {confidence} is outside [0.5, 1); 0.95 is usual")
    needed = rows_needed(1 - confidence, method)
    for name, n in zip(names, (n_test_x, n_test_y), strict=True):
        if n < needed:
            raise SampleError(
                f"{name}: {n} test rows are too few for confidence {confidence}: even perfectly separated sets need "
                f"{needed} (about {rows_with_test(needed)} rows in all); give more rows or ask for less "
                "confidence"
            )


def clip_interval(
    scores_x: ArrayLike, scores_y: ArrayLike, n_test_x: int, n_test_y: int, alpha: float, method: str = "betting"
) -> tuple[float, float]:
    """The interval [a, b] to clip a critic to, chosen on train and select scores only.

    It is the pair of quantiles with the highest predicted lower bound: the clipped mean difference less the expected
    margin of the method. The interval is wide for light tails and narrow for heavy ones.
    """
    x = np.sort(np.asarray(scores_x, dtype=np.float64))
    y = np.sort(np.asarray(scores_y, dtype=np.float64))
    tails = np.array([0.0, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.02, 0.05, 0.1])
    # the more extreme of the two sides' quantiles: a few rows of one side may make up the whole difference
    low = np.unique(np.minimum(np.quantile(x, tails), np.quantile(y, tails)))
    high = np.unique(np.maximum(np.quantile(x, 1 - tails), np.quantile(y, 1 - tails)))
    expected_margin = find_method(method).load().expected_margin
    (means_x, deviations_x), (means_y, deviations_y) = (_clipped_moments(side, low, high) for side in (x, y))
    best, interval = -math.inf, (float(low[0]), float(high[-1]))
    for i, a in enumerate(low.tolist()):
        for j, b in enumerate(high.tolist()):
            if not a < b:
                continue
            margin = expected_margin(deviations_x[i, j], deviations_y[i, j], n_test_x, n_test_y, b - a, alpha)
            if means_y[i, j] - means_x[i, j] - margin > best:
                best, interval = means_y[i, j] - means_x[i, j] - margin, (a, b)
    return interval


def _clipped_moments(ascending: Values, low: Values, high: Values) -> tuple[Values, Values]:
    """Mean and standard deviation (i, j) of the values (n,) after clipping to [low_i, high_j], from cumulative sums."""
    n, middle = len(ascending), ascending[len(ascending) // 2]
    values, a, b = ascending - middle, (low - middle)[:, None], (high - middle)[None, :]
    first, second = (np.concatenate([[0.0], np.cumsum(powers)]) for powers in (values, values**2))
    below = np.searchsorted(ascending, low)[:, None]
    inside = np.maximum(np.searchsorted(ascending, high, side="right")[None, :], below)
    mean = (below * a + first[inside] - first[below] + (n - inside) * b) / n
    square = (below * a**2 + second[inside] - second[below] + (n - inside) * b**2) / n
    return mean + middle, np.sqrt(np.maximum(square - mean**2, 0.0))
