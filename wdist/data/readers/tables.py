"""Tables: CSV, Parquet and inline JSON, read in batches. Errors name the column that is not numeric."""

from __future__ import annotations

import csv
import itertools
import json
import mmap
import os
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
from numpy.typing import NDArray

from wdist.data.readers.labels import choose, codes
from wdist.data.readers.selection import Selection
from wdist.data.readers.writer import ArrayWriter, DecodeError, TooLargeError

MAX_COLUMNS = 1 << 17
MAX_LINE_BYTES = 16 << 20
_BLOCK_BYTES = 4 << 20
_MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"]
_CSV_ERROR = re.compile(r"In CSV column #(\d+): (?:Row #(\d+): )?.*?(?:invalid value|to double).*?'(.*)'", re.DOTALL)
_CSV_WIDTH = re.compile(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)")


def decode_csv(source: BinaryIO, writer: ArrayWriter, take: Selection) -> list[str] | None:
    """Read numbers separated by commas, semicolons or tabs as float64, and return the column names, if any.

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
    _check_width(len(cells))
    has_names = not all(_is_number(cell) for cell in cells)
    source.seek(0)
    keys = [str(number) for number in range(len(cells))]  # names may repeat, keys may not
    chosen = choose(cells if has_names else [], len(cells), take)
    kind = pa.float64() if take.labels is None else pa.string()
    try:
        reader = pa_csv.open_csv(
            source,
            pa_csv.ReadOptions(
                use_threads=False,
                block_size=max(_BLOCK_BYTES, 4 * len(line)),
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
            if (at := _not_finite(rows)) is not None:
                column = chosen[at[1]]
                where = f"{_column(column, cells if has_names else None)}, line {_line_of(source, taken + at[0])}"
                raise DecodeError(f"{where} {_holds(rows[at])}")
            taken += len(rows)
            writer.append(rows)
    except pa.ArrowInvalid as error:
        raise DecodeError(_explain_csv(str(error), cells if has_names else None)) from error
    writer.end()
    return [cells[k] for k in chosen] if has_names else None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.strip() in _MISSING
    return True


def _explain_csv(message: str, names: list[str] | None) -> str:
    if match := _CSV_ERROR.search(message):
        column = int(match[1])
        where = _column(column, names) + (f", line {match[2]}" if match[2] else "")
        return f"{where} holds {match[3][:100]!r}, which is not a number; drop or encode that column"
    if match := _CSV_WIDTH.search(message):
        line = f"line {match[1]}" if match[1] else "a line"
        return f"{line} has {match[3]} columns, the first line has {match[2]}; give all lines the same columns"
    return "it cannot be read as CSV: " + message.splitlines()[0][:200]


def _column(column: int, names: list[str] | None) -> str:
    return f"column {names[column][:100]!r}" if names and column < len(names) else f"column {column}"


def _holds(value: float) -> str:
    return f"holds {value}, which is not a finite number; remove or impute such rows"


def _not_finite(rows: NDArray[Any]) -> tuple[int, int] | None:
    """Row and column of the first value that is not finite, or None."""
    if rows.dtype.kind != "f" or (is_finite := np.isfinite(rows)).all():
        return None
    row, column = np.argwhere(~is_finite)[0]
    return int(row), int(column)


def _line_of(source: BinaryIO, row: int) -> int:
    """Line number, from 1, of a row, from 0. The line of names counts as a row; empty lines do not."""
    filled = (number for number, line in enumerate(_lines(source.fileno()), start=1) if line.strip(b"\r"))
    return next(itertools.islice(filled, row, None))


def _lines(descriptor: int) -> Iterator[bytes]:
    """From the beginning; the position of the file is left alone, as the reader reads ahead."""
    rest, size = b"", os.fstat(descriptor).st_size
    for at in range(0, size, _BLOCK_BYTES):
        with mmap.mmap(descriptor, min(_BLOCK_BYTES, size - at), access=mmap.ACCESS_READ, offset=at) as block:
            *whole, rest = (rest + block[:]).split(b"\n")
        yield from whole
    yield rest


def decode_parquet(source: BinaryIO, writer: ArrayWriter, take: Selection) -> list[str] | None:
    """Read columns of numbers, or one column of lists of equal length, in the columns' common type."""
    try:
        table = pa_parquet.ParquetFile(
            source, pre_buffer=False, thrift_string_size_limit=1 << 24, thrift_container_size_limit=1 << 20,
            page_checksum_verification=True, arrow_extensions_enabled=False,
        )  # fmt: skip
        schema = table.schema_arrow
        _check_width(len(schema))
        if table.metadata.num_rows == 0 or len(schema) == 0:
            raise DecodeError("the table holds no values")
        chosen = choose(schema.names, len(schema), take)
        if len(chosen) < len(schema):
            if len(set(schema.names)) < len(schema):
                raise DecodeError("two columns have the same name; rename one before you choose by name")
            schema = pa.schema([schema.field(k) for k in chosen])
        if take.labels is not None:
            writer.begin((1,), np.dtype(np.int64))
            for batch in table.iter_batches(batch_size=65_536, use_threads=False, columns=schema.names):
                writer.append(codes(batch.column(0), take.labels))
            writer.end()
            return list(schema.names)
        is_lists = len(schema) == 1 and _is_list(schema.field(0).type)
        dtypes = [_numeric(field) for field in schema]
        dtype = np.result_type(*dtypes)
        declared = table.metadata.num_rows * dtype.itemsize * len(schema)
        if declared > writer.max_bytes:
            raise TooLargeError(f"it declares {declared:,} bytes of values, the limit is {writer.max_bytes:,}")
        rows = max(1, min(65_536, _BLOCK_BYTES // (dtype.itemsize * len(schema))))
        batches = table.iter_batches(batch_size=rows, use_threads=False, columns=schema.names)
        _write(_matrices(batches, schema, dtype, is_lists), writer, dtype, None if is_lists else schema.names)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # a disk error, not a malformed file
        raise DecodeError("it cannot be read as Parquet: " + str(error).splitlines()[0][:200]) from error
    return None if is_lists else list(schema.names)


def _write(
    matrices: Iterator[NDArray[Any]], writer: ArrayWriter, dtype: np.dtype[Any], names: list[str] | None
) -> None:
    taken = 0
    for matrix in matrices:
        if not taken:
            writer.begin(matrix.shape[1:], dtype)
        if (at := _not_finite(matrix)) is not None:
            raise DecodeError(f"{_column(at[1], names)}, row {taken + at[0]} (the first is 0) {_holds(matrix[at])}")
        taken += len(matrix)
        writer.append(matrix)
    writer.end()


def _matrices(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, dtype: np.dtype[Any], is_lists: bool
) -> Iterator[NDArray[Any]]:
    for batch in batches:
        for field, column in zip(schema, batch.columns, strict=True):
            if column.null_count:
                raise DecodeError(f"column {field.name[:100]!r} has missing values; remove or impute them")
        if not batch.num_rows:
            continue
        if is_lists:
            values = batch.column(0).flatten()
            if values.null_count or len(values) % batch.num_rows:
                raise DecodeError("the lists have missing values or different lengths; give all the same length")
            lengths = batch.column(0).value_lengths() if not _is_fixed(schema.field(0).type) else None
            if lengths is not None and len(lengths.unique()) != 1:
                raise DecodeError("the lists have different lengths; give all the same length")
            yield values.to_numpy(zero_copy_only=False).astype(dtype).reshape(batch.num_rows, -1)
        else:
            columns = [column.to_numpy(zero_copy_only=False).astype(dtype, copy=False) for column in batch.columns]
            yield np.column_stack(columns)


def _is_fixed(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_list(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(_is_fixed(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _numeric(field: pa.Field) -> np.dtype[Any]:
    kind = field.type.value_type if _is_list(field.type) else field.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise DecodeError(
            f"column {field.name[:100]!r} is of type {str(field.type)[:100]}, not numbers; drop or encode it"
        )
    dtype: np.dtype[Any] = np.dtype(kind.to_pandas_dtype())
    return dtype


def decode_json(source: BinaryIO, writer: ArrayWriter) -> tuple[list[str] | None, str | None]:
    """Read {"samples": [[...], ...]} as float64; a flat list is one column. "columns" (names), "name" are optional."""
    try:
        body = json.loads(source.read())
    except RecursionError as error:
        raise DecodeError('it is nested too deeply; send {"samples": [[...], ...]}') from error
    except ValueError as error:
        raise DecodeError(f"it is not JSON: {error}"[:300]) from error
    if not isinstance(body, dict) or "samples" not in body:
        raise DecodeError('there is no list of rows; send {"samples": [[...], ...]}')
    if unknown := sorted(set(body) - {"samples", "columns", "name"}):
        raise DecodeError(f"unknown field {unknown[0][:50]!r}; known are samples, columns and name")
    try:
        rows = np.array(body["samples"])
    except (ValueError, RecursionError, OverflowError) as error:
        raise DecodeError("samples has rows of different lengths; give all the same number of values") from error
    if rows.ndim == 1:
        rows = rows[:, None]
    if rows.dtype.kind not in "biuf" or rows.ndim < 2:
        raise DecodeError("samples must be a list of rows of numbers: [[1.5, 2], [0.3, 4]], or of numbers: [1.5, 0.3]")
    columns, name = body.get("columns"), body.get("name")
    if columns is not None and (not isinstance(columns, list) or len(columns) != rows.shape[1]):
        raise DecodeError(f"columns must be a list of {rows.shape[1]} names")
    if not all(isinstance(given, str) for given in [*(columns or []), name or ""]):
        raise DecodeError("name and columns are text")
    writer.begin(rows.shape[1:], np.dtype(np.float64))
    writer.append(rows)
    writer.end()
    return columns, name


def _check_width(columns: int) -> None:
    if columns > MAX_COLUMNS:
        raise TooLargeError(f"it has {columns:,} columns, the limit is {MAX_COLUMNS:,}; give wide data as .npy")
