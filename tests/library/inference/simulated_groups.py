"""Simulated files of groups with known scores, in the order of a file that knows them, as the statements take them."""

from collections.abc import Callable

import numpy as np

from wdist.data.seeded import SeededScores
from wdist.data.splits import GroupOrder
from wdist.inference.units import Layout, Units, layout_of, units_of_groups

WIDE = -4.0, 12.0  # holds groups that are far away
NARROW = -3.0, 4.0
Rows = tuple[np.ndarray, np.ndarray]  # score and group of each row
Order = Callable[[np.ndarray, np.ndarray], np.ndarray]

ORDERS: dict[str, Order] = {
    "by label": lambda scores, codes: np.argsort(codes, kind="stable"),
    "by column": lambda scores, codes: np.argsort(scores, kind="stable"),
    "descending": lambda scores, codes: np.argsort(-scores, kind="stable"),
}


def as_given(values: np.ndarray, rounding: float = 0.0) -> SeededScores:
    rows = np.arange(len(values))
    return SeededScores.of(values, rows, rows, rounding)


def sizes(generator: np.random.Generator, groups: int, largest: int) -> np.ndarray:
    """Sizes of groups from 1 to `largest`, as many between 1 and 10 as between 10 and 100."""
    return np.exp(generator.uniform(0, np.log(largest + 1), groups)).astype(int).clip(1, largest)


def equal_populations(
    generator: np.random.Generator,
    groups: int,
    shared: float,
    far: float = 6.0,
    largest: int = 3,
    shift: float = 0.0,
    interval: tuple[float, float] = WIDE,
) -> tuple[Rows, Rows]:
    """Two files of one population of `groups` groups each; groups in both files are `far` away from the others.

    shift: what is added to the scores of the second file; then the populations differ.
    """
    both = round(shared * groups)
    total = 2 * groups - both
    effects = generator.standard_normal(total) + np.where(np.arange(total) < both, far, 0.0)
    names = np.arange(groups), np.concatenate([np.arange(both), np.arange(groups, total)])
    sides = []
    for codes, moved in zip(names, (0.0, shift), strict=True):
        rows = np.repeat(codes, sizes(generator, groups, largest))
        sides.append(((effects[rows] + moved + 0.5 * generator.standard_normal(len(rows))).clip(*interval), rows))
    return sides[0], sides[1]


def of_test_groups(files: tuple[Rows, Rows], order: str, seed: int) -> Units:
    """Units of the test groups, split and scored as an estimate does."""
    (x, codes_x), (y, codes_y) = ((s[o], c[o]) for s, c in files for o in [ORDERS[order](s, c)])
    one, other, (codes_x, codes_y) = GroupOrder.of((codes_x, codes_y), seed).pair()
    scores = one.test_scores(x[one.test], one.test), other.test_scores(y[other.test], other.test)
    return units_of_groups(*scores, codes_x[one.test], codes_y[other.test], layout_of(codes_x, codes_y))


def of_all_groups(files: tuple[Rows, Rows], layout: Layout, seed: int) -> Units:
    """Units of all groups, in one random order of them and without a split."""
    rank = np.random.default_rng([seed, 1]).permutation(1 + max(int(codes.max()) for _, codes in files))
    (x, codes_x), (y, codes_y) = ((s[o], c[o]) for s, c in files for o in [np.argsort(rank[c], kind="stable")])
    return units_of_groups(as_given(x), as_given(y), codes_x, codes_y, layout)
