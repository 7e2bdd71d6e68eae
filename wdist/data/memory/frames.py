"""Frames in memory, of pandas, polars, pyarrow and others that narwhals knows, through the coder of tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import narwhals as nw
import numpy as np
from narwhals.exceptions import DuplicateError
from numpy.typing import NDArray

from wdist.data.columns import given_names, repeated
from wdist.data.memory.columns import Read, reader
from wdist.data.tables.bookkeeping import Bookkeeping
from wdist.data.tables.coder import TableCoder, chosen
from wdist.data.tables.columns import ColumnType, missing_in
from wdist.data.tables.found import DecodeError, Found
from wdist.data.tables.writer import MemoryWriter
from wdist.definitions.reading import Selection

BLOCK_ROWS = 1 << 16
_SINGLE = "value"  # the column of a Series, so that two Series of other names can be compared


def native_frame(data: Any) -> Any:
    """The frame or Series that `data` is, collected if it is lazy, as its own library has it; None for other objects.

    A Table stands for a RecordBatch or a RecordBatchReader of pyarrow, and a ChunkedArray for its Array.
    """
    if isinstance(data, np.ndarray | list | tuple | str | bytes | dict):
        return None
    if type(data).__module__.split(".")[0] == "pyarrow":  # the caller has imported it
        import pyarrow as pa

        if isinstance(data, pa.RecordBatch):
            return pa.Table.from_batches([data])
        if isinstance(data, pa.Array):
            return pa.chunked_array([data])
        if isinstance(data, pa.RecordBatchReader):
            return data.read_all()
    try:
        found = nw.from_native(data, pass_through=True, allow_series=True)
    except DuplicateError:
        return data  # `column_names` says which name
    if isinstance(found, nw.LazyFrame):
        try:
            return found.collect().to_native()
        except Exception as error:  # whatever the query's own library raises
            raise DecodeError(f"the lazy frame cannot be collected: {first_line(error)}") from error
    return found.to_native() if isinstance(found, nw.DataFrame | nw.Series) else None


def first_line(error: BaseException) -> str:
    """What an error of another library says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def is_series(native: Any) -> bool:
    """Whether what `native_frame` returned is one column."""
    return not hasattr(native, "columns")


def column_names(native: Any) -> tuple[list[str], bool]:
    """The names of a frame's columns, and whether somebody gave them; otherwise they are numbers from 0.

    Raises DecodeError for two columns of one name.
    """
    names = given_names(native)
    if names is None:
        return [str(k) for k in range(native.shape[1])], False
    if (twice := repeated(names)) is not None:
        raise DecodeError(f"more than one column is named {twice[:100]!r}; give each a name of its own")
    return names, True


def read_frame(native: Any, take: Selection) -> tuple[NDArray[Any], Found]:
    """The rows of a frame or a Series, (n, d), and what was found. Raises DecodeError.

    native: what `native_frame` returned. A Series is one column without a name, (n,) if it holds plain numbers.
    """
    series, columns = is_series(native), columns_of(native)
    types, parts = [each[0] for each in columns], [each[1] for each in columns]
    if series:
        return _as_series(*coded(types, parts, len(native), take, has_names=True))
    has_names = column_names(native)[1]
    bookkeeping = Bookkeeping(types, take, has_names=has_names, pandas=_written_by_pandas(native))
    for block in _blocks(len(native) if bookkeeping.places else 0):
        bookkeeping.append([parts[k](block) for k in bookkeeping.places])
    array, found = coded(types, parts, len(native), bookkeeping.take, has_names=has_names)
    return array, replace(found, notes=[*_index_notes(native), *bookkeeping.notes, *found.notes])


def _index_notes(native: Any) -> list[str]:
    """What is said of an index of pandas that somebody named: it may have been a column before set_index."""
    names = [str(name) for name in getattr(getattr(native, "index", None), "names", ()) if name is not None]
    lost = [name for name in names if name not in column_names(native)[0]]
    return [
        f"{name[:100]!r} is the index of the frame and was left out; reset_index() makes it a column" for name in lost
    ]


def _written_by_pandas(native: Any) -> bytes | None:
    """What pandas wrote into the metadata of a table of pyarrow, if there is some."""
    metadata = getattr(getattr(native, "schema", None), "metadata", None)
    return metadata.get(b"pandas") if isinstance(metadata, dict) else None


def columns_of(native: Any) -> list[tuple[ColumnType, Read]]:
    """The types of the columns of a frame or a Series, and what reads them. Raises DecodeError."""
    if is_series(native):
        own = nw.from_native(native, series_only=True)
        names, columns, shape = [str(own.name or _SINGLE)], [own], (len(own),)
    else:
        names = column_names(native)[0]
        columns, shape = _columns(native, len(names)), tuple(native.shape)
    if 0 in shape:
        raise DecodeError(f"a frame of shape {shape} holds no values; give it rows and columns")
    return [reader(column, name) for column, name in zip(columns, names, strict=True)]


def kept_rows(columns: Sequence[tuple[ColumnType, Read]], rows: int, take: Selection) -> NDArray[np.bool_]:
    """Which rows of a table `coded` keeps with missing="drop", (n,). Raises DecodeError."""
    kept = np.ones(rows, dtype=np.bool_)
    types = [each[0] for each in columns]
    places = chosen(types, Bookkeeping(types, take).take, has_names=True)
    for block in _blocks(rows):
        for k in places:
            missing = missing_in(columns[k][1](block))
            if missing is not None:
                kept[block] &= ~missing
    return kept


def coded(
    types: Sequence[ColumnType],
    parts: Sequence[Read],
    rows: int,
    take: Selection,
    has_names: bool,
) -> tuple[NDArray[Any], Found]:
    """The codes of a table in memory, whose columns are given by functions of a slice of rows. Raises DecodeError."""
    writer = MemoryWriter(rows)
    coder = TableCoder(types, take, writer, has_names=has_names)
    for block in _blocks(rows):
        coder.append([parts[k](block) for k in coder.chosen])
    found = coder.end()
    return writer.array, found


def _blocks(rows: int) -> Iterator[slice]:
    return (slice(start, min(start + BLOCK_ROWS, rows)) for start in range(0, rows, BLOCK_ROWS))


def _as_series(array: NDArray[Any], found: Found) -> tuple[NDArray[Any], Found]:
    """A Series has no name that a comparison looks at: two columns of one frame may be compared."""
    if found.table is None:
        return (array[:, 0] if array.shape[1] == 1 else array), Found(notes=found.notes, kept=found.kept)
    columns = found.table.columns
    names = [_SINGLE] if len(columns) == 1 else [f"{_SINGLE}[{k}]" for k in range(len(columns))]
    renamed = tuple(replace(each, name=name) for each, name in zip(columns, names, strict=True))
    return array, replace(found, columns=names, table=replace(found.table, columns=renamed))


def _columns(native: Any, count: int) -> list[nw.Series[Any]]:
    """The columns by their places, whatever their names are."""
    if hasattr(native, "iloc"):
        return [nw.from_native(native.iloc[:, k], series_only=True) for k in range(count)]
    frame = nw.from_native(native, eager_only=True)
    return [frame[:, k] for k in range(count)]
