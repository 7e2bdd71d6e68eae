"""The statements about held-out scores, derived a second time: betting bounds, empirical Bernstein, permutations.

Written from docs/certificate.md, not from the issuer's code: a stated bound is checked by evaluating the capital at it.
"""

import math

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

STAKE_LIMIT = 0.75
SMALLEST_MEAN = 1e-12
PERMUTATION_ROWS = 100_000


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


def mirrored(prior: tuple[float, float] | None) -> tuple[float, float] | None:
    """The prior of -f, from that of f."""
    return None if prior is None else (-prior[0], prior[1])


def permutation_p_value(fx: Values, fy: Values, seed: int, permutations: int) -> float:
    """(k + 1) / (B + 1) over B relabellings of the pooled scores; more than 100,000 scores: of a seeded subset."""
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 2])))
    total = len(fx) + len(fy)
    if total > PERMUTATION_ROWS:
        share = PERMUTATION_ROWS / total
        fx = generator.choice(fx, max(2, math.floor(share * len(fx))), replace=False, shuffle=False)
        fy = generator.choice(fy, max(2, math.floor(share * len(fy))), replace=False, shuffle=False)
    pooled = np.concatenate([fx, fy])
    pooled -= pooled.mean()
    observed = pooled[len(fx) :].sum() - 1e-12 * np.abs(pooled).sum()
    reached, batch = 0, max(1, (1 << 21) // len(pooled))
    for done in range(0, permutations, batch):
        rows = np.broadcast_to(pooled, (min(batch, permutations - done), len(pooled)))
        reached += int((generator.permuted(rows, axis=1)[:, len(fx) :].sum(axis=1) >= observed).sum())
    return (reached + 1) / (permutations + 1)
