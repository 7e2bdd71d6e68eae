"""Excel: one sheet of an .xlsx file, read row by row."""

from __future__ import annotations

import datetime
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import IO, Any

import numpy as np
from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from wdist.data.readers.archives import members, open_archive
from wdist.data.readers.dialects.header import has_names
from wdist.data.readers.tables import check_width
from wdist.data.tables.bookkeeping import Bookkeeping
from wdist.data.tables.coder import TableCoder, level_of
from wdist.data.tables.columns import Column, ColumnType
from wdist.data.tables.found import DecodeError, Found
from wdist.data.tables.naming import asked, names_of_cells
from wdist.data.tables.times import MICRO, microseconds
from wdist.data.tables.writer import ArrayWriter
from wdist.definitions.reading import Selection

_MAX_MEMBERS = 10_000
_ROWS, _CELLS = 1_000, 1 << 18  # of a sample and of a block, at most
_OLD = b"\xd0\xcf\x11\xe0"  # an .xls file, or an .xlsx file with a password
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\s[^>]*ref="([^"]{1,40})"')
_NO_VALUE = re.compile(  # the end of a cell that has a formula and no value
    rb"(?:</(?:\w+:)?f>|<(?:\w+:)?f\s[^>]{0,200}/>)\s*(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v></(?:\w+:)?v>)?\s*</(?:\w+:)?c>"
)
_CELL = re.compile(rb"<(?:\w+:)?c\s([^>]{0,200})>")
_PLACE = re.compile(rb'r="([A-Z]{1,3}\d{1,7})"')
Cell = Any
_MALFORMED = (  # what openpyxl raises for files that contradict themselves
    InvalidFileException, LookupError, ValueError, TypeError, AttributeError, SyntaxError, EOFError, ArithmeticError,
    RuntimeError, zlib.error,
)  # fmt: skip


def read(source: IO[bytes], writer: ArrayWriter, take: Selection) -> Found:
    """Read a sheet: numbers as float64, dates and times, and text as it is declared.

    The type of a column is that of its first thousand cells; a cell of another type further down is refused, as are
    merged cells and formulas whose values the file does not hold. Raises DecodeError, which names the column and row.
    """
    source.seek(0)
    if source.read(4) == _OLD:
        raise DecodeError("it has a password, or is an .xls file: save it as .xlsx without a password, or as CSV")
    with open_archive(source) as archive:
        members(archive, _MAX_MEMBERS, writer)
    source.seek(0)
    try:
        with closing(load_workbook(source, read_only=True, data_only=True, keep_links=False)) as book:
            sheet = _sheet(book, take.sheet)
            _check_cells(source, sheet)
            return _Sheet(sheet, take).read(writer)
    except _MALFORMED as error:
        raise DecodeError("it cannot be read as Excel: " + (str(error) or type(error).__name__)[:200]) from error
    except zipfile.BadZipFile as error:
        raise DecodeError("it is not a complete .xlsx file; save it again") from error


def _sheet(book: Any, wanted: str | None) -> Any:
    names = [sheet.title for sheet in book.worksheets]
    if wanted is None and len(names) == 1:
        return book.worksheets[0]
    shown = ", ".join(names)[:300]
    if wanted is None:
        raise DecodeError(f"it has {len(names)} sheets ({shown}): choose one with {asked('sheet', names[0])}")
    if wanted not in names:
        raise DecodeError(f"it has no sheet {wanted[:100]!r}; there are {shown}")
    return book[wanted]


def _check_cells(source: IO[bytes], sheet: Any) -> None:
    """Refuse what a reader of values alone does not see: merged cells, and formulas that were never computed."""
    with zipfile.ZipFile(source) as archive, archive.open(sheet._worksheet_path) as stream:
        before = b""
        while block := stream.read(1 << 20):
            text = before + block
            if found := _MERGED.search(text):
                raise DecodeError(
                    f"cells {found[1].decode()} are merged, so that all but one have no value: unmerge and fill them"
                )
            for found in _NO_VALUE.finditer(text):
                if (where := _cell_before(text, found.start())) is not None:
                    raise DecodeError(
                        f"cell {where} holds a formula whose value the file does not hold: open it in a spreadsheet "
                        "program and save it"
                    )
            before = text[-(1 << 14) :]


def _cell_before(text: bytes, at: int) -> str | None:
    """The place of the cell that ends here, such as B7; None if its formula has an empty text as its value."""
    begins = list(_CELL.finditer(text, max(0, at - (1 << 13)), at))
    if not begins or b't="str"' in begins[-1][1]:
        return None
    found = _PLACE.search(begins[-1][1])
    return found[1].decode() if found else "?"


