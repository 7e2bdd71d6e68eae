"""CSV: numbers separated by commas, semicolons or tabs."""

from __future__ import annotations

import csv
import itertools
import mmap
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from wdist.data.readers.labels import choose, codes
from wdist.data.readers.tables import BLOCK_BYTES, check_width, column_label, first_not_finite, not_finite_message
from wdist.data.tables.found import DecodeError, Found, TooLargeError
from wdist.data.tables.writer import ArrayWriter
from wdist.definitions.reading import Selection

MAX_LINE_BYTES = 16 << 20
_DESCRIPTORS = "/dev/fd"  # a file here is the open one, even if it has no name or another has taken its name
_MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"]
_CSV_ERROR = re.compile(r"In CSV column #(\d+): (?:Row #(\d+): )?.*?(?:invalid value|to double).*?'(.*)'", re.DOTALL)
_CSV_WIDTH = re.compile(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)")


def read(source: IO[bytes], writer: ArrayWriter, take: Selection) -> Found:
    """Read numbers separated by commas, semicolons or tabs as float64.

    The first line holds names unless all its cells are numbers. `take` refers to columns by name. Raises DecodeError
    for a missing or infinite value, naming the column and the line.
    """
    line = source.readline(MAX_LINE_BYTES)
    if len(line) == MAX_LINE_BYTES:
        raise TooLargeError(f"the first line is longer than {MAX_LINE_BYTES:,} bytes")
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DecodeError("the first line is not UTF-8 text; save the table as CSV in UTF-8") from error
    delimiter = max(",;\t", key=text.count)
    if "\0" in text:
        raise DecodeError("it is binary, not CSV; say with ?format= what it is")
    cells = next(csv.reader([text.rstrip("\r\n")], delimiter=delimiter), [])
    if not cells:
        raise DecodeError("it begins with an empty line; the first line must hold names or numbers")
    check_width(len(cells))
    has_names = not all(_is_number(cell) for cell in cells)
    keys = [str(number) for number in range(len(cells))]  # names may repeat, keys may not
    chosen = choose(cells if has_names else [], len(cells), take)
    kind = pa.float64() if take.labels is None else pa.string()
    try:
        reader = pa_csv.open_csv(
            _native(source),
            pa_csv.ReadOptions(
                use_threads=False,
                block_size=max(BLOCK_BYTES, 4 * len(line)),
                skip_rows=int(has_names),
                column_names=keys,
            ),
            pa_csv.ParseOptions(delimiter=delimiter),
            pa_csv.ConvertOptions(
                column_types=dict.fromkeys(keys, kind), include_columns=[keys[k] for k in chosen],
                null_values=_MISSING, strings_can_be_null=True,
            ),
        )  # fmt: skip
        writer.begin((len(chosen),), np.dtype(np.float64 if take.labels is None else np.int64))
        taken = int(has_names)
        for batch in reader:
            if take.labels is not None:
                writer.append(codes(batch.column(0), take.labels))
                continue
            rows = np.column_stack([column.to_numpy(zero_copy_only=False) for column in batch.columns])
            if (at := first_not_finite(rows)) is not None:
                column = chosen[at[1]]
                where = f"{column_label(column, cells if has_names else None)}, line {_line_of(source, taken + at[0])}"
                raise DecodeError(f"{where} {not_finite_message(rows[at])}")
            taken += len(rows)
            writer.append(rows)
    except pa.ArrowInvalid as error:
        raise DecodeError(_explain_csv(str(error), cells if has_names else None)) from error
    writer.end()
    return Found([cells[k] for k in chosen] if has_names else None)


def _native(source: IO[bytes]) -> pa.NativeFile:
    """The file from its beginning, for Arrow to read without Python.

    Arrow reads ahead in a thread of its own, and an error does not end that thread. One that reads a Python file while
    the interpreter shuts down aborts the process.
    """
    source.seek(0)  # macOS shares the position
    with suppress(OSError):  # Windows has no such folder
        return pa.OSFile(f"{_DESCRIPTORS}/{source.fileno()}")
    with suppress(OSError, TypeError):  # some files have no name, some cannot be opened twice
        if os.path.samestat(Path(source.name).stat(), os.fstat(source.fileno())):
            return pa.OSFile(source.name)
    copy = pa.BufferOutputStream()
    while block := source.read(BLOCK_BYTES):
        copy.write(block)
    return pa.BufferReader(copy.getvalue())


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.strip() in _MISSING
    return True


def _explain_csv(message: str, names: list[str] | None) -> str:
    if match := _CSV_ERROR.search(message):
        column = int(match[1])
        where = column_label(column, names) + (f", line {match[2]}" if match[2] else "")
        return f"{where} holds {match[3][:100]!r}, which is not a number; leave it out with ?drop=NAME, or encode it"
    if match := _CSV_WIDTH.search(message):
        line = f"line {match[1]}" if match[1] else "a line"
        return f"{line} has {match[3]} columns, the first line has {match[2]}; give all lines the same columns"
    return "it cannot be read as CSV: " + message.splitlines()[0][:200]


def _line_of(source: IO[bytes], row: int) -> int:
    """Line number, from 1, of a row, from 0. The line of names counts as a row; empty lines do not."""
    filled = (number for number, line in enumerate(_lines(source.fileno()), start=1) if line.strip(b"\r"))
    return next(itertools.islice(filled, row, None))


def _lines(descriptor: int) -> Iterator[bytes]:
    """From the beginning; the position of the file is left alone, as the reader reads ahead."""
    rest, size = b"", os.fstat(descriptor).st_size
    for at in range(0, size, BLOCK_BYTES):
        with mmap.mmap(descriptor, min(BLOCK_BYTES, size - at), access=mmap.ACCESS_READ, offset=at) as block:
            *whole, rest = (rest + block[:]).split(b"\n")
        yield from whole
    yield rest
