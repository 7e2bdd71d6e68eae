"""Parquet, read in batches: one file, or the files of a folder as Spark writes them."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet

from wdist.data.readers.tables import BLOCK_BYTES, check_width
from wdist.data.tables.arrow import column_of, is_list, labels_of, length_of_lists, type_of
from wdist.data.tables.bookkeeping import Bookkeeping
from wdist.data.tables.coder import TableCoder
from wdist.data.tables.columns import ColumnType
from wdist.data.tables.found import DecodeError, Found, TooLargeError
from wdist.data.tables.writer import ArrayWriter
from wdist.definitions.reading import Selection

_ROWS = 65_536  # of a batch, at most


@dataclass(frozen=True)
class Part:
    """A file of a table that is kept in several, and what the names of its folders say: `cut=Ideal`.

    partition: None stands for a missing value.
    """

    source: IO[bytes]
    name: str = ""
    partition: dict[str, str | None] = field(default_factory=dict)


def read(source: IO[bytes], writer: ArrayWriter, take: Selection) -> Found:
    """Read columns of numbers in their common type, or columns of several kinds as codes."""
    return read_parts([Part(source)], writer, take)


def read_parts(parts: Sequence[Part], writer: ArrayWriter, take: Selection) -> Found:
    """Read the files of one table, one after the other; all have the same columns."""
    with _explained(parts[0]):
        first = _open(parts[0])
        schema = first.schema_arrow
        check_width(len(schema))
        types = [*_types(first, schema), *_partition_types(parts)]
    rows = 0
    for part in parts:
        with _explained(part):
            other = _open(part)
            rows += other.metadata.num_rows
            _check_same(schema, other.schema_arrow, parts[0].name, part.name)
    if rows == 0 or not types:
        raise DecodeError("the table holds no values")
    bookkeeping = Bookkeeping(types, take, pandas=(schema.metadata or {}).get(b"pandas"))
    take = bookkeeping.take
    coder = TableCoder(types, take, writer)
    _check_size(rows, [types[k] for k in coder.chosen], writer, take)
    for part in parts:
        with _explained(part), coder.keeping_its_refusal():
            _append(part, types, coder, bookkeeping, take)
    found = coder.end()
    return replace(found, notes=[*bookkeeping.notes, *found.notes])


@contextmanager
def _explained(part: Part) -> Iterator[None]:
    """Say what is wrong with a file, and with which one."""
    where = f"{part.name}: " if part.name else ""
    try:
        yield
    except DecodeError as error:
        raise type(error)(f"{where}{error}") from error
    except UnicodeDecodeError as error:
        raise DecodeError(f"{where}it holds text that is not UTF-8: {error.reason}") from error
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # a disk error, not a malformed file
        raise DecodeError(f"{where}it cannot be read as Parquet: " + str(error).splitlines()[0][:200]) from error


def _open(part: Part) -> pa_parquet.ParquetFile:
    part.source.seek(0)
    return pa_parquet.ParquetFile(
        part.source, pre_buffer=False, thrift_string_size_limit=1 << 24, thrift_container_size_limit=1 << 20,
        page_checksum_verification=True, arrow_extensions_enabled=False,
    )  # fmt: skip


def _types(table: pa_parquet.ParquetFile, schema: pa.Schema) -> list[ColumnType]:
    """The types of the columns. The length of lists is that of the first one."""
    types, dictionaries = [], _dictionaries(table)
    for each in schema:
        width = None
        if is_list(each.type) and not pa.types.is_fixed_size_list(each.type) and schema.names.count(each.name) == 1:
            batches = table.iter_batches(batch_size=256, use_threads=False, columns=[each.name])
            lengths = (length_of_lists(batch.column(0)) for batch in batches)
            width = next((length for length in lengths if length is not None), 0)
            if not width:
                raise DecodeError(f"column {each.name[:100]!r} has lists without values; leave it out or fill them")
        found = type_of(each.name, each.type, width)
        is_category = each.name in dictionaries and found.kind in ("number", "boolean")
        types.append(replace(found, kind="category") if is_category else found)
    return types


def _dictionaries(table: pa_parquet.ParquetFile) -> set[str]:
    """The columns that were dictionaries, categoricals of pandas among them, when the file was written.

    Arrow reads only those of text as such. Of the others, the schema that it keeps in the file's metadata tells.
    """
    stored = (table.metadata.metadata or {}).get(b"ARROW:schema")
    try:
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(stored or b"")))
    except (pa.ArrowException, ValueError, OSError):
        return set()
    return {each.name for each in schema if pa.types.is_dictionary(each.type)}


def _partition_types(parts: Sequence[Part]) -> list[ColumnType]:
    """The columns that folders are named for: numbers if all their values are, otherwise text."""
    types = []
    for name in parts[0].partition:
        if any(part.partition.keys() != parts[0].partition.keys() for part in parts):
            raise DecodeError("its folders are named for other columns in one place than in another")
        values = [part.partition[name] for part in parts]
        types.append(ColumnType(name, "number" if all(_is_number(value) for value in values) else "text", said="text"))
    return types


def _is_number(text: str | None) -> bool:
    try:
        return text is None or bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _check_same(schema: pa.Schema, other: pa.Schema, name: str, other_name: str) -> None:
    if schema.equals(other):
        return
    mine, others = ([f"{each.name[:100]!r} ({str(each.type)[:100]})" for each in both] for both in (schema, other))
    differing = next((pair for pair in zip(mine, others, strict=False) if pair[0] != pair[1]), None)
    said = f"{differing[1]} stands where {name} has {differing[0]}" if differing else f"{len(others)}, not {len(mine)}"
    raise DecodeError(f"its columns are not those of {name}: {said}; write {other_name} with the same columns")


def _check_size(rows: int, types: Sequence[ColumnType], writer: ArrayWriter, take: Selection) -> None:
    """Refuse a table before its values are unpacked: run lengths make a billion of them a few bytes."""
    width = sum(each.width for each in types)
    check_width(width)
    declared = rows * width * (np.result_type(*[each.dtype for each in types]).itemsize if take.labels is None else 1)
    if take.missing != "drop" and declared > writer.max_bytes:
        raise TooLargeError(f"it declares {declared:,} bytes of values, the limit is {writer.max_bytes:,}")


def _append(
    part: Part, types: Sequence[ColumnType], coder: TableCoder, bookkeeping: Bookkeeping, take: Selection
) -> None:
    given = [types[k] for k in coder.chosen]
    wanted = {each.name for each in given if each.name not in part.partition}
    numbering = [types[k] for k in bookkeeping.places]
    wanted |= {each.name for each in numbering}
    row_bytes = sum(each.width * each.dtype.itemsize for each in given)
    table = _open(part)
    batches = table.iter_batches(
        batch_size=max(1, min(_ROWS, BLOCK_BYTES // max(1, row_bytes))), use_threads=False, columns=sorted(wanted)
    )
    for batch in batches:
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        bookkeeping.append([column_of(columns[each.name], each) for each in numbering])
        coder.append([
            labels_of(_array(part, each, columns, batch.num_rows), each.name)
            if each.name == take.labels
            else column_of(_array(part, each, columns, batch.num_rows), each)
            for each in given
        ])  # fmt: skip


def _array(part: Part, kind: ColumnType, columns: dict[str, Any], rows: int) -> pa.Array:
    if kind.name not in part.partition:
        return columns[kind.name]
    value: Any = part.partition[kind.name]
    if kind.kind == "number":
        return pa.array([None if value is None else float(value)] * rows, pa.float64())
    return pa.array([value] * rows, pa.string())
