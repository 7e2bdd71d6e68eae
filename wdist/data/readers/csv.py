"""CSV: a table as text, read in blocks."""

from __future__ import annotations

import csv
import mmap
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from wdist.data.readers.dialects.dialect import Dialect, recognise
from wdist.data.readers.dialects.numbers import MISSING, Notation, advice_for, given_notation, is_missing, is_number
from wdist.data.readers.dialects.sample import Sample, has_odd_quotes, sample
from wdist.data.readers.dialects.text import as_utf8, not_utf8
from wdist.data.readers.tables import BLOCK_BYTES
from wdist.data.tables.arrow import column_of, labels_of
from wdist.data.tables.bookkeeping import Bookkeeping, UncountedError
from wdist.data.tables.coder import TableCoder
from wdist.data.tables.columns import ColumnType
from wdist.data.tables.found import DecodeError, Found
from wdist.data.tables.naming import asked
from wdist.data.tables.undecided.decisions import DATE, Decisions
from wdist.data.tables.undecided.quantities import has_mostly_numbers
from wdist.data.tables.undecided.refused import UndecidedError
from wdist.data.tables.writer import ArrayWriter, MemoryWriter, RowWriter
from wdist.definitions.reading import Selection

_DESCRIPTORS = "/dev/fd"  # a file here is the open one, even if it has no name or another has taken its name
_NOT_A_NUMBER = re.compile(r"In CSV column #(\d+): (?:Row #(\d+): )?.*?(?:invalid value|to double).*?'(.*)'", re.DOTALL)
_WIDTH = re.compile(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)")
_NOT_UTF8 = re.compile(r"Row #(\d+): .*invalid UTF8")
_MOST_PASSES = 4  # over a file with text far down in one column after another
_LIKE_MISSING = ("-", "--", "---", ".", "..", "?", "*", "na", "n.a.", "nil", "none", "missing", "unknown", "nd", "n.d.")


def read(source: IO[bytes], writer: ArrayWriter, take: Selection) -> Found:
    """Read a table as text: numbers as float64, other columns as they are declared.

    The dialect is recognised from lines of the whole file, or refused where it could be another
    (`wdist.data.readers.dialects`). Raises DecodeError, which names the column and the line.
    """
    with as_utf8(source, take.encoding, writer.max_bytes) as (text, notes):
        seen = sample(text)
        table = _Table(text, seen, recognise(seen, take), take)
        refused = table.refused(writer)
        if isinstance(refused, Found):
            return replace(refused, notes=[*notes, *refused.notes])
        can_be_settled = isinstance(refused, UndecidedError | UncountedError)
        raise table.with_all_to_decide(refused) if can_be_settled else refused


