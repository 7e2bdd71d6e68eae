"""Train, select and test parts of a sample set: by rows, by whole groups, or by blocks of time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wdist.data.seeded import SeededScores
from wdist.definitions.figures import Parts
from wdist.errors import OptionError, SampleError
from wdist.streams import Purpose, stream

Index = NDArray[np.int64]

MINIMUM_TEST = 50  # groups; with fewer, a bound at 95 % is hardly ever above zero
MINIMUM_SELECT = 10
MINIMUM_ROWS = 100
MINIMUM_GROUPS = (10, 3, 25)  # of each side in train, select and test, as chance distributes them
TRAIN_SHARE, SELECT_SHARE, TEST_SHARE = 0.5, 0.1, 0.4
HALF_UP_TO = (
    200  # test rows up to which they are half of all: a margin of small samples costs more than a better critic
)
GROUP_TEST_SHARE = 0.3


@dataclass(frozen=True)
class Split:
    """Disjoint row indices of one sample set, each in the order of the seeded permutation (never sorted).

    Critics are fitted on train, the best is chosen on select, and test is looked at once. int64, shape (rows,).
    """

    train: Index
    select: Index
    test: Index

    def sizes(self) -> Parts:
        """Number of rows in each part, by name."""
        return {"train": len(self.train), "select": len(self.select), "test": len(self.test)}

    def test_scores(self, values: ArrayLike, rows: Index, rounding: ArrayLike | None = None) -> SeededScores:
        """Put the scores of test rows into the order of the permutation.

        values: (n,), in any order. rows: (n,), the row that each value belongs to; together the first n of `test`.
        rounding: (n,), how far each value may be from the exact score. Raises OptionError for other rows.
        """
        return SeededScores.of(values, rows, self.test[: len(rows)], rounding)


@dataclass(frozen=True)
class HeldOutRows:
    """Test rows in the order of the file, which says nothing about chance, and what puts their scores into order.

    rows: (n, *row_shape). numbers: (n,), their numbers in the sample set, ascending; the first n of `split.test`.
    rounding: (n,), bound on the Euclidean distance of each row from its exact value.
    """

    rows: NDArray[np.float64]
    numbers: Index
    rounding: NDArray[np.float64]
    split: Split

    def scores(self, values: ArrayLike, rounding: ArrayLike | None = None) -> SeededScores:
        """Scores in the order of the split; values (n,), and their rounding, have one for each of `rows`."""
        return self.split.test_scores(values, self.numbers, rounding)

    def in_order(self) -> NDArray[np.float64]:
        """The rows in the order of the split."""
        return self.rows[np.searchsorted(self.numbers, self.split.test[: len(self.numbers)])]


def part_sizes(n: int, what: str = "rows") -> tuple[int, int, int]:
    """Sizes (train, select, test): 50/10/40 %, with half of the rows in test where that is at most 200.

    At least 50 are in test and 10 in select. Raises SampleError below 100 rows.
    """
    if n < MINIMUM_ROWS:
        raise SampleError(f"{n} {what} are too few to split; at least {MINIMUM_ROWS} are needed")
    test = max(min(n // 2, HALF_UP_TO), round(TEST_SHARE * n))
    select = max(MINIMUM_SELECT, round(SELECT_SHARE * n))
    return n - select - test, select, test


def rows_with_test(test: int) -> int:
    """The number of rows whose test part has this size."""
    return 2 * test if test <= HALF_UP_TO else math.floor(test / TEST_SHARE)


def group_test_share(smaller: int) -> float:
    """Share of all groups in test; smaller: number of groups of the side that has fewer."""
    return max(GROUP_TEST_SHARE, MINIMUM_TEST / smaller)


def split_rows(n: int, seed: int, number: int = 0, *, mode: str = "random") -> Split:
    """Split the n rows of a set into train, select and test by a seeded permutation.

    number: that of the set, which has a permutation of its own: 0 for the source and 1 for the target of an estimate,
    and in a matrix the place of the set in the list, so that a set has one split in all its pairs.

    mode "random" is for exchangeable rows. mode "blocks" is for rows ordered in time: the parts are contiguous (train
    first, test last), which keeps neighbours in the same part but makes the bound approximate. Both modes permute the
    rows within each part. Raises SampleError for fewer than 100 rows, OptionError for an unknown mode.
    """
    if mode not in ("random", "blocks"):
        raise OptionError(f"split {mode!r} is unknown; choose 'random' or 'blocks'")
    train, select, _ = part_sizes(n)
    generator = stream(seed, Purpose.SPLIT, number)
    if mode == "random":
        order = generator.permutation(n)
        return Split(order[:train], order[train : train + select], order[train + select :])
    parts = np.split(np.arange(n), [train, train + select])
    return Split(*(generator.permutation(part) for part in parts))


def tested_units(splits: tuple[Split, Split], groups: tuple[Index, Index] | None) -> tuple[int, int]:
    """Number of test rows of each side, or of test groups; groups: the codes of all rows of both sets, or None."""
    if groups is None:
        return len(splits[0].test), len(splits[1].test)
    first, second = (len(np.unique(codes[split.test])) for codes, split in zip(groups, splits, strict=True))
    return first, second


@dataclass(frozen=True)
class GroupOrder:
    """One seeded order of the groups of two or more sets. It decides the part and the place of each group.

    A group that occurs in several sets is in the same part of each, and each set has one split in all its pairs. The
    order does not depend on the rows: that of the groups of one set, or of one pair, is a random order as well.

    Attributes:
        codes: of each set, the number of each row's group, int64 (n,); all groups of all sets are 0, 1, ...
        rank, part: (groups,), the place of each group in the order, and its part: 0 train, 1 select, 2 test.
        counts: the number of groups of all sets together, and that of the set with the fewest.
    """

    codes: tuple[Index, ...]
    rank: Index
    part: Index
    counts: tuple[int, int]

    @classmethod
    def of(cls, sets: Sequence[Index], seed: int) -> "GroupOrder":
        """Draw the order. sets: of each set, the code of each row's label, (n,)."""
        names, joined = np.unique(np.concatenate(sets), return_inverse=True)
        ends = np.cumsum([len(each) for each in sets])[:-1]
        codes = tuple(each.astype(np.int64) for each in np.split(joined, ends))
        fewest = min(len(np.unique(each)) for each in codes)
        test = math.ceil(group_test_share(fewest) * len(names))
        select = math.ceil(SELECT_SHARE * len(names))
        rank = np.empty(len(names), dtype=np.int64)
        rank[stream(seed, Purpose.GROUPS).permutation(len(names))] = np.arange(len(names))
        part = np.where(rank < test, 2, np.where(rank < test + select, 1, 0))
        return cls(codes, rank, part, (len(names), fewest))

    def split(self, number: int, name: str) -> Split:
        """The split of one set, whole groups at a time; `name` is what messages call it.

        Rows are ordered by the rank of their group, and within a group as given. Raises SampleError if the set has
        fewer than 100 groups, or too few of them in one part.
        """
        codes = self.codes[number]
        groups = np.unique(codes)
        if len(groups) < MINIMUM_ROWS:
            raise SampleError(f"{name}: {len(groups)} groups are too few; at least {MINIMUM_ROWS} are needed")
        _check_parts(name, np.bincount(self.part[groups], minlength=3).tolist())
        order = np.argsort(self.rank[codes], kind="stable")
        return Split(*(order[self.part[codes[order]] == part] for part in range(3)))

    def pair(
        self, source: int = 0, target: int = 1, names: tuple[str, str] = ("source", "target")
    ) -> tuple[Split, Split, tuple[Index, Index]]:
        """The splits of two of the sets, called by `names` in messages, and their codes. Raises what `split` does."""
        splits = self.split(source, names[0]), self.split(target, names[1])
        return *splits, (self.codes[source], self.codes[target])


def _check_parts(name: str, counts: list[int]) -> None:
    """Raise SampleError if a part got too few groups of one side. Splitting again would choose among splits."""
    for part, count, needed in zip(("train", "select", "test"), counts, MINIMUM_GROUPS, strict=True):
        if count < needed:
            raise SampleError(
                f"{name}: only {count} of its {sum(counts)} groups came into the {part} part, where {needed} are "
                "needed; give more groups of this set"
            )
