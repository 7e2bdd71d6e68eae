"""Rows of whatever a user gives: files, frames and arrays, and the sets that a column of a table divides it into."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wdist.data.memory.arrays import as_array
from wdist.data.memory.forms import labels_in_memory, read_array, read_memory
from wdist.data.readers.npy import map_npy
from wdist.data.sources.advice import in_python
from wdist.data.sources.files import FileRows, open_file
from wdist.data.splits import MINIMUM_ROWS
from wdist.data.tables.by import Partition, split_schema, without
from wdist.data.tables.found import DecodeError
from wdist.data.tables.kept import chosen_of
from wdist.data.tables.writer import ArrayWriter
from wdist.definitions.reading import Reading, Selection
from wdist.errors import OptionError, SampleError

_BLOCK_ROWS = 1 << 16
_NO_LIMIT = 1 << 62  # the files are the user's own


def rows_of(data: Any, name: str, take: Selection) -> FileRows:
    """The rows that `take` selects: those of a file, a frame or an array.

    `name` is the set's name in messages. What was opened before stays as it is. Raises SampleError if the data cannot
    be read, OptionError if the selection does not apply to it.
    """
    if isinstance(data, FileRows):
        return data
    if isinstance(data, str | os.PathLike):
        return open_file(_path(data), name, take)
    if take.member is not None:
        raise OptionError(f"{name}: member is for .npz files only")
    if take.labels is not None:
        codes = labels_of(data, take.labels, name, take.model_copy(update={"labels": None}))
        return FileRows(name, codes[:, None], [take.labels])
    with refusals_of(name):
        if (read := read_memory(data, take)) is None:
            read = read_array(_without_columns(data, name, take), take)
    array, found = read
    return FileRows(name, array, found.columns, found.table, found.notes, kept=found.kept)


def refuse_absent(sets: Sequence[Any], names: Sequence[str]) -> None:
    """Raise SampleError for a path that leads nowhere. What another file lacks can be told after that is put right."""
    for data, name in zip(sets, names, strict=True):
        if isinstance(data, str | os.PathLike):
            path = Path(_path(data))
            if not path.exists() and ".npz:" in str(path):  # FILE.npz:NAME names an array
                path = Path(str(path).rpartition(":")[0])
            if str(path) != "-" and not path.exists():
                open_file(path, name, Selection())


def _without_columns(data: Any, name: str, take: Selection) -> NDArray[Any]:
    """An array that is no table. Raises OptionError if columns are chosen by their names."""
    array = as_array(data, name, masked_is_missing=take.missing != "error")
    for option in ("columns", "drop", "categories", "dates"):
        if getattr(take, option):
            raise OptionError(
                f"{name}: {option} is for tables, and an array has no names of columns: give "
                "pandas.DataFrame(x, columns=[...])"
            )
    return array


def _path(given: str | os.PathLike[Any]) -> str | Path:
    """A path as the user gave it. Raises SampleError for text that can be none."""
    text = os.fsdecode(given)
    if not text or "\0" in text:
        raise SampleError(f"{text[:60]!r} is no path of a file: give that of an .npy, .csv or other file, or the rows")
    try:
        Path(text).is_dir()
    except OSError as error:  # longer than the system allows
        raise SampleError(f"{text[:60]!r}... is no path of a file: {error.strerror}") from error
    return given if isinstance(given, str | Path) else Path(text)


@contextmanager
def refusals_of(name: str) -> Iterator[None]:
    """Puts what a coder of tables refuses into words that name the set and the arguments of Python."""
    try:
        yield
    except DecodeError as error:
        raise SampleError(f"{name}: {in_python(str(error))}") from error
    except UnicodeDecodeError as error:  # bytes that Arrow was told are text
        raise SampleError(f"{name} holds text that is not UTF-8: {error.reason}") from error


def labels_of(data: Any, column: str, name: str, reading: Reading) -> NDArray[np.int64]:
    """Codes (n,) of the labels in a column of a frame, or of a file, for the rows that the reading keeps.

    Raises SampleError if there is no such column, or a label is missing.
    """
    take = Selection.of(reading)
    if take.missing != "drop":  # then all rows are kept, whatever the other columns hold
        take = take.model_copy(update={"columns": None, "drop": [], "categories": [], "dates": []})
    if isinstance(data, str | os.PathLike):
        labels: NDArray[np.int64] = open_file(_path(data), name, take.model_copy(update={"labels": column})).array[:, 0]
        return labels
    if not isinstance(data, FileRows):
        with refusals_of(name):
            if (codes := labels_in_memory(data, column, name, take)) is not None:
                return codes
    raise OptionError(f"groups: {name} has no column to name; give a pair of labels, one for each row of both sets")


def coded(data: Any, name: str, take: Selection) -> FileRows:
    """The codes of a table with a category. Raises OptionError for data whose columns have no names."""
    rows = rows_of(data, name, take)
    if not isinstance(rows, FileRows) or rows.table is None:
        raise OptionError(f"{name}: by names a column of a table; the columns of this data have no names")
    return rows


def partition_of(rows: FileRows, by: str, levels: Sequence[Any] | None, reference: Any) -> Partition:
    """The rows of an open table by the levels of a column."""
    assert rows.table is not None  # noqa: S101 - `by` is a category
    k = rows.table.names.index(by)
    names = rows.table.columns[k].levels
    codes = [rows.array[at : at + _BLOCK_ROWS][:, k] for at in range(0, len(rows.array), _BLOCK_ROWS)]
    return Partition.of(by, np.concatenate(codes), names, chosen=levels, reference=reference, least=MINIMUM_ROWS)


def split_rows(rows: FileRows, by: str, partition: Partition) -> dict[str, FileRows]:
    """The rows of each level: slices of one temporary file, mapped into memory."""
    assert rows.table is not None  # noqa: S101 - `by` is a category
    kept, table = split_schema(rows.table, by)
    with tempfile.TemporaryFile() as output:
        writer = ArrayWriter(output.fileno(), _NO_LIMIT)
        writer.begin((len(kept),), rows.array.dtype)
        for block in partition.blocks(rows.array):
            writer.append(block[:, kept])
        writer.end()
        ordered = map_npy(output, rows.given, "the file in the order of its levels")
    names = [rows.table.names[k] for k in kept]
    take = None if rows.take is None else without(rows.take, by)  # it reads a file that holds one set
    places = partition.parts(partition.order)
    return {
        level: FileRows(level, part, names, table, take=take, kept=chosen_of(rows.kept, places[level], len(rows.array)))
        for level, part in partition.parts(ordered).items()
    }
