"""Columns that number or name the rows: no data, but written into files beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from wdist.data.tables.columns import Column, ColumnType
from wdist.data.tables.found import DecodeError
from wdist.data.tables.naming import asked
from wdist.definitions.reading import Selection

UNNAMED = re.compile(r"(?:Unnamed: 0(?:\.\d+)*)?")  # pandas calls the first column so that a file does not name
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


class UncountedError(DecodeError):
    """A column without a name that does not number the rows. column: what it is called."""

    def __init__(self, message: str, column: str = "") -> None:
        self.column = column
        super().__init__(message)


class RowNumbers:
    """A column without a name at the beginning of a table, which is left out because it numbers the rows."""

    def __init__(self, name: str) -> None:
        self._name, self._counting = name, Counting()

    def append(self, column: Column) -> None:
        """Check the next rows. Raises UncountedError for a value that does not count on."""
        before = self._counting.rows
        if (at := self._counting.append(column.values, column.missing)) is not None:
            held = "no value" if column.missing is not None and column.missing[at] else f"{column.values[at]:g}"
            raise self.refusal(f"its value {before + at + 1} is {held}")

    def refusal(self, why: str) -> UncountedError:
        """Why the column is neither left out nor taken."""
        which = "the first column" if self._name in ("", "Unnamed: 0") else f"column {self._name!r}"
        way = f"leave it out with {asked('drop', self._name)}, or give it a name" if self._name else "give it a name"
        said = f"{which} has no name, as a column of row numbers has, but does not count the rows ({why}): {way}"
        return UncountedError(said, self._name)


class Bookkeeping:
    """The columns of a table that number or name its rows, unless the reading names them or chooses columns itself.

    take: the reading without them. places: those of the columns of row numbers, whose values are to be checked.
    """

    def __init__(
        self, types: Sequence[ColumnType], take: Selection, *, has_names: bool = True, pandas: bytes | None = None
    ) -> None:
        """pandas: the JSON that pandas writes into a schema's metadata, if there is some.

        Raises UncountedError for a column without a name that holds no numbers.
        """
        self._numbers: list[RowNumbers] = []
        self._levels: list[str] = []
        self.places: list[int] = []
        self.take = take
        is_of_all = has_names and take.columns is None and (take.labels is None or take.missing == "drop")
        if not is_of_all:
            return
        names = [each.name for each in types]
        levels = _index_levels(names, pandas, take)
        self._levels = levels if len(levels) < len(names) else []
        unnamed = list(takewhile(lambda k: UNNAMED.fullmatch(names[k]), range(len(names))))
        kept = [k for k in unnamed if names[k] not in named(take)]
        if len(unnamed) + len(self._levels) < len(names):
            self.places = kept
        for k in self.places:
            self._numbers.append(RowNumbers(names[k]))
            if types[k].kind != "number":
                raise self._numbers[-1].refusal(f"it holds {types[k].said or types[k].kind}")
        if out := [*self._levels, *(names[k] for k in self.places)]:
            self.take = take.model_copy(update={"drop": [*take.drop, *out]})

    def append(self, columns: Sequence[Column]) -> None:
        """Check the next rows of the columns at `places`. Raises UncountedError for one that does not."""
        for numbers, column in zip(self._numbers, columns, strict=True):
            numbers.append(column)

    def refuse_first(self, why: str) -> UncountedError:
        """The refusal of the first column of row numbers."""
        return self._numbers[0].refusal(why)

    @property
    def notes(self) -> list[str]:
        notes = []
        if self._levels:
            notes.append(_note_of_levels(self._levels))
        if len(self.places) == 1:
            notes.append("the first column, which has no name and numbers the rows, was left out")
        elif self.places:
            count = len(self.places)
            notes.append(f"the first {count} columns, which have no names and number the rows, were left out")
        return notes


def named(take: Selection) -> set[str]:
    """All columns that a reading names."""
    chosen = {*(take.columns or ()), *take.drop, *take.categories, *take.dates}
    return chosen if take.labels is None else {*chosen, take.labels}


def _index_levels(names: Sequence[str], pandas: bytes | None, take: Selection) -> list[str]:
    """The columns that hold levels of an index of pandas and that the reading does not name."""
    levels = {name for name in names if _LEVEL.fullmatch(name)}
    try:
        described = json.loads(pandas or b"{}")
        levels |= {each for each in described.get("index_columns", ()) if isinstance(each, str)}
    except (ValueError, AttributeError, TypeError, RecursionError):
        pass  # another program's metadata
    levels -= named(take)
    return [name for name in names if name in levels]


def _note_of_levels(levels: Sequence[str]) -> str:
    """What is said of levels of an index that are left out."""
    if all(_LEVEL.fullmatch(name) for name in levels):  # __index_level_0__, which its owner has never seen
        return "the index of a pandas frame was left out"
    shown = ", ".join(map(repr, levels))[:300]
    return f"{shown} {'is the index' if len(levels) == 1 else 'are the index'} of a pandas frame and was left out"
