"""The columns of a table as readers and frames give them, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

NUMERIC_KINDS = "biuf"  # of a NumPy type: bool, signed, unsigned, floating
FLOAT64: np.dtype[Any] = np.dtype(np.float64)

Given = Literal["number", "boolean", "text", "category", "time", "list", "other"]


@dataclass(frozen=True)
class ColumnType:
    """What a source says of a column before its values are read.

    kind: text: strings of which nothing more is known; category: a type that has levels (dictionary, categorical,
    enum); list: `width` numbers in each row; other: what no metric is defined for, such as structs and time spans.
    dtype: of numbers and of the numbers in lists. said: what messages call the type. parts: names of `width` columns of
    numbers that are read together, as a matrix is; a list without them is one value, missing as a whole. per_second: of
    times, how many of the units that they are counted in a second has; has_zone: whether they have a zone.
    """

    name: str
    kind: Given
    dtype: np.dtype[Any] = FLOAT64
    width: int = 1
    said: str = ""
    parts: tuple[str, ...] = ()
    per_second: int = 1
    has_zone: bool = False

    @classmethod
    def of_matrix(cls, dtype: np.dtype[Any], width: int) -> Self:
        """The columns of an array, which are called by their numbers and read together."""
        return cls("0", "list", dtype, width, parts=tuple(str(k) for k in range(width)))

    @property
    def is_vector(self) -> bool:
        return self.kind == "list" and not self.parts


@dataclass(frozen=True)
class Column:
    """The values of a column in one block of m rows.

    values: of numbers, (m,) in their own type, lists (m, width); of booleans, (m,) bool; of text and categories, (m,)
    int64 places in `levels`; of times, (m,) int64 units of their type since 1970-01-01, those with a zone in UTC:
    float64 seconds would round nanoseconds of today to 238.
    missing: (m,) bool, true where there is no value, whatever `values` holds there; None if there is none.
    levels: the distinct texts of this block.
    """

    values: NDArray[Any]
    missing: NDArray[np.bool_] | None = None
    levels: tuple[str, ...] = ()


def missing_in(column: Column) -> NDArray[np.bool_] | None:
    """Where there is no value, NaN among numbers included."""
    if column.values.dtype.kind != "f":
        return column.missing
    is_nan: NDArray[np.bool_] = np.isnan(column.values).reshape(len(column.values), -1).any(axis=1)
    return is_nan if column.missing is None else column.missing | is_nan
