"""Held-out scores in an order that a seed fixed, which confidence bounds need, and the rounding they carry."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wdist.errors import OptionError
from wdist.rounding import UNIT_ROUNDOFF
from wdist.streams import Purpose, stream

Values = NDArray[np.float64]

# Rounding bounds are themselves computed in float64. This factor covers their error, and terms of second order.
_INFLATION: Final = 1.01
_SMALLEST: Final = 2.0**-1022


class SeededScores:
    """Scores of held-out rows or groups, float64 (n,), in the order of a seeded permutation.

    A betting bound is false for scores in an order that depends on them, such as that of a sorted file. Bounds
    therefore take this type and no arrays. Build it with `of` (or `Split.test_scores`) or with `shuffled`. The methods
    keep the order and return new scores.

    Attributes:
        values: (n,), read-only.
        rounding: (n,), read-only. Each value is within its rounding of the score in exact arithmetic.
    """

    __slots__ = ("rounding", "values")
    values: Values
    rounding: Values

    def __init__(self) -> None:
        raise OptionError("build SeededScores with SeededScores.shuffled(values, seed) or Split.test_scores")

    @classmethod
    def of(
        cls,
        values: ArrayLike,
        labels: NDArray[np.int64],
        order: NDArray[np.int64],
        rounding: ArrayLike | None = None,
    ) -> SeededScores:
        """Put the scores of rows or groups into a seeded order.

        values: (n,), in any order. labels: (n,), the number of the row or group that each value belongs to.
        order: (n,), the same numbers, as a seeded permutation lists them. rounding: (n,) or one number, as above;
        0 if it is not given. Raises OptionError if these do not match.
        """
        given = np.array(values, dtype=np.float64)  # a copy, which nobody else can sort
        if given.shape != labels.shape or labels.shape != order.shape or given.ndim != 1:
            raise OptionError(f"{given.shape} scores of {labels.shape} rows do not fit an order of {order.shape}")
        error = _rounding_of(given, rounding)
        if np.array_equal(labels, order):
            return cls._ordered(given, error)
        ascending = np.argsort(labels, kind="stable")
        place = ascending[np.searchsorted(labels, order, sorter=ascending).clip(max=len(labels) - 1)]
        if not np.array_equal(labels[place], order):
            raise OptionError("the scores are of other rows than the order")
        return cls._ordered(given[place], error[place])

    @classmethod
    def shuffled(cls, values: ArrayLike, seed: int, rounding: ArrayLike | None = None) -> SeededScores:
        """Permute scores (n,) that are in any order, with a seed chosen without looking at them."""
        given = np.asarray(values, dtype=np.float64)
        if given.ndim != 1:
            raise OptionError(f"scores of shape {given.shape}: one dimension is needed")
        order = stream(seed, Purpose.ORDER_OF_SCORES).permutation(len(given))
        return cls._ordered(given[order], _rounding_of(given, rounding)[order])

    @classmethod
    def _ordered(cls, values: Values, rounding: Values) -> SeededScores:
        scores = object.__new__(cls)
        scores.values, scores.rounding = values.view(), rounding.view()
        scores.values.flags.writeable = scores.rounding.flags.writeable = False
        return scores

    def __len__(self) -> int:
        return len(self.values)

    def __neg__(self) -> SeededScores:
        return self._ordered(-self.values, self.rounding)

    def __sub__(self, other: SeededScores | float) -> SeededScores:
        """The difference to other scores, one by one, or to a number that is exact."""
        subtracted, error = (other.values, other.rounding) if isinstance(other, SeededScores) else (other, 0.0)
        values = self.values - subtracted
        return self._ordered(values, (self.rounding + error + UNIT_ROUNDOFF * np.abs(values)) * _INFLATION)

    def clip(self, low: float, high: float) -> SeededScores:
        """Clip every score to [low, high]. Two scores within it are at most its width apart."""
        return self._ordered(self.values.clip(low, high), np.minimum(self.rounding, (high - low) * _INFLATION))

    def to_unit(self, low: float, high: float) -> SeededScores:
        """Map [low, high] to [0, 1]."""
        width = high - low
        # three operations, each with an error of one UNIT_ROUNDOFF of a number that is at most 1
        rounding = (self.rounding / width + 3 * UNIT_ROUNDOFF) * _INFLATION
        return self._ordered(np.clip((self.values - low) / width, 0.0, 1.0), np.minimum(rounding, 1.0))

    def lowered(self, floor: float) -> SeededScores:
        """Numbers that are surely at most the exact scores: each value less its rounding, but at least `floor`.

        A lower bound of their mean is one of the mean of the exact scores, which are at least `floor`.
        """
        # The next smaller number, because the subtraction is rounded, too.
        below = np.where(self.rounding > 0, np.nextafter(self.values - self.rounding, -np.inf), self.values)
        return self._ordered(np.maximum(below, floor), np.zeros(len(self)))

    def part_means(self, sizes: NDArray[np.int64]) -> SeededScores:
        """Means of consecutive parts of these sizes, all at least 1, which sum to n."""
        if len(sizes) == len(self):
            return self
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        means = np.add.reduceat(self.values, starts) / sizes
        largest = np.maximum.reduceat(np.abs(self.values), starts)
        added = np.where(sizes > 1, _of_mean(sizes, largest), 0.0)
        rounding = np.add.reduceat(self.rounding, starts) / sizes
        return self._ordered(means, (rounding + added) * _INFLATION)

    def group_means(self, codes: NDArray[np.int64]) -> tuple[SeededScores, NDArray[np.int64]]:
        """Mean and code of each group, in the order in which the groups first appear.

        codes: (n,), the group of each score. Two arrays of the number of groups. Groups are the units of chance then,
        and their order must be a seeded one, as that of `wdist.data.splits.GroupOrder` is.
        """
        if codes.shape != self.values.shape or not len(codes):
            raise OptionError(f"{self.values.shape} scores, but group codes of shape {codes.shape}")
        names, first, group = np.unique(codes, return_index=True, return_inverse=True)
        sizes = np.bincount(group)
        # Scores may be far from 0, so that their sum would be rounded coarsely.
        reference = self.values[first][group]
        above = self.values - reference
        means = np.bincount(group, weights=above) / sizes + self.values[first]
        largest = np.zeros(len(names))
        np.maximum.at(largest, group, np.abs(above))
        rounding = np.bincount(group, weights=self.rounding) / sizes
        added = _of_mean(sizes, largest) + UNIT_ROUNDOFF * (largest + np.abs(means))
        rounding = (rounding + np.where(sizes > 1, added, 0.0)) * _INFLATION
        order = np.argsort(first, kind="stable")
        return self._ordered(means[order], rounding[order]), names[order].astype(np.int64)


def _of_mean(size: Any, largest: Values) -> Any:
    """Error of a mean of `size` numbers up to `largest`: one roundoff for each addition and for the division.

    Below the smallest normal number, a quotient is off by more than one roundoff of itself.
    """
    return size * UNIT_ROUNDOFF * largest + _SMALLEST


def _rounding_of(values: Values, given: ArrayLike | None) -> Values:
    """The rounding (n,) of scores. Raises OptionError for one of another shape, or one that is negative or NaN."""
    error = np.asarray(0.0 if given is None else given, dtype=np.float64)
    if error.shape not in ((), values.shape) or not (error >= 0).all():
        raise OptionError(f"rounding of shape {error.shape}: one number, 0 or larger, is needed for each score")
    return np.array(np.broadcast_to(error, values.shape))


def require_seeded(scores: Any) -> SeededScores:
    """Return the argument. Raises OptionError for arrays and anything else that is not SeededScores."""
    if not isinstance(scores, SeededScores):
        raise OptionError(
            f"a bound needs SeededScores, not {type(scores).__name__}: in an order that depends on the scores, it "
            "would be false; use SeededScores.shuffled(values, seed)"
        )
    return scores
