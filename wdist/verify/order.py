"""Which rows were tested, and in which order: derived from the seed, and from the groups where there are any.

The streams of random numbers are those of docs/certificate.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]

KEY = 0x77646973
SPLIT, GROUPS, FRESH_ORDER, PERMUTATION_TEST = 1, 2, 3, 4
TEST_SHARE, TEST_GROUPS, SELECT_SHARE = 0.3, 50, 0.1


def stream(seed: int, purpose: int, *numbers: int) -> np.random.Generator:
    """The generator of one purpose; `numbers` is that of the set or the side, where a purpose has one for each."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(KEY, purpose, *numbers))))


@dataclass(frozen=True)
class Parts:
    """Rows of one side: their numbers in the file, in the order of the split.

    groups: the group of each row of `test`, as its place in the order of all groups, or None.
    """

    train: Index
    select: Index
    test: Index
    groups: Index | None = None

    def sizes(self) -> dict[str, int]:
        return {"train": len(self.train), "select": len(self.select), "test": len(self.test)}


def split_rows(n: int, seed: int, number: int, mode: str, sizes: dict[str, int]) -> Parts:
    """The parts of the n rows of a set, split as "random" or "blocks", cut at the sizes, which add up to n."""
    cuts = [sizes["train"], sizes["train"] + sizes["select"]]
    generator = stream(seed, SPLIT, number)
    if mode == "random":
        return Parts(*np.split(generator.permutation(n), cuts))
    return Parts(*(generator.permutation(part) for part in np.split(np.arange(n), cuts)))


def split_groups(sides: tuple[Index, Index], seed: int, every: int, fewest: int) -> tuple[Parts, Parts]:
    """The parts of both sides, by whole groups.

    sides: the group of every row. every: the number of groups of all sets of a matrix, or of both sides. fewest: of
    these sets, that of the one that has the fewest.
    """
    test = math.ceil(max(TEST_SHARE, TEST_GROUPS / fewest) * every)
    select = test + math.ceil(SELECT_SHARE * every)
    place = np.empty(every, dtype=np.int64)
    place[stream(seed, GROUPS).permutation(every)] = np.arange(every)
    parts = []
    for groups in sides:
        rank = place[groups]
        order = np.argsort(rank, kind="stable")
        cuts = np.searchsorted(rank[order], [test, select])
        in_test, in_select, rest = np.split(order, cuts)
        parts.append(Parts(rest, in_select, in_test, rank[in_test]))
    return parts[0], parts[1]
