"""Writes the columns that a reading takes of a table as one array of codes; every reader and frame goes through here.

What is refused, left out or counted is decided here, so that all formats agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wdist.data.columns import repeated
from wdist.data.groups import codes_of
from wdist.data.tables.bookkeeping import Counting
from wdist.data.tables.columns import Column, ColumnType, missing_in
from wdist.data.tables.found import DecodeError, Found
from wdist.data.tables.kept import LEFT_OUT, KeptRows
from wdist.data.tables.naming import (
    NO_CATEGORY,
    NO_UNICODE,
    asked,
    instead,
    instead_of_naming,
    is_unicode,
    option_of,
    others_left_out,
    refuse_misread,
)
from wdist.data.tables.schema import TableColumn, TableSchema
from wdist.data.tables.times import SECONDS, nanoseconds_of, seconds_of, seconds_since, start_of, written
from wdist.data.tables.undecided.decisions import MAX_LEVELS, Decisions
from wdist.data.tables.undecided.quantities import note_of_quantities
from wdist.data.tables.undecided.refused import UndecidedError
from wdist.data.tables.writer import RowWriter
from wdist.definitions.reading import Selection
from wdist.errors import OptionError

LARGEST_WHOLE = 1 << 53  # float64 has no odd numbers beyond it

Place = Callable[[int], str]
"""What messages call a row of the source, counted from 0: "row 3", "line 5"."""


def in_row(row: int) -> str:
    return f"row {row} (the first is 0)"


@dataclass
class _Levels:
    """The levels of one column, in the order in which they were met."""

    places: dict[str, int] = field(default_factory=dict)

    def codes(self, column: Column, name: str) -> NDArray[np.float64]:
        table = np.empty(len(column.levels), dtype=np.float64)
        used = np.zeros(len(column.levels), dtype=np.bool_)
        given = column.values if column.missing is None else column.values[~column.missing]
        used[given] = True
        for k in np.flatnonzero(used):
            if column.levels[k] not in self.places and not is_unicode(column.levels[k]):
                raise DecodeError(f"column {name[:100]!r} holds {column.levels[k][:100]!r}, which {NO_UNICODE}")
            table[k] = self.places.setdefault(column.levels[k], len(self.places))
        if len(self.places) > MAX_LEVELS:
            raise DecodeError(
                f"column {name[:100]!r} has more than {MAX_LEVELS:,} different values, as identifiers and free text "
                f"have: {NO_CATEGORY}. Leave it out with {asked('drop', name)}"
            )
        out = np.full(len(column.values), np.nan)
        kept = slice(None) if column.missing is None else ~column.missing
        out[kept] = table[given]
        return out


class TableCoder:
    """Codes a table: `append` takes its columns block by block, `end` says what was found.

    chosen: places of the columns to give, in the order in which `append` takes them; with `take.labels`, the column
    of labels is the last one.
    """

    def __init__(
        self,
        types: Sequence[ColumnType],
        take: Selection,
        writer: RowWriter,
        *,
        has_names: bool = True,
        place: Place = in_row,
        decisions: Decisions | None = None,
    ) -> None:
        """With `take.labels`, the labels are written instead of the rows, as int64 codes (n, 1).

        The column of labels holds numbers of their own type, or levels. Once something is refused that the reading has
        to decide, no more is written: the rows are only looked through for what else has to be decided, and `append` or
        `end` tells all of it. decisions: what is to be decided already. Raises DecodeError.
        """
        self._take, self._writer, self._place, self._has_names = take, writer, place, has_names
        self._labels = labels = take.labels
        if (odd := next((each.name for each in types if not is_unicode(each.name)), None)) is not None:
            raise DecodeError(f"a column is named {odd[:100]!r}, which {NO_UNICODE}")
        if [each.kind for each in types] == ["text"]:
            refuse_misread(types[0].name, take)
        self.chosen = chosen(types, take, has_names=has_names)
        given = [types[k] for k in self.chosen]
        self._decisions = decisions or Decisions(take, has_names=has_names)
        self._types = [each if each.name == labels else self._declared(each) for each in given]
        self._levels = [_Levels() for _ in self._types]
        self._counting = [Counting() if each.kind == "number" else None for each in self._types]
        self._has_zone: dict[str, bool] = {}
        self._is_plain = all(each.kind in ("number", "list") for each in self._types) and take.missing != "level"
        dtypes = [each.dtype for each in self._types]
        self._dtype = np.dtype(np.result_type(*dtypes) if self._is_plain else np.float64)
        self._start = start_of(take.time_start)
        self._rows = self._kept = 0
        self._left_out: list[NDArray[np.int64]] = []  # numbers of rows
        if not self._decisions:
            writer.begin(*self._written())

    def _declared(self, kind: ColumnType) -> ColumnType:
        try:
            return _declared(kind, self._take)
        except UndecidedError as error:
            self._decisions.add(error)
            return kind

    def _written(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        if self._labels is not None:
            return (1,), np.dtype(np.int64)
        return (sum(each.width for each in self._types),), self._dtype

    def append(self, columns: Sequence[Column]) -> None:
        """Code and write a block of rows: one column for each of `chosen`, all of one length. Raises DecodeError."""
        rows = len(columns[0].values)
        if not rows:
            return
        if not self._decisions:
            self._count(columns)
            lost = self._lost(columns, rows)
        if self._decisions:
            self._decisions.look_at(columns, self._types, self._rows)
            self._rows += rows
            return
        kept = slice(None) if lost is None else ~lost
        if self._labels is not None:
            self._writer.append(self._label_codes(columns[-1], kept))
        else:
            coded = [
                self._coded(column, kind, levels)
                for column, kind, levels in zip(columns, self._types, self._levels, strict=True)
            ]
            self._writer.append(np.concatenate(coded, axis=1)[kept])
        if lost is not None:
            self._left_out.append(self._rows + np.flatnonzero(lost))
        self._rows += rows
        self._kept += rows if lost is None else int(np.count_nonzero(~lost))

    @contextmanager
    def keeping_its_refusal(self) -> Iterator[None]:
        """Tell what has to be decided so far, should the rest of the file be damaged or too large to look through."""
        try:
            yield
        except DecodeError:
            raise
        except Exception as error:
            if self._decisions:
                raise self._decisions.refusal() from error
            raise

    def _lost(self, columns: Sequence[Column], rows: int) -> NDArray[np.bool_] | None:
        """Which rows have missing values and are left out; None if none are."""
        lost = np.zeros(rows, dtype=np.bool_)
        data = len(columns) if self._labels is None else len(columns) - 1  # a label does not decide on its row
        for column, kind in zip(columns[:data], self._types[:data], strict=True):
            missing = missing_in(column)
            if missing is None or not missing.any():
                continue
            if self._take.missing == "error" or (kind.is_vector and self._take.missing == "level"):
                way = asked("missing", "drop") + " leaves such rows out"
                way += "" if kind.is_vector else f", {asked('missing', 'level')} makes it a level of its own"
                row = int(missing.argmax())
                where = f"{self._called(_part(kind, column, row, np.isnan))}, {self._place(self._rows + row)}"
                self._decisions.add(UndecidedError(f"{where} has a missing value: {way}"))
                return None
            lost |= missing
        return lost if self._take.missing == "drop" and lost.any() else None

    def _coded(self, column: Column, kind: ColumnType, levels: _Levels) -> NDArray[Any]:
        """The codes of a column in a block, (m, width)."""
        if kind.kind == "category":
            return levels.codes(_as_levels(column), kind.name)[:, None]
        values = column.values
        if kind.kind == "time":
            if column.levels:
                values = self._seconds(column, kind.name)
            else:
                values = seconds_since(values, kind.per_second, self._start)
            values = values / SECONDS[self._take.time_unit or "seconds"]
        if not self._is_plain:
            if values.dtype.kind in "iu" and values.dtype.itemsize == 8 and len(values):
                self._refuse_large(values, kind)
            values = values.astype(np.float64)
        self._refuse_infinite(values, column.missing, kind)
        if column.missing is not None and values.dtype.kind == "f":
            values = np.where(column.missing.reshape(-1, *[1] * (values.ndim - 1)), np.nan, values)
        return values.astype(self._dtype, copy=False).reshape(len(values), kind.width)

    def _refuse_large(self, values: NDArray[Any], kind: ColumnType) -> None:
        if int(values.max()) > LARGEST_WHOLE or int(values.min()) < -LARGEST_WHOLE:
            raise DecodeError(
                f"{self._called(kind.name)} holds whole numbers beyond 2^53, which float64 rounds: leave it out with "
                f"{asked('drop', kind.name)}, or declare it with {asked('categories', kind.name)}"
            )

    def _refuse_infinite(self, values: NDArray[Any], missing: NDArray[np.bool_] | None, kind: ColumnType) -> None:
        if values.dtype.kind != "f" or not (wrong := np.isinf(values)).any():
            return
        if missing is not None:
            wrong &= ~missing.reshape(-1, *[1] * (values.ndim - 1))
        if wrong.any():
            row = int(np.argwhere(wrong)[0][0])
            value = values[row].ravel()[wrong[row].ravel()][0]
            name = _part(kind, Column(values), row, np.isinf)
            raise DecodeError(
                f"{self._called(name)}, {self._place(self._rows + row)} holds {value}, which is not a finite "
                "number; remove such rows"
            )

    def _count(self, columns: Sequence[Column]) -> None:
        """Watch for named columns that only number the rows."""
        for place, column in enumerate(columns):
            if (counting := self._counting[place]) is not None:
                counting.append(column.values, column.missing)
                if not counting.is_counting:
                    self._counting[place] = None

    def _label_codes(self, column: Column, kept: slice | NDArray[np.bool_]) -> NDArray[np.int64]:
        """Labels as int64 codes (n, 1), the same for equal labels of any file, frame or array."""
        name = self._labels or ""
        missing = missing_in(column)
        if missing is not None and missing[kept].any():
            row = int(np.arange(len(missing))[kept][missing[kept].argmax()])
            raise DecodeError(
                f"column {name[:100]!r}, {self._place(self._rows + row)} has a missing value; give every row a label"
            )
        try:
            if column.levels:
                table = np.empty(len(column.levels), dtype=object)
                table[:] = column.levels
                codes = codes_of(table)[column.values]
            else:
                codes = codes_of(column.values)
        except OptionError as error:
            raise DecodeError(f"column {name[:100]!r} cannot be read as labels: {error}") from error
        given: NDArray[np.int64] = codes[kept]
        return given[:, None]

    def _seconds(self, column: Column, name: str) -> NDArray[np.float64]:
        """Dates or times as text, in seconds since the start; those with a zone are taken to UTC."""
        table = np.zeros(len(column.levels))
        used = column.values if column.missing is None else column.values[~column.missing]
        for place in np.unique(used):
            text = column.levels[place].strip()
            try:
                time, has_zone = nanoseconds_of(text)
            except ValueError:
                row = int((column.values == place).argmax())
                raise DecodeError(
                    f"{self._called(name)}, {self._place(self._rows + row)} holds {text[:100]!r}, which is no date or "
                    "time in ISO 8601: write it as 2026-01-31 or 2026-01-31T09:30"
                ) from None
            if self._has_zone.setdefault(name, has_zone) != has_zone:
                raise DecodeError(f"{self._called(name)} holds times with a zone and times without; give all a zone")
            table[place] = seconds_of(time, self._start)
        seconds: NDArray[np.float64] = table[column.values]
        return seconds

    def _called(self, name: str) -> str:
        return f"column {name[:100]!r}" if self._has_names else f"column {name}"

    def end(self) -> Found:
        """Finish the array. Raises DecodeError if it has no rows, and for what the reading has to decide."""
        if self._decisions:
            raise self._decisions.refusal()
        if not self._kept:
            raise DecodeError(
                "the table holds no values" if not self._rows else "every row has a missing value, so that none is left"
            )
        self._writer.end()
        notes, kept = [], None
        if self._left_out:
            notes.append(left_out_note(self._kept, self._rows))
            kept = KeptRows.without(np.concatenate(self._left_out), self._rows)
        if self._labels is not None:
            return Found([self._labels], notes=notes, kept=kept)
        categories = [each for each in zip(self._types, self._levels, strict=True) if each[0].kind == "category"]
        of_numbers = (note_of_quantities(kind.name, levels.places) for kind, levels in categories)
        notes += [*self._notes_of_counting(), *(note for note in of_numbers if note)]
        schema = None if self._is_plain else self._schema()
        names = [name for each in self._types for name in _names_of(each)]
        return Found(names if self._has_names else None, table=schema, notes=notes, kept=kept)

    def _notes_of_counting(self) -> list[str]:
        """Columns with names of their own that number the rows are kept, as they may be data."""
        if len(self._types) < 2 or not self._has_names:
            return []
        counting = zip(self._types, self._counting, strict=True)
        return [
            f"column {kind.name[:100]!r} holds {each.said}: if it only numbers the rows, leave it out with "
            f"{asked('drop', kind.name)}"
            for kind, each in counting
            if each is not None and each.said is not None
        ]

    def _schema(self) -> TableSchema:
        take, columns = self._take, []
        for kind, levels in zip(self._types, self._levels, strict=True):
            if kind.kind == "category":
                columns.append(TableColumn(kind.name, "category", tuple(levels.places)))
            elif kind.kind == "time":
                start = written(self._start, has_zone=self._has_zone.get(kind.name, kind.has_zone))
                columns.append(TableColumn(kind.name, "time", unit=take.time_unit, start=start))
            elif kind.kind == "boolean":
                columns.append(TableColumn(kind.name, "boolean"))
            else:
                columns += [TableColumn(name, "number") for name in _names_of(kind)]
        return TableSchema(tuple(columns), take.missing == "level")


def left_out_note(kept: int, rows: int) -> str:
    """What is said of rows with missing values that were left out."""
    return f"{rows - kept:,} of {rows:,} {LEFT_OUT}: the distance is between the populations of complete rows"


def _names_of(kind: ColumnType) -> list[str]:
    if kind.kind != "list":
        return [kind.name]
    return list(kind.parts) or [f"{kind.name}[{k}]" for k in range(kind.width)]


def _part(kind: ColumnType, column: Column, row: int, is_wrong: Callable[[NDArray[Any]], NDArray[np.bool_]]) -> str:
    """The column's name, or of columns that are read together the name of the first that is wrong in this row."""
    if not kind.parts:
        return kind.name
    return kind.parts[int(is_wrong(column.values[row]).argmax())]


