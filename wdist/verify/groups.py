"""Statements about groups of rows, derived independently: the split of groups, their means and permutations."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Codes = NDArray[np.int64]

GROUP_PERMUTATIONS = 9_999


def split_groups(source: NDArray[Any], target: NDArray[Any], seed: int) -> list[tuple[Codes, list[int]]]:
    """For each side: all rows in the order train, select, test, and the sizes of the three parts.

    Groups are the codes of the rows. Three strata, groups only in source (0), only in target (1), in both (2), are each
    permuted by the stream of (seed, stratum) and divided: first test, then select, the rest train. Rows of a part come
    in the order of their group's place 3 k + stratum, k its place in the permuted stratum.
    """
    groups = np.union1d(source, target)
    in_source, in_target = np.isin(groups, source), np.isin(groups, target)
    test_share = max(0.3, 50 / min(in_source.sum(), in_target.sum()))
    place, part = np.zeros(len(groups), dtype=np.int64), np.zeros(len(groups), dtype=np.int64)
    for stratum, members in enumerate((in_source & ~in_target, in_target & ~in_source, in_source & in_target)):
        generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, stratum])))
        ordered = generator.permutation(np.flatnonzero(members))
        test, select = math.ceil(test_share * len(ordered)), math.ceil(0.1 * len(ordered))
        place[ordered] = 3 * np.arange(len(ordered)) + stratum
        part[ordered[:test]] = 2
        part[ordered[test : test + select]] = 1
    result = []
    for rows in (source, target):
        group = np.searchsorted(groups, rows)
        order = np.lexsort((place[group], part[group]))
        result.append((order, [int((part[group] == number).sum()) for number in range(3)]))
    return result


def group_means(scores: Values, groups: Codes) -> tuple[Values, Codes]:
    """Mean score and code of each group, in the order of first appearance."""
    names, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    means = np.bincount(inverse, weights=scores) / np.bincount(inverse)
    order = np.argsort(first)
    return means[order], names[order]


def seeded_means(x: Values, names_x: Codes, y: Values, names_y: Codes, seed: int) -> tuple[Values, Values]:
    """The means of both sides in the order that betting needs.

    In the order of first appearance, groups of one side and groups of both take turns, and which of them a group is may
    depend on its scores. A side that has both kinds is permuted by the stream of (seed, 8, side).
    """
    sides = []
    for side, (means, names, others) in enumerate(((x, names_x, names_y), (y, names_y, names_x))):
        if 0 < np.isin(names, others).sum() < len(names):
            generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 8, side])))
            means = means[generator.permutation(len(means))]
        sides.append(means)
    return sides[0], sides[1]


def group_p_value(x: Values, names_x: Codes, y: Values, names_y: Codes, seed: int) -> float:
    """(k + 1) / (B + 1): labels of one-sided groups shuffled, the two means of groups on both sides swapped at random.

    In every batch of 2^21 // (n + m) relabellings first all shuffles are drawn, then all swaps (1 keeps, 0 swaps).
    """
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 2])))
    n, m = len(x), len(y)
    _, at_x, at_y = np.intersect1d(names_x, names_y, return_indices=True)
    alone_x, alone_y = np.delete(x, at_x), np.delete(y, at_y)
    alone = np.concatenate([alone_x, alone_y])
    half_swing = (y[at_y] - x[at_x]) * (1 / n + 1 / m) / 2
    constant = float((y[at_y] + x[at_x]).sum()) * (1 / m - 1 / n) / 2

    def differences(target_sums: Values, swings: Values) -> Values:
        out: Values = target_sums / m - (alone.sum() - target_sums) / n + constant + swings
        return out

    observed = float(differences(np.array([alone_y.sum()]), np.array([half_swing.sum()]))[0])
    observed -= 1e-12 * (np.abs(alone).sum() * (1 / n + 1 / m) + np.abs(half_swing).sum() + abs(constant))
    reached, batch = 0, max(1, (1 << 21) // (n + m))
    for done in range(0, GROUP_PERMUTATIONS, batch):
        size = min(batch, GROUP_PERMUTATIONS - done)
        shuffled = generator.permuted(np.broadcast_to(alone, (size, len(alone))), axis=1)
        keep = generator.integers(0, 2, (size, len(half_swing))) * 2.0 - 1.0
        reached += int((differences(shuffled[:, len(alone_x) :].sum(axis=1), keep @ half_swing) >= observed).sum())
    return (reached + 1) / (GROUP_PERMUTATIONS + 1)
