"""Permutation tests of P = Q on held-out scores, over rows and over whole groups of rows."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]
Codes = NDArray[np.int64]

PERMUTATIONS = 9_999
CYCLIC_ROWS = 10_000  # with more held-out scores than this in all, cyclic shifts give at least as many permutations
GROUP_PERMUTATIONS = 9_999


def permutation_p_value(fx: ArrayLike, fy: ArrayLike, seed: int, permutations: int | None = None) -> float:
    """P-value of P = Q against mean f(Y) > mean f(X), from permuted labels of held-out scores: (k + 1) / (B + 1).

    fx (n,), fy (m,). The test is exact if the critic has not seen these rows and its sign was fixed beforehand. Up to
    10,000 scores in all, it draws B = 9,999 random permutations. Beyond that, it puts the scores in random order and
    uses all B = n + m - 1 cyclic shifts of the labels. The shifts form a group, so the test is exact (Hemerik and
    Goeman, "Exact testing with random permutations", 2018, theorem 1), and one Fourier transform computes them all.
    """
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 2])))
    x, y = np.asarray(fx, dtype=np.float64), np.asarray(fy, dtype=np.float64)
    pooled = np.concatenate([x, y])
    pooled -= pooled.mean()
    # the pooled sum is fixed, so the mean difference grows with the sum over Y; the tolerance makes equal sums count as
    # ties even if they were added in another order
    threshold = pooled[len(x) :].sum() - 1e-12 * np.abs(pooled).sum()
    if permutations is None and len(pooled) > CYCLIC_ROWS:
        order = generator.permutation(len(pooled))
        labels = (order >= len(x)).astype(np.float64)
        shifts = np.fft.irfft(np.fft.rfft(pooled[order]) * np.fft.rfft(labels).conj(), len(pooled))
        return float((shifts[1:] >= threshold).sum() + 1) / len(pooled)
    count = PERMUTATIONS if permutations is None else permutations
    batch = max(1, (1 << 21) // len(pooled))
    reached, done = 0, 0
    while done < count:
        size = min(batch, count - done)
        shuffled = generator.permuted(np.broadcast_to(pooled, (size, len(pooled))), axis=1)
        reached += int((shuffled[:, len(x) :].sum(axis=1) >= threshold).sum())
        done += size
    return (reached + 1) / (count + 1)


def permutation_count(n: int, m: int) -> int:
    """Number of permutations that `permutation_p_value` uses by default for n and m scores."""
    return PERMUTATIONS if n + m <= CYCLIC_ROWS else n + m - 1


def group_permutation_p_value(
    means_x: Values,
    groups_x: Codes,
    means_y: Values,
    groups_y: Codes,
    seed: int,
    permutations: int = GROUP_PERMUTATIONS,
) -> float:
    """P-value of P = Q against mean f(Y) > mean f(X), by permuting whole groups: (k + 1) / (B + 1).

    means_*: (groups,) mean score of each group; groups_*: the groups' labels, comparable between the sides. Groups on
    only one side have their sides permuted among each other. A group on both sides has its two means swapped with
    probability 1/2.
    """
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 2])))
    _, at_x, at_y = np.intersect1d(groups_x, groups_y, return_indices=True)
    only_x, only_y = np.delete(means_x, at_x), np.delete(means_y, at_y)
    n, m = len(means_x), len(means_y)
    pooled = np.concatenate([only_x, only_y])
    total = float(pooled.sum())
    # the statistic, mean over Y less mean over X, depends on two sums: one over the one-sided groups assigned to Y, the
    # other over the groups on both sides, each of which adds plus or minus its swing
    swing = (means_y[at_y] - means_x[at_x]) * (1 / n + 1 / m) / 2
    centre = float((means_y[at_y] + means_x[at_x]).sum()) * (1 / m - 1 / n) / 2

    def statistic(sum_y: Values, swings: Values) -> Values:
        out: Values = sum_y / m - (total - sum_y) / n + centre + swings
        return out

    observed = float(statistic(np.array([only_y.sum()]), np.array([swing.sum()]))[0])
    observed -= 1e-12 * (np.abs(pooled).sum() * (1 / n + 1 / m) + np.abs(swing).sum() + abs(centre))
    reached, done = 0, 0
    batch = max(1, (1 << 21) // (n + m))
    while done < permutations:
        size = min(batch, permutations - done)
        shuffled = generator.permuted(np.broadcast_to(pooled, (size, len(pooled))), axis=1)
        flips = generator.integers(0, 2, (size, len(swing))) * 2.0 - 1.0
        reached += int((statistic(shuffled[:, len(only_x) :].sum(axis=1), flips @ swing) >= observed).sum())
        done += size
    return (reached + 1) / (permutations + 1)
