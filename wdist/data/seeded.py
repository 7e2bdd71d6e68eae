"""Held-out scores in an order that a seed fixed, which confidence bounds need."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wdist.errors import OptionError

Values = NDArray[np.float64]


class SeededScores:
    """Scores of held-out rows or groups, float64 (n,), in the order of a seeded permutation.

    A betting bound is false for scores in an order that depends on them, such as that of a sorted file. Bounds
    therefore take this type and no arrays. Build it with `of` (or `Split.test_scores`) or with `shuffled`. The methods
    keep the order and return new scores.
    """

    __slots__ = ("values",)
    values: Values  # read-only

    def __init__(self) -> None:
        raise OptionError("build SeededScores with SeededScores.shuffled(values, seed) or Split.test_scores")

    @classmethod
    def of(cls, values: ArrayLike, labels: NDArray[np.int64], order: NDArray[np.int64]) -> SeededScores:
        """Put the scores of rows or groups into a seeded order.

        values: (n,), in any order. labels: (n,), the number of the row or group that each value belongs to.
        order: (n,), the same numbers, as a seeded permutation lists them. Raises OptionError if these do not match.
        """
        given = np.array(values, dtype=np.float64)  # a copy, which nobody else can sort
        if given.shape != labels.shape or labels.shape != order.shape or given.ndim != 1:
            raise OptionError(f"{given.shape} scores of {labels.shape} rows do not fit an order of {order.shape}")
        if np.array_equal(labels, order):
            return cls._ordered(given)
        ascending = np.argsort(labels, kind="stable")
        place = ascending[np.searchsorted(labels, order, sorter=ascending).clip(max=len(labels) - 1)]
        if not np.array_equal(labels[place], order):
            raise OptionError("the scores are of other rows than the order")
        return cls._ordered(given[place])

    @classmethod
    def shuffled(cls, values: ArrayLike, seed: int) -> SeededScores:
        """Permute scores (n,) that are in any order, with a seed chosen without looking at them."""
        given = np.asarray(values, dtype=np.float64)
        if given.ndim != 1:
            raise OptionError(f"scores of shape {given.shape}: one dimension is needed")
        generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 9])))
        return cls._ordered(generator.permutation(given))

    @classmethod
    def _ordered(cls, values: Values) -> SeededScores:
        scores = object.__new__(cls)
        scores.values = values.view()
        scores.values.flags.writeable = False
        return scores

    def __len__(self) -> int:
        return len(self.values)

    def __neg__(self) -> SeededScores:
        return self._ordered(-self.values)

    def __sub__(self, other: SeededScores) -> SeededScores:
        return self._ordered(self.values - other.values)

    def clip(self, low: float, high: float) -> SeededScores:
        """Clip every score to [low, high]."""
        return self._ordered(self.values.clip(low, high))

    def to_unit(self, low: float, high: float) -> SeededScores:
        """Map [low, high] to [0, 1]."""
        return self._ordered(np.clip((self.values - low) / (high - low), 0.0, 1.0))

    def block_means(self, blocks: int, size: int) -> SeededScores:
        """Means of the first `blocks` blocks of `size` consecutive scores each, (blocks,)."""
        return self._ordered(self.values[: blocks * size].reshape(blocks, size).mean(axis=1))


def require_seeded(scores: Any) -> SeededScores:
    """Return the argument. Raises OptionError for arrays and anything else that is not SeededScores."""
    if not isinstance(scores, SeededScores):
        raise OptionError(
            f"a bound needs SeededScores, not {type(scores).__name__}: in an order that depends on the scores, it "
            "would be false; use SeededScores.shuffled(values, seed)"
        )
    return scores