@dataclass
class _Sheet:
    """The table in a sheet: from its first row and column with a value on."""

    sheet: Any
    take: Selection

    def read(self, writer: ArrayWriter) -> Found:
        take = self.take
        rows = self._rows()
        seen = _block(rows)
        if not seen:
            raise DecodeError(f"sheet {self.sheet.title!r} is empty")
        places = [k for k in range(max(len(row) for _, row in seen)) if any(_at(row, k) is not None for _, row in seen)]
        check_width(len(places))
        names, data = self._names(seen, places)
        if not data:
            raise DecodeError("it has names of columns, but no rows")
        types = [
            _type((names or [str(k) for k in range(len(places))])[k], [_at(row, place) for _, row in data], take)
            for k, place in enumerate(places)
        ]
        bookkeeping = Bookkeeping(types, take, has_names=names is not None)
        take = bookkeeping.take
        at: list[int] = []  # the sheet's numbers of the rows of a block
        before = [0]
        coder = TableCoder(
            types, take, writer, has_names=names is not None, place=lambda row: f"row {at[row - before[0]]}"
        )
        for block in _blocks([*data], rows):
            at[:] = [number for number, _ in block]
            self._check_width(block, places)
            columns = [[_at(row, place) for _, row in block] for place in places]
            bookkeeping.append([_column(columns[k], types[k], at, is_label=False) for k in bookkeeping.places])
            coder.append([_column(columns[k], types[k], at, types[k].name == take.labels) for k in coder.chosen])
            before[0] += len(block)
        found = coder.end()
        return replace(found, notes=[*bookkeeping.notes, *found.notes])

    def _rows(self) -> Iterator[tuple[int, Sequence[Cell]]]:
        """The rows that have values, with their numbers in the sheet, from 1."""
        self.sheet.reset_dimensions()  # what the file says of them need not be true
        for number, row in enumerate(self.sheet.iter_rows(values_only=True), start=1):
            if any(cell is not None and cell != "" for cell in row):
                yield number, row

    def _names(
        self, seen: list[tuple[int, Sequence[Cell]]], places: list[int]
    ) -> tuple[list[str] | None, list[tuple[int, Sequence[Cell]]]]:
        as_text = [[_text(_at(row, place)) for place in places] for _, row in seen]
        is_names = has_names(as_text[0], as_text[1:]) if self.take.header is None else self.take.header
        if not is_names:
            return None, seen
        return names_of_cells(as_text[0]), seen[1:]

    def _check_width(self, block: list[tuple[int, Sequence[Cell]]], places: list[int]) -> None:
        kept = set(places)
        for number, row in block:
            for place, cell in enumerate(row):
                if cell is not None and place not in kept:
                    raise DecodeError(
                        f"row {number} has a value in a column that is empty above; give all rows the same columns"
                    )


def _at(row: Sequence[Cell], place: int) -> Cell:
    value = row[place] if place < len(row) else None
    return None if value == "" else value


def _blocks(
    data: list[tuple[int, Sequence[Cell]]], rest: Iterator[tuple[int, Sequence[Cell]]]
) -> Iterator[list[tuple[int, Sequence[Cell]]]]:
    while data:
        yield data
        data = _block(rest)


def _block(rows: Iterator[tuple[int, Sequence[Cell]]]) -> list[tuple[int, Sequence[Cell]]]:
    """The next rows, as many as are held at once."""
    block: list[tuple[int, Sequence[Cell]]] = []
    for each in islice(rows, _ROWS):
        block.append(each)
        if len(block) * len(each[1]) >= _CELLS:
            break
    return block


def _text(cell: Cell) -> str:
    """A cell as CSV would hold it."""
    return "" if cell is None else level_of(cell)


def _kind(cell: Cell) -> str:
    if isinstance(cell, bool):
        return "boolean"
    if isinstance(cell, int | float):
        return "number"
    if isinstance(cell, datetime.datetime | datetime.date):
        return "time"
    return "text" if isinstance(cell, str) else "other"


def _type(name: str, cells: Sequence[Cell], take: Selection) -> ColumnType:
    kinds = {_kind(cell) for cell in cells if cell is not None}
    if name in take.categories or name == take.labels:
        return ColumnType(name, "text", said="text")
    if not kinds:
        return ColumnType(name, "number")
    if kinds == {"other"}:
        return ColumnType(name, "other", said=type(next(cell for cell in cells if cell is not None)).__name__)
    # Where a column mixes types, that of most of its cells is the column's; `_column` refuses the others by name.
    counts = {kind: sum(_kind(cell) == kind for cell in cells if cell is not None) for kind in sorted(kinds)}
    kind: Any = max(counts, key=lambda each: counts[each])
    return ColumnType(name, kind, said=kind, per_second=MICRO)


def _column(cells: Sequence[Cell], kind: ColumnType, rows: Sequence[int], is_label: bool) -> Column:
    is_lost = np.fromiter((cell is None for cell in cells), dtype=np.bool_, count=len(cells))
    missing = is_lost if is_lost.any() else None
    for cell, row in zip(cells, rows, strict=True):
        if isinstance(cell, str) and cell.startswith("#") and cell in _ERRORS:
            raise DecodeError(
                f"column {kind.name[:100]!r}, row {row} holds the error {cell}: mend it, or clear the cell"
            )
        if cell is not None and kind.kind != "text" and _kind(cell) != kind.kind:
            raise DecodeError(
                f"column {kind.name[:100]!r}, row {row} holds {_shown(cell)}, which is not a {_CALLED[kind.kind]} as "
                f"the others are: mend it, or declare the column with {asked('categories', kind.name)}"
            )
    if kind.kind == "text":
        texts = ["" if cell is None else _label(cell) if is_label else level_of(cell) for cell in cells]
        levels = tuple(dict.fromkeys(texts))
        places = {level: place for place, level in enumerate(levels)}
        return Column(np.array([places[text] for text in texts], dtype=np.int64), missing, levels)
    if kind.kind == "time":
        counts = [microseconds(cell) if isinstance(cell, datetime.date) else 0 for cell in cells]
        return Column(np.array(counts, dtype=np.int64), missing)
    if kind.kind == "boolean":
        return Column(np.array([bool(cell) for cell in cells]), missing)
    return Column(np.array([0.0 if cell is None else float(cell) for cell in cells]), missing)


_ERRORS = {"#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!", "#GETTING_DATA", "#SPILL!", "#CALC!"}
_CALLED = {"number": "number", "boolean": "boolean", "time": "date or time", "text": "text", "other": "value"}


def _shown(cell: Cell) -> str:
    return f"the text {cell[:100]!r}" if isinstance(cell, str) else level_of(cell)[:100]


def _label(cell: Cell) -> str:
    return str(cell) if isinstance(cell, datetime.date) else level_of(cell)
