"""Columns that number or name the rows: no data, but written into files beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wdist.data.tables.columns import Column, ColumnType
from wdist.data.tables.found import DecodeError
from wdist.data.tables.naming import asked
from wdist.definitions.reading import Selection

UNNAMED = re.compile(r"Unnamed: 0(\.\d+)*")  # what pandas calls the first column of a file that does not name it
_LEVEL = re.compile(r"__index_level_\d+__")  # what pandas calls a level of an index that has no name
_FEWEST_ROWS = 10  # a shorter column of 0, 1, 2 may well be data


class Counting:
    """Whether a column holds 0, 1, 2, ... or 1, 2, 3, ..., seen block by block."""

    def __init__(self) -> None:
        self._first: int | None = None
        self.rows = 0
        self.is_counting = True

    def append(self, values: NDArray[np.generic], missing: NDArray[np.bool_] | None = None) -> int | None:
        """Look at the next values (m,); returns the place of the first that does not count on, or None."""
        if not self.is_counting or not len(values):
            return None
        if self._first is None:
            self._first = 1 if values[0] == 1 else 0
        expected = np.arange(self._first + self.rows, self._first + self.rows + len(values))
        differs = values != expected
        if missing is not None:
            differs |= missing
        self.rows += len(values)
        if not differs.any():
            return None
        self.is_counting = False
        return int(differs.argmax())

    @property
    def said(self) -> str | None:
        """What the column holds, if it counts at least as many rows as are no coincidence."""
        if not self.is_counting or self.rows < _FEWEST_ROWS:
            return None
        return f"{self._first}, {(self._first or 0) + 1}, ..., {(self._first or 0) + self.rows - 1}"


class RowNumbers:
    """The unnamed first column of a table, which is left out because it numbers the rows."""

    def __init__(self, name: str) -> None:
        self._name, self._counting = name, Counting()

    @staticmethod
    def in_table(types: Sequence[ColumnType], take: Selection) -> RowNumbers | None:
        """The first column, if it has no name and the reading does not name it."""
        if not types or UNNAMED.fullmatch(types[0].name) is None or len(types) == 1:
            return None
        return None if types[0].name in named(take) else RowNumbers(types[0].name)

    def append(self, column: Column) -> None:
        """Check the next rows. Raises DecodeError for a value that does not count on."""
        before = self._counting.rows
        if (at := self._counting.append(column.values, column.missing)) is not None:
            held = "no value" if column.missing is not None and column.missing[at] else f"{column.values[at]:g}"
            raise DecodeError(self.refusal(f"its value {before + at + 1} is {held}"))

    def refusal(self, why: str) -> str:
        """Why the column is neither left out nor taken."""
        return (
            f"the first column has no name, as a column of row numbers has, but does not count the rows ({why}): leave "
            f"it out with {asked('drop', self._name)}, or give it a name"
        )

    @property
    def note(self) -> str:
        return "the first column, which has no name and numbers the rows, was left out"


def named(take: Selection) -> set[str]:
    """All columns that a reading names."""
    chosen = {*(take.columns or ()), *take.drop, *take.categories, *take.dates}
    return chosen if take.labels is None else {*chosen, take.labels}


def index_levels(names: Sequence[str], pandas: bytes | None, take: Selection) -> list[str]:
    """The columns that hold levels of an index of pandas and that the reading does not name.

    pandas: the JSON that pandas writes into a schema's metadata, if there is some.
    """
    levels = {name for name in names if _LEVEL.fullmatch(name)}
    try:
        described = json.loads(pandas or b"{}")
        levels |= {each for each in described.get("index_columns", ()) if isinstance(each, str)}
    except (ValueError, AttributeError, TypeError, RecursionError):
        pass  # another program's metadata
    levels -= named(take)
    return [name for name in names if name in levels]


def note_of_levels(levels: Sequence[str]) -> str:
    """What is said of levels of an index that were left out."""
    if all(_LEVEL.fullmatch(name) for name in levels):  # __index_level_0__, which its owner has never seen
        return "the index of a pandas frame was left out"
    shown = ", ".join(map(repr, levels))[:300]
    return f"{shown} {'is the index' if len(levels) == 1 else 'are the index'} of a pandas frame and was left out"