def chosen(types: Sequence[ColumnType], take: Selection, *, has_names: bool) -> list[int]:
    """Places of the columns that the reading takes, in its order; of the labels at the end."""
    names, labels = [each.name for each in types], take.labels
    place = {name: k for k, name in enumerate(names)}
    if has_names and (twice := repeated(names)) is not None:
        raise DecodeError(f"{names.count(twice)} columns are named {twice[:100]!r}; give each a name of its own")
    drop = take.drop if take.needed is None else [name for name in take.drop if name in place]
    others: list[str] = []
    if take.needed and has_names:
        others = others_left_out(take, {each.name: _names_of(each) for each in types})
    wanted = [*(take.columns or ()), *drop, *take.categories, *take.dates]
    for name in [*wanted, *([] if labels is None else [labels])]:
        if not has_names:
            raise DecodeError(f"the columns have no names by which to choose {name[:100]!r}")
        if name not in place:
            way = instead(name, names, option_of(name, take))
            if not way and take.needed is None and name not in (*(take.columns or ()), labels):
                way = instead_of_naming(name, names, take)
            raise DecodeError(f"no column is named {name[:100]!r}; there are {', '.join(names)[:300]}{way}")
    left_out = {*take.drop, *others, *([] if labels is None else [labels])}
    places = range(len(names)) if take.columns is None else [place[name] for name in take.columns]
    kept = [k for k in places if names[k] not in left_out]
    if labels is not None:  # missing values of the other columns decide which rows there are
        return [*(kept if take.missing == "drop" else ()), place[labels]]
    if not kept:
        raise DecodeError("no column is left; drop fewer")
    return kept