@dataclass
class _Table:
    """A file of a known dialect."""

    file: IO[bytes]
    sample: Sample
    dialect: Dialect
    take: Selection
    comments: list[int] = field(default_factory=list)  # the numbers of records that were comments, from 1
    undeclared: set[str] = field(default_factory=set)  # columns that hold text, of which the reading says nothing

    def refused(self, writer: RowWriter, decisions: Decisions | None = None) -> Found | DecodeError:
        """What was found, or why it cannot be read."""
        try:
            return self.read(writer, decisions)
        except pa.ArrowInvalid as error:
            return self.explained(str(error))
        except (UndecidedError, UncountedError) as error:
            return error

    def with_all_to_decide(self, first: DecodeError) -> DecodeError:
        """This refusal, with all else that has to be decided: the file is looked through again."""
        refused: Found | DecodeError = first
        uncounted = []
        for _ in range(_MOST_PASSES):
            if isinstance(refused, UncountedError):
                uncounted.append(refused)
                self.take = self.take.model_copy(update={"drop": [*self.take.drop, refused.column]})
            elif isinstance(refused, UndecidedError):
                self.undeclared.add(str(refused.column))
            else:
                break
            self.undeclared.update(self._of_text(self.dialect.names or []))
            decisions = Decisions(self.take)
            if isinstance(first, UndecidedError):
                decisions.add(first)
            for each in uncounted:
                decisions.leave_out(each.column, str(each))
            try:
                refused = self.refused(MemoryWriter(0), decisions)
            except DecodeError:  # told once this is settled, unless it is the refusal of all
                break
        return decisions.refusal()

    def read(self, writer: RowWriter, decisions: Decisions | None = None) -> Found:
        dialect, types = self.dialect, self._types()
        bookkeeping = self._bookkeeping(types)
        take = bookkeeping.take
        coder = TableCoder(
            types, take, writer, has_names=dialect.names is not None, place=self._place, decisions=decisions
        )
        self._check_blank_lines()
        self._check_quotes()
        wanted = [*coder.chosen, *bookkeeping.places, *self._empty_end()]
        for batch in self._batches(wanted, types):
            if dialect.has_empty_end and batch.column(batch.num_columns - 1).null_count < batch.num_rows:
                raise DecodeError(
                    "the last column has no name and is empty in most lines, but not in all: give it a name"
                )
            given = zip(wanted[: batch.num_columns - len(self._empty_end())], batch.columns, strict=False)
            arrays = [self._numbers_of(array, types[at]) for at, array in given]
            numbering = zip(arrays[len(coder.chosen) :], bookkeeping.places, strict=True)
            bookkeeping.append([column_of(array, types[at]) for array, at in numbering])
            coder.append([
                labels_of(array, types[at].name) if types[at].name == take.labels else column_of(array, types[at])
                for array, at in zip(arrays, coder.chosen, strict=False)
            ])  # fmt: skip
        found = coder.end()
        notes = [*dialect.notes, *bookkeeping.notes, *self._notes()]
        return replace(found, notes=[*notes, *found.notes])

    def _types(self) -> list[ColumnType]:
        width = self.dialect.width - int(self.dialect.has_empty_end)
        names = self.dialect.names or [str(k) for k in range(width)]
        of_text = {*self.take.categories, *self.take.dates, *self.undeclared} | {self.take.labels}
        return [ColumnType(name, "text" if name in of_text else "number", said="text") for name in names[:width]]

    def _bookkeeping(self, types: Sequence[ColumnType]) -> Bookkeeping:
        bookkeeping = Bookkeeping(types, self.take, has_names=self.dialect.names is not None)
        for at in bookkeeping.places[:1]:
            for row in self.dialect.rows:
                if not is_number(row[at]):
                    raise bookkeeping.refuse_first(f"it holds {row[at].strip()[:100]!r}")
        return bookkeeping

    def _empty_end(self) -> list[int]:
        return [self.dialect.width - 1] if self.dialect.has_empty_end else []

    def _batches(self, wanted: Sequence[int], types: Sequence[ColumnType]) -> Iterator[pa.RecordBatch]:
        dialect = self.dialect
        keys = [str(k) for k in range(dialect.width)]  # names may be anything
        is_text = dialect.notation.thousands is not None
        kinds = {
            keys[k]: pa.float64() if k < len(types) and types[k].kind == "number" and not is_text else pa.string()
            for k in wanted
        }
        longest = max(map(len, self.sample.lines))
        reader = pa_csv.open_csv(
            _native(self.file, dialect.start),
            pa_csv.ReadOptions(use_threads=False, block_size=max(BLOCK_BYTES, 4 * longest), column_names=keys),
            pa_csv.ParseOptions(
                delimiter=dialect.separator, newlines_in_values=self.sample.has_quotes,
                invalid_row_handler=self._skip_odd_line if self.sample.has_odd_lines else None,
            ),
            pa_csv.ConvertOptions(
                column_types=kinds, include_columns=[keys[k] for k in wanted], null_values=list(MISSING),
                strings_can_be_null=True, decimal_point=dialect.notation.decimal,
            ),
        )  # fmt: skip
        yield from reader

    def _skip_odd_line(self, row: Any) -> str:
        if not row.text.strip():  # an empty line is none to Arrow, but one of spaces is
            return "skip"
        if not row.text.lstrip().startswith("#"):
            return "error"
        self.comments.append(row.number)
        return "skip"

    def _numbers_of(self, array: pa.Array, kind: ColumnType) -> pa.Array:
        """Numbers whose digits are grouped; other columns as they are."""
        notation = self.dialect.notation
        if notation.thousands is None or kind.kind != "number":
            return array
        return ungrouped(array, notation, lambda value: self._not_a_number(kind.name, None, value))

    def _check_blank_lines(self) -> None:
        """Refuse blank lines in a table of one column, where they may be missing values."""
        if self.dialect.width > 1 or self.take.missing == "drop":
            return
        lines, blank = _lines(self.file, self.dialect.start), None
        for number, line in enumerate(lines, start=self.dialect.line):
            if line.strip():
                if blank is not None:
                    raise DecodeError(
                        f"line {blank} is blank, which may be a missing value in a table of one column: remove it, or "
                        f"say {asked('missing', 'drop')}"
                    )
            elif blank is None:
                blank = number

    def _check_quotes(self) -> None:
        """Refuse a quote that is not closed, which would join all rows below it, and text behind a closing quote."""
        if not self.sample.has_quotes or not has_odd_quotes(self.file, self.dialect.start, self.dialect.separator):
            return
        lines = _lines(self.file, self.dialect.start)
        reader, begins = csv.reader(lines, delimiter=self.dialect.separator, strict=True), 0
        try:
            for _ in reader:
                begins = reader.line_num
        except csv.Error as error:
            where = f"line {self.dialect.line + begins}"
            raise DecodeError(
                f"{where} has quotes that do not enclose a whole cell ({error}): close each quote at the end of its "
                'cell, and write a quote inside a cell in quotes as ""'
            ) from error

    def _notes(self) -> list[str]:
        count = len(self.comments)
        return [f"{count:,} comment {'lines' if count > 1 else 'line'} between rows left out"] if count else []

    def _place(self, row: int) -> str:
        """What messages call a row, from 0, of those that are no comments."""
        return f"line {self._line_of(row, with_comments=False)}"

    def _line_of(self, record: int, *, with_comments: bool) -> int:
        """The line on which a record begins, from 1. Blank lines are no records."""
        before, first = 0, self.dialect.line
        reader = csv.reader(_lines(self.file, self.dialect.start), delimiter=self.dialect.separator)
        quoted = self.sample.has_quotes
        cells: Iterator[Any] = _until_error(reader) if quoted else _lines(self.file, self.dialect.start)
        for each in cells:
            ends = reader.line_num if quoted else before + 1
            begins, before = first + before, ends
            text = (each[0] if each else "") if quoted else each
            count = len(each) if quoted else text.count(self.dialect.separator) + 1
            is_odd = (not text.strip() or text.lstrip().startswith("#")) and count != self.dialect.width
            if not (each if quoted else text.strip("\r\n")) or (is_odd and not with_comments):
                continue
            if record == 0:
                return begins
            record -= 1
        return before

    def _label(self, column: int) -> str:
        names = self.dialect.names
        return f"column {names[column][:100]!r}" if names else f"column {column}"

    def explained(self, message: str) -> DecodeError:
        """What Arrow's message says, in terms of the file."""
        if found := _NOT_A_NUMBER.search(message):
            line = self._line_of(int(found[2]) - 1, with_comments=True) if found[2] else None
            return self._not_a_number(int(found[1]), line, found[3])
        if found := _WIDTH.search(message):
            where = f"line {self._line_of(int(found[1]) - 1, with_comments=True)}" if found[1] else "a line"
            cells = "1 cell" if found[3] == "1" else f"{found[3]} cells"
            other = next((mark for mark in ";|" if any(mark in text for text in self.sample.lines)), None)
            way = (
                ""
                if other is None
                else (f"; if it is another character that separates cells, say which with {asked('separator', other)}")
            )
            return DecodeError(f"{where} has {cells}, the lines before have {found[2]}: give all the same{way}")
        if found := _NOT_UTF8.search(message):
            return not_utf8(self._line_of(int(found[1]) - 1, with_comments=True))
        if "straddling object" in message:
            longest = max(BLOCK_BYTES, 4 * max(map(len, self.sample.lines)))
            return DecodeError(f"a line is longer than {longest:,} bytes")
        if "Empty CSV" in message:
            return DecodeError("it has names of columns, but no rows")
        return DecodeError("it cannot be read as CSV: " + message.splitlines()[0][:200])

    def _not_a_number(self, column: int | str, line: int | None, value: str) -> DecodeError:
        names = self.dialect.names
        at = column if isinstance(column, int) else (names or []).index(column) if names else int(column)
        where = self._label(at) + (f", line {line}" if line else "")
        said = f"{where} holds {value[:100]!r}, which is not a number"
        if is_missing(value):
            return DecodeError(f"{where} holds spaces around a missing value: leave the cell empty, or write NA")
        if is_number(value) and (given := given_notation(self.take)) is not None:
            marks = f"the decimal mark {given.decimal!r}"
            marks += f" and {given.thousands!r} between thousands" if given.thousands else ""
            return DecodeError(
                f"{said} with {marks}, as was asked of every file: write the numbers of all files alike, or read this "
                "one by itself, as pandas.read_csv does"
            )
        if (advice := advice_for(value)) is not None:
            return DecodeError(f"{said} as the others are written: say {advice}")
        if names is None:
            return DecodeError(f"{said}: give the columns names, by which it can be declared or left out")
        if value.strip().lower() in _LIKE_MISSING and not self._has_mostly_numbers(at):  # else the refusal says so
            said += " (if it stands for a missing value, leave the cell empty or write NA)"
        declared = asked("categories", names[at])
        if DATE.fullmatch(value.strip()):
            declared = asked("dates", names[at])
            declared += "" if self.take.time_unit else f" and {asked('time_unit', 'days')}"
        return UndecidedError(
            f"{said}: declare the column with {declared}, or leave it out with {asked('drop', names[at])}", names[at]
        )

    def _has_mostly_numbers(self, at: int) -> bool:
        return has_mostly_numbers({row[at] for row in self.dialect.rows})

    def _of_text(self, names: Sequence[str]) -> Iterator[str]:
        """Columns whose first rows hold something else than numbers; the reading says nothing of them."""
        take = self.take
        known = {*take.drop, *take.categories, *take.dates, take.labels}
        for k, name in enumerate(names):
            if name in known or (take.columns is not None and name not in take.columns):
                continue
            cells = [row[k].strip() for row in self.dialect.rows if k < len(row)]
            if any(cell not in MISSING and not is_number(cell) and advice_for(cell) is None for cell in cells):
                yield name


