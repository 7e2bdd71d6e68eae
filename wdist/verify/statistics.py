"""Statements about held-out scores, derived independently: betting bounds, empirical Bernstein, permutations.

Written from docs/certificate.md, not from the issuer's code. A stated bound is checked by evaluating the capital there.
"""

import math

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

METHODS = ("betting", "empirical_bernstein", "paired_betting")
STAKE_LIMIT = 0.75
SMALLEST_MEAN = 1e-12
CYCLIC_ROWS = 10_000


def unit_prior(prior: tuple[float, float], low: float, high: float) -> tuple[float, float]:
    """Mean and variance before the first score, on [0, 1]."""
    width = high - low
    mean = min(1.0, max(0.0, (prior[0] - low) / width))
    return mean, min(0.25, max(1e-8, (prior[1] / width) ** 2))


def log_capital_maximum(unit: Values, m: float, alpha: float, prior: tuple[float, float]) -> float:
    """max_t log K_t(m), K_t(m) = prod_{i <= t} (1 + min(lambda_i, c / m) (x_i - m)), for scores x on [0, 1].

    lambda_t = sqrt(2 ln(1/alpha) / (n sigma^2_{t-1})), sigma^2_t = (v_0 + sum_{i<=t} (x_i - mu_i)^2) / (t + 1),
    mu_t = (m_0 + sum_{i<=t} x_i) / (t + 1).
    """
    n = len(unit)
    mean_0, variance_0 = prior
    steps = np.arange(1, n + 1) + 1.0
    running_mean = (mean_0 + np.cumsum(unit)) / steps
    variance = (variance_0 + np.cumsum((unit - running_mean) ** 2)) / steps
    before = np.concatenate([[variance_0], variance[:-1]])
    stakes = math.sqrt(2 * math.log(1 / alpha) / n) / np.maximum(np.sqrt(before), 1e-12)
    return float(np.cumsum(np.log1p(np.minimum(stakes, STAKE_LIMIT / m) * (unit - m))).max())


def bound_holds(
    scores: Values, bound: float, low: float, high: float, alpha: float, method: str, prior: tuple[float, float] | None
) -> bool:
    """Whether `bound` is a valid lower confidence bound at error alpha for the mean of scores in [low, high]."""
    if bound <= low:
        return True
    if high <= low or bound > high:
        return False
    unit = np.clip((scores - low) / (high - low), 0.0, 1.0)
    m = (bound - low) / (high - low)
    if method == "empirical_bernstein":
        return m <= _bernstein(unit, alpha) + 1e-12
    start = (0.5, 0.25) if prior is None else unit_prior(prior, low, high)
    # 1e-9 of a nat: the rounding of sums taken in another order
    return log_capital_maximum(unit, max(m, SMALLEST_MEAN), alpha, start) >= math.log(1 / alpha) - 1e-9


def _bernstein(unit: Values, alpha: float) -> float:
    n, log_term = len(unit), math.log(2 / alpha)
    spread = math.sqrt(2 * float(unit.var(ddof=1)) * log_term / n)
    return float(unit.mean()) - spread - 7 * log_term / (3 * (n - 1))


def lower_bound(
    scores: Values, low: float, high: float, alpha: float, method: str, prior: tuple[float, float] | None
) -> float:
    """The largest bound that holds, within 1e-6 of the interval's width."""
    valid, invalid = low, high
    while invalid - valid > 1e-6 * (high - low):
        middle = 0.5 * (valid + invalid)
        if bound_holds(scores, middle, low, high, alpha, method, prior):
            valid = middle
        else:
            invalid = middle
    return valid


def pairs(
    fx: Values, fy: Values, priors: list[tuple[float, float] | None]
) -> tuple[Values, tuple[float, float] | None]:
    """Every score of the smaller side with the mean of the next k of the larger: differences, and their prior."""
    count = min(len(fx), len(fy))
    k_x, k_y = len(fx) // count, len(fy) // count
    differences = fy[: count * k_y].reshape(count, k_y).mean(axis=1) - fx[: count * k_x].reshape(count, k_x).mean(
        axis=1
    )
    x, y = priors
    if x is None or y is None:
        return differences, None
    return differences, (y[0] - x[0], math.sqrt(x[1] ** 2 / k_x + y[1] ** 2 / k_y))


def mirrored(prior: tuple[float, float] | None) -> tuple[float, float] | None:
    """The prior of -f, from that of f."""
    return None if prior is None else (-prior[0], prior[1])


def permutation_count(n: int, m: int) -> int:
    """B of format version 1: 9,999 up to 10,000 scores, otherwise every cyclic shift but the identity."""
    return 9_999 if n + m <= CYCLIC_ROWS else n + m - 1


def permutation_p_value(fx: Values, fy: Values, seed: int) -> float:
    """(k + 1) / (B + 1) over relabellings of the pooled scores that give Y at least its observed sum.

    Up to 10,000 scores: B = 9,999 shuffles. Beyond: the scores in the order of one shuffle, and all cyclic shifts of
    the labels against them, by one circular correlation.
    """
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 2])))
    scores = np.concatenate([fx, fy])
    scores = scores - scores.mean()
    observed = scores[len(fx) :].sum() - 1e-12 * np.abs(scores).sum()
    count = permutation_count(len(fx), len(fy))
    if len(scores) > CYCLIC_ROWS:
        order = generator.permutation(len(scores))
        is_target = np.where(order >= len(fx), 1.0, 0.0)
        sums = np.fft.irfft(np.fft.rfft(scores[order]) * np.conj(np.fft.rfft(is_target)), n=len(scores))
        return float(1 + np.count_nonzero(sums[1:] >= observed)) / (count + 1)
    reached, batch = 0, max(1, (1 << 21) // len(scores))
    for done in range(0, count, batch):
        rows = np.broadcast_to(scores, (min(batch, count - done), len(scores)))
        reached += int((generator.permuted(rows, axis=1)[:, len(fx) :].sum(axis=1) >= observed).sum())
    return (reached + 1) / (count + 1)