def _declared(kind: ColumnType, take: Selection) -> ColumnType:
    """The type as the reading declares it. Raises DecodeError for one that has no metric, as text has undeclared."""
    name = kind.name
    shown, out = f"column {name[:100]!r}", f"leave it out with {asked('drop', name)}"
    if name in take.categories:
        if kind.kind in ("text", "category", "number", "boolean"):
            return replace(kind, kind="category")
        raise DecodeError(
            f"{shown} is of type {kind.said or kind.kind}, whose values are no levels: take it out of categories"
        )
    if name in take.dates and kind.kind != "time":
        if kind.kind != "text":
            raise DecodeError(f"{shown} is of type {kind.said or kind.kind}, not dates as text: leave it out of dates")
        kind = replace(kind, kind="time")
    if kind.kind == "time" and take.time_unit is None:
        unit = f"say in which unit to count them, such as {asked('time_unit', 'days')}"
        raise UndecidedError(
            f"{shown} holds dates or times: {unit}" + ("" if name in take.dates else f", or {out}"), name
        )
    if kind.kind == "text":
        raise UndecidedError(f"{shown} holds text: declare it with {asked('categories', name)}, or {out}", name)
    if kind.kind == "other":
        raise DecodeError(f"{shown} is of type {kind.said}, for which there is no distance: {out}")
    return kind


def _as_levels(column: Column) -> Column:
    """A declared column of numbers or booleans as levels."""
    if column.levels:
        return column
    distinct, places = np.unique(column.values, return_inverse=True)
    return Column(places.astype(np.int64), missing_in(column), tuple(level_of(value) for value in distinct))


def level_of(value: Any) -> str:
    """The name of the level that a number or a boolean is: 3 for 3.0, so that files that type it otherwise agree."""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)  # of NumPy's numbers the shortest text in their own type, which CSV has too: 0.1 for float32