def _until_error(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    """The records of a file that may end in one that cannot be read."""
    with suppress(csv.Error):
        yield from reader


def ungrouped(array: pa.Array, notation: Notation, refusal: Any) -> pa.Array:
    """Text with digits in groups, as float64. Raises what `refusal` makes of the first value that is no number."""
    mark, point = re.escape(notation.thousands or ""), re.escape(notation.decimal)
    if notation.thousands == " ":
        mark = "[ \\x{a0}\\x{202f}]"
    elif notation.thousands == "'":
        mark = "['\\x{2019}]"
    text = pc.utf8_trim_whitespace(array)
    whole = rf"\d{{1,3}}({mark}\d{{3}})+|\d+"
    shape = rf"^[+-]?(({whole})({point}\d*)?|{point}\d+)([eE][+-]?\d+)?$"
    fits = pc.fill_null(pc.match_substring_regex(text, shape), True)
    if (wrong := pc.index(fits, False).as_py()) >= 0:
        raise refusal(array[wrong].as_py())
    plain = pc.replace_substring_regex(text, mark, "")
    if notation.decimal != ".":
        plain = pc.replace_substring(plain, notation.decimal, ".")
    return plain.cast(pa.float64())


def _native(source: IO[bytes], start: int) -> pa.NativeFile:
    """The file from this byte on, for Arrow to read without Python.

    Arrow reads ahead in a thread of its own, and an error does not end that thread. One that reads a Python file while
    the interpreter shuts down aborts the process.
    """
    source.seek(0)  # macOS shares the position
    with suppress(OSError):  # Windows has no such folder
        return _from(pa.OSFile(f"{_DESCRIPTORS}/{source.fileno()}"), start)
    with suppress(OSError, TypeError):  # some files have no name, some cannot be opened twice
        if os.path.samestat(Path(source.name).stat(), os.fstat(source.fileno())):
            return _from(pa.OSFile(source.name), start)
    copy = pa.BufferOutputStream()
    while block := source.read(BLOCK_BYTES):
        copy.write(block)
    return _from(pa.BufferReader(copy.getvalue()), start)


def _from(file: pa.NativeFile, start: int) -> pa.NativeFile:
    file.seek(start)
    return file


def _lines(file: IO[bytes], start: int) -> Iterator[str]:
    """Lines from this byte on, with their ends; the position of the file is left alone, as Arrow reads ahead."""
    size, rest = os.fstat(file.fileno()).st_size, b""
    for at in range(start - start % BLOCK_BYTES, size, BLOCK_BYTES):
        with mmap.mmap(file.fileno(), min(BLOCK_BYTES, size - at), access=mmap.ACCESS_READ, offset=at) as block:
            lines = (rest + block[max(0, start - at) :]).splitlines(keepends=True)
        # What ends the block may go on in the next one: a line, or "\r" before "\n".
        rest = lines.pop() if lines and at + BLOCK_BYTES < size and not lines[-1].endswith(b"\n") else b""
        yield from (line.decode(errors="replace") for line in lines)
