"""Which rows of the data as given a sample set has, where rows were left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class KeptRows:
    """The rows that were kept: numbers (n,) int64, from 0 in the data as given and ascending; of: how many were given.

    In a file, the first row is the first below the names of its columns.
    """

    numbers: NDArray[np.int64]
    of: int

    @classmethod
    def where(cls, kept: NDArray[np.bool_]) -> Self:
        """The rows at which `kept`, (rows,), is true."""
        return cls(np.flatnonzero(kept).astype(np.int64), len(kept))

    @classmethod
    def without(cls, lost: NDArray[np.int64], rows: int) -> Self:
        """All of so many rows but those with the numbers `lost`."""
        kept = np.ones(rows, dtype=np.bool_)
        kept[lost] = False
        return cls.where(kept)

    def places(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where kept rows with these numbers are among the kept ones."""
        return np.searchsorted(self.numbers, numbers).astype(np.int64)

    def spread(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """What belongs to each kept row, (n, ...), for all rows as given, (of, ...): NaN for those left out."""
        out = np.full((self.of, *values.shape[1:]), np.nan)
        out[self.numbers] = values
        return out


def chosen_of(kept: KeptRows | None, places: NDArray[np.int64], rows: int) -> KeptRows:
    """The rows at these ascending places of a set of so many rows, of which `kept` says which were given."""
    return KeptRows(places, rows) if kept is None else KeptRows(kept.numbers[places], kept.of)


LEFT_OUT = "rows have missing values and were left out"  # as the notes of sample sets say it


def says_left_out(notes: Any) -> bool:
    """Whether the notes of a set say that rows were left out."""
    return any(LEFT_OUT in note for note in notes)
