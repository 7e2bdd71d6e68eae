"""Rows of files and frames: an .npy file is mapped into memory, any other is first converted to a temporary one."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from wdist.data.advice import in_python
from wdist.data.memory.arrays import as_array
from wdist.data.memory.forms import labels_in_memory, read_array, read_memory
from wdist.data.readers.base import FileFormat
from wdist.data.readers.npy import map_npy, open_npy
from wdist.data.readers.registry import FORMATS, HELP, NPY, check_selection, of_file_name, of_first_bytes, read
from wdist.data.tables.found import DecodeError, Found
from wdist.data.tables.schema import TableSchema
from wdist.data.tables.writer import ArrayWriter
from wdist.definitions.reading import Selection
from wdist.errors import OptionError, SampleError

_IMAGES = (".png", ".jpg", ".jpeg")
_COMPRESSED = (".gz", ".zst", ".bz2", ".xz")
_NO_LIMIT = 1 << 62  # the files are the user's own
_HERE = {  # what readers say of requests to a server, in terms of files
    "?member=NAME": "FILE.npz:NAME",
    "?drop=NAME": "drop=['NAME']",
    "say with ?format= what it is": "let its name end in what it is: .npy, .npz, .parquet or .zip",
}


@dataclass(frozen=True, eq=False)
class FileRows:
    """The rows of an open file or frame, and what is known of them. `given` is what the user calls it.

    array: (n, ...), or what gives such rows at a slice or an index array. columns: their names, if they have some.
    table: what the columns of codes mean, unless the rows are plain numbers. notes: what was left out, in sentences.
    """

    given: str
    array: Any
    columns: list[str] | None
    table: TableSchema | None = None
    notes: list[str] = field(default_factory=list)


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
    return _opened_rows(name, array, found)


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


def _opened_rows(name: str, array: Any, found: Found) -> FileRows:
    return FileRows(name, array, found.columns, found.table, found.notes)


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


def open_file(given: str | Path, name: str, take: Selection, standard_input: IO[bytes] | None = None) -> FileRows:
    """Open a file of a known format, an array of an archive as FILE.npz:NAME, or a folder of images.

    `standard_input` is a seekable copy of what - stands for; it is CSV unless its first bytes say otherwise. Raises
    SampleError, in words that name the file.
    """
    if of_file_name(str(given)) is NPY and take == Selection() and not Path(given).is_dir():
        return FileRows(str(given), open_npy(Path(given), name), None)
    with _reading(str(given), take, standard_input) as (source, kind, chosen):
        if kind is NPY:
            return FileRows(str(given), map_npy(source, name, repr(str(given))), None)
        with tempfile.TemporaryFile() as output:  # the system deletes it once the array is no longer mapped
            columns = read(kind, source, ArrayWriter(output.fileno(), _NO_LIMIT), chosen).columns
            return FileRows(str(given), map_npy(output, str(given), "the converted file"), columns)


def convert(
    given: str | Path, output: IO[bytes], take: Selection, standard_input: IO[bytes] | None = None
) -> list[str] | None:
    """Write what `take` selects of any file that `open_file` opens as an .npy file; returns the names of its columns.

    Raises SampleError.
    """
    with _reading(str(given), take, standard_input) as (source, kind, chosen):
        writer = ArrayWriter(output.fileno(), _NO_LIMIT)
        if kind is not NPY:
            return read(kind, source, writer, chosen).columns
        while block := source.read(1 << 20):
            writer.raw(block)
        return None


@contextmanager
def _reading(
    given: str, take: Selection, standard_input: IO[bytes] | None
) -> Iterator[tuple[IO[bytes], FileFormat, Selection]]:
    """The open file, its format, and the selection with the array that `given` names."""
    path = Path(given)
    if standard_input is None and not path.exists() and ".npz:" in given:
        name, _, member = given.rpartition(":")
        path, take = Path(name), take.model_copy(update={"member": member})
    try:
        if standard_input is not None:
            standard_input.seek(0)
        with _opened(path) if standard_input is None else nullcontext(standard_input) as source:
            kind = FORMATS["images"] if path.is_dir() else of_file_name(path.name) or _recognised(source, given)
            check_selection(take, kind)
            yield source, kind, take
    except DecodeError as error:
        message = str(error)
        for there, here in _HERE.items():
            message = message.replace(there, here)
        raise SampleError(f"{given}: {message}") from error
    except OSError as error:
        raise SampleError(f"{given}: {error.strerror or error}") from error


def _opened(path: Path) -> IO[bytes]:
    return _zipped(path) if path.is_dir() else path.open("rb")


def _zipped(folder: Path) -> IO[bytes]:
    """The images of a folder as an archive, which is what the reader reads; stored, not deflated."""
    images = sorted(file for file in folder.iterdir() if file.suffix.lower() in _IMAGES)
    if not images:
        raise SampleError(f"{folder} holds no {', '.join(_IMAGES)} files")
    packed = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for file in images:
            archive.write(file, file.name)
    packed.seek(0)
    return packed


def _recognised(source: IO[bytes], given: str) -> FileFormat:
    """The format of a file by its first bytes; an unrecognised one is CSV if it has no name, otherwise refused."""
    if (kind := of_first_bytes(source)) is not None:
        return kind
    if given == "-":
        return FORMATS["csv"]
    if given.lower().endswith(_COMPRESSED):
        raise SampleError(f"{given} is compressed: unpack it first, or pipe it: gunzip -c FILE | wdist ... - OTHER")
    raise SampleError(f"{given} is not {HELP}")


def labels_of(data: Any, column: str, name: str, take: Selection | None = None) -> NDArray[np.int64]:
    """Codes (n,) of the labels in a column of a frame, or of a file, for the rows that `take` keeps.

    Raises SampleError if there is no such column, or a label is missing.
    """
    take = take or Selection()
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
