"""Confidence bounds for means of bounded held-out scores.

All bounds are one-sided, hold at finite n, and assume rows that are independent given the critic. Scores must be in the
order of the seeded permutation: a betting bound is valid only for an order fixed without looking at the scores.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wdist.data.splits import TEST_SHARE
from wdist.errors import OptionError, SampleError

Values = NDArray[np.float64]
MEAN_METHODS = ("betting", "empirical_bernstein")
METHODS = (*MEAN_METHODS, "paired_betting")  # for a difference of means
CHUNK = 1 << 16  # scores processed at once in a betting pass; they fit a core's cache
SMALLEST_MEAN = 1e-12  # smallest mean tested, on [0, 1]: at mean 0 the limit on stakes would be infinite
STAKE_LIMIT = 0.75  # c: a bet never risks more than this share of the capital in one step


def mean_lower_bound(
    values: ArrayLike,
    low: float,
    high: float,
    alpha: float,
    method: str = "betting",
    prior: tuple[float, float] | None = None,
) -> float:
    """Lower confidence bound: at most the mean of the distribution of `values`, with probability 1 - alpha.

    values: (n,) independent draws within [low, high], in an order fixed beforehand. prior: (mean, standard deviation)
    expected from other rows (train and select); it tunes the bets and does not affect validity. method "betting":
    Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (2024), section 4;
    "empirical_bernstein": Maurer and Pontil (2009), theorem 4. Raises OptionError for values outside the interval or an
    unknown method.
    """
    scaled, width = _to_unit(values, low, high, alpha, method)
    if width == 0.0:
        return low
    if method == "empirical_bernstein":
        bound = _empirical_bernstein(scaled, alpha)
    else:
        bound = _betting(scaled, alpha, _unit_prior(prior, low, width))
    return low + width * bound if bound > 0 else low


def mean_upper_bound(
    values: ArrayLike,
    low: float,
    high: float,
    alpha: float,
    method: str = "betting",
    prior: tuple[float, float] | None = None,
) -> float:
    """Upper confidence bound: at least the mean, with probability 1 - alpha. The mirror image of `mean_lower_bound`."""
    mirrored = None if prior is None else (-prior[0], prior[1])
    return -mean_lower_bound(-np.asarray(values, dtype=np.float64), -high, -low, alpha, method, mirrored)


def difference_lower_bound(
    fx: ArrayLike,
    fy: ArrayLike,
    low: float,
    high: float,
    alpha: float,
    method: str = "betting",
    prior: tuple[tuple[float, float], tuple[float, float]] | None = None,
) -> float:
    """Lower confidence bound: at most E f(Y) - E f(X), with probability 1 - alpha.

    fx (n,), fy (m,): held-out scores within [low, high]. prior: (mean, standard deviation) of the source and target
    scores, expected from other rows. The result may be negative; the bound on W1 is its positive part over L.

    method "betting" and "empirical_bernstein" bound each mean at error alpha / 2, which is valid even if the two sides
    are dependent. "paired_betting" is one betting bound at error alpha for the mean of `paired_differences`. It is
    tighter, because the variances of the sides add, but the sides must be independent of each other (no groups that
    occur in both).
    """
    if method == "paired_betting":
        differences, paired_prior = paired_differences(fx, fy, low, high, prior)
        return mean_lower_bound(differences, low - high, high - low, alpha, "betting", paired_prior)
    prior_x, prior_y = prior if prior is not None else (None, None)
    lower_y = mean_lower_bound(fy, low, high, alpha / 2, method, prior_y)
    return lower_y - mean_upper_bound(fx, low, high, alpha / 2, method, prior_x)


def paired_differences(
    fx: ArrayLike, fy: ArrayLike, low: float, high: float, prior: tuple[tuple[float, float], tuple[float, float]] | None
) -> tuple[Values, tuple[float, float] | None]:
    """min(n, m) independent draws with mean E f(Y) - E f(X), within [low - high, high - low], and their prior.

    In the given order, each score of the smaller side is paired with the mean of the next k = max // min scores of the
    larger side. The remainder, fewer than min(n, m) scores, is not used.
    """
    x, y = np.asarray(fx, dtype=np.float64), np.asarray(fy, dtype=np.float64)
    pairs = min(len(x), len(y))
    if pairs < 2 or not (min(x.min(), y.min()) >= low and max(x.max(), y.max()) <= high):
        raise OptionError(f"pairing needs at least 2 scores a side, clipped to [{low}, {high}]")
    per_x, per_y = len(x) // pairs, len(y) // pairs
    means_x, means_y = (side[: pairs * k].reshape(pairs, k).mean(axis=1) for side, k in ((x, per_x), (y, per_y)))
    differences = np.clip(means_y - means_x, low - high, high - low)
    if prior is None:
        return differences, None
    (mean_x, deviation_x), (mean_y, deviation_y) = prior
    return differences, (mean_y - mean_x, math.sqrt(deviation_x**2 / per_x + deviation_y**2 / per_y))


def _to_unit(values: ArrayLike, low: float, high: float, alpha: float, method: str) -> tuple[Values, float]:
    """Check the arguments. Returns the values rescaled to [0, 1], and the width of the interval."""
    if method not in MEAN_METHODS:
        raise OptionError(f"method {method!r} is unknown; choose one of {', '.join(MEAN_METHODS)}")
    if not 0 < alpha < 1:
        raise OptionError(f"alpha {alpha} is outside (0, 1)")
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise OptionError(f"[{low}, {high}] is not an interval")
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1 or len(scores) < 2:
        raise OptionError(f"values of shape {scores.shape}: at least 2 held-out scores in one dimension are needed")
    if not (scores.min() >= low and scores.max() <= high):  # written so that NaN is refused, too
        raise OptionError(f"values reach outside [{low}, {high}]; clip them to an interval chosen on other rows first")
    width = high - low
    if width == 0.0:
        return scores, 0.0
    return np.clip((scores - low) / width, 0.0, 1.0), width


def _unit_prior(prior: tuple[float, float] | None, low: float, width: float) -> tuple[float, float]:
    """Mean and variance that the bets start from. Without a prior, those of Waudby-Smith and Ramdas: 1/2 and 1/4."""
    if prior is None:
        return 0.5, 0.25
    mean = min(1.0, max(0.0, (prior[0] - low) / width))
    return mean, min(0.25, max(1e-8, (prior[1] / width) ** 2))


def _empirical_bernstein(scaled: Values, alpha: float) -> float:
    """Maurer and Pontil (2009): mean - sqrt(2 V ln(2/alpha) / n) - 7 ln(2/alpha) / (3 (n - 1)), unbiased V."""
    n, log_term = len(scaled), math.log(2 / alpha)
    variance = float(scaled.var(ddof=1))
    return float(scaled.mean()) - math.sqrt(2 * variance * log_term / n) - 7 * log_term / (3 * (n - 1))


def _betting(scaled: Values, alpha: float, prior: tuple[float, float]) -> float:
    """inf {m : max_t K_t(m) < 1/alpha}, K_t(m) = prod_{i<=t} (1 + min(lambda_i, c/m) (x_i - m)).

    For every mean <= m, K_t(m) is a test supermartingale: by Ville's inequality, it reaches 1/alpha with probability
    <= alpha. It decreases in m, so bisection finds the boundary. The m returned is a rejected one, so it is never above
    the boundary.
    """
    n = len(scaled)
    threshold = math.log(1 / alpha) + 1e-9  # the margin exceeds the rounding error of the sums below
    stakes = _predictable_stakes(scaled, math.sqrt(2 * threshold / n), prior)
    mean = max(float(scaled.mean()), SMALLEST_MEAN)
    step = math.sqrt(2 * threshold * max(float(scaled.var()), 1.0 / n) / n)

    def rejected(m: float) -> bool:
        return _log_capital_reaches(scaled, stakes, m, threshold)

    upper = mean
    while upper < 1.0 and rejected(upper):  # the running maximum can reject the final mean itself
        upper = min(1.0, upper + step)
    lower = upper - step
    while lower > 0.0 and not rejected(lower):
        upper, step = lower, 2 * step
        lower -= step
    if lower <= 0.0:
        if not rejected(SMALLEST_MEAN):
            return 0.0
        lower = SMALLEST_MEAN
    tolerance = 1e-4 * max(upper - lower, 1e-12)
    while upper - lower > tolerance:
        middle = 0.5 * (lower + upper)
        if rejected(middle):
            lower = middle
        else:
            upper = middle
    return lower


def _predictable_stakes(scaled: Values, rate: float, prior: tuple[float, float]) -> Values:
    """lambda_t = rate / sigma_{t-1}: the fixed-n plug-in of Waudby-Smith and Ramdas, which uses only earlier values.

    mu_t = (mu_0 + sum x) / (t + 1), sigma_t^2 = (sigma_0^2 + sum (x_i - mu_i)^2) / (t + 1).
    """
    n = len(scaled)
    prior_mean, prior_variance = prior
    counts = np.arange(2, n + 2, dtype=np.float64)
    means = (prior_mean + np.cumsum(scaled)) / counts
    np.subtract(scaled, means, out=means)
    np.square(means, out=means)
    variances = np.cumsum(means, out=means)
    variances += prior_variance
    variances /= counts
    stakes = np.empty(n)
    stakes[0] = prior_variance
    stakes[1:] = variances[:-1]
    np.sqrt(stakes, out=stakes)
    np.maximum(stakes, 1e-12, out=stakes)
    return np.divide(rate, stakes, out=stakes)


def _log_capital_reaches(scaled: Values, stakes: Values, m: float, threshold: float) -> bool:
    """Whether the running maximum of log K_t(m) reaches the threshold. Streamed; stops as soon as it does."""
    limit, log_capital = STAKE_LIMIT / m, 0.0
    for start in range(0, len(scaled), CHUNK):
        bets = np.minimum(stakes[start : start + CHUNK], limit)
        bets *= scaled[start : start + CHUNK] - m
        path = np.cumsum(np.log1p(bets, out=bets), out=bets)
        if log_capital + float(path.max()) >= threshold:
            return True
        log_capital += float(path[-1])
    return False


def rows_needed(alpha: float, method: str = "betting") -> int:
    """Fewest test rows a side with which a difference bound can exceed 0, even for perfectly separated scores.

    If all scores are 0 on one side and 1 on the other, the lower bound on the latter's mean must exceed 1/2. Betting
    multiplies its capital by at most 1 + c per row there (per pair, and at alpha instead of alpha / 2, if paired).
    Empirical Bernstein subtracts 7 ln(4/alpha) / (3 (n - 1)).
    """
    if method == "empirical_bernstein":
        return 2 + math.ceil(14 * math.log(4 / alpha) / 3)
    error = alpha if method == "paired_betting" else alpha / 2
    return 1 + math.ceil(math.log(1 / error) / math.log(1 + STAKE_LIMIT))


def check_confidence(confidence: float, n_test_x: int, n_test_y: int, method: str = "betting") -> None:
    """Raise OptionError for a confidence outside [0.5, 1), SampleError if it needs more test rows than there are."""
    if not 0.5 <= confidence < 1:
        raise OptionError(f"confidence {confidence} is outside [0.5, 1); 0.95 is usual")
    needed = rows_needed(1 - confidence, method)
    for name, n in (("source", n_test_x), ("target", n_test_y)):
        if n < needed:
            raise SampleError(
                f"{name}: {n} test rows are too few for confidence {confidence}: even perfectly separated sets need "
                f"{needed} (about {math.ceil(needed / TEST_SHARE)} rows in all); give more rows or ask for less "
                "confidence"
            )


def clip_interval(
    scores_x: ArrayLike, scores_y: ArrayLike, n_test_x: int, n_test_y: int, alpha: float
) -> tuple[float, float]:
    """The interval [a, b] to clip a critic to, chosen on train and select scores only.

    It is the pair of quantiles with the highest predicted lower bound: the clipped mean difference less, for each side,
    standard deviation * sqrt(2 ln(2/alpha) / n) and (b - a) ln(2/alpha) / (2 n). The interval is wide for light tails
    and narrow for heavy ones.
    """
    x = np.sort(np.asarray(scores_x, dtype=np.float64))
    y = np.sort(np.asarray(scores_y, dtype=np.float64))
    tails = np.array([0.0, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.02, 0.05, 0.1])
    # the more extreme of the two sides' quantiles: a few rows of one side may make up the whole difference
    low = np.unique(np.minimum(np.quantile(x, tails), np.quantile(y, tails)))
    high = np.unique(np.maximum(np.quantile(x, 1 - tails), np.quantile(y, 1 - tails)))
    log_term = math.log(2 / alpha)
    best, interval = -math.inf, (float(low[0]), float(high[-1]))
    for a in low:
        for b in high:
            if not a < b:
                continue
            (mean_x, deviation_x), (mean_y, deviation_y) = (_clipped_moments(side, a, b) for side in (x, y))
            margin = math.sqrt(2 * log_term) * (deviation_x / math.sqrt(n_test_x) + deviation_y / math.sqrt(n_test_y))
            margin += (b - a) * log_term * (1 / n_test_x + 1 / n_test_y) / 2
            if mean_y - mean_x - margin > best:
                best, interval = mean_y - mean_x - margin, (float(a), float(b))
    return interval


def _clipped_moments(ascending: Values, a: float, b: float) -> tuple[float, float]:
    """Mean and standard deviation of the values after clipping to [a, b]."""
    clipped = np.clip(ascending, a, b)
    return float(clipped.mean()), float(clipped.std())
