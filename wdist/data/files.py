"""Rows of files: an .npy file is mapped into memory, any other is first converted to a temporary one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from wdist.data.groups import checked_labels
from wdist.data.readers.base import FileFormat
from wdist.data.readers.npy import map_npy, open_npy
from wdist.data.readers.registry import FORMATS, HELP, NPY, check_selection, of_file_name, of_first_bytes, read
from wdist.data.tables.found import DecodeError
from wdist.data.tables.schema import TableSchema
from wdist.data.tables.writer import ArrayWriter
from wdist.definitions.reading import Selection
from wdist.errors import OptionError, SampleError

_COMPRESSED = (".gz", ".zst", ".bz2", ".xz")
_NO_LIMIT = 1 << 62  # the files are the user's own
_HERE = {  # what readers say of requests to a server, in terms of files
    "?member=NAME": "FILE.npz:NAME",
    "?drop=NAME": "drop=['NAME']",
    "say with ?format= what it is": "let its name end in what it is: .npy, .npz, .parquet or .zip",
}


@dataclass(frozen=True, eq=False)
class FileRows:
    """The array of an open file, and the names of its columns if it has some. `given` is what the user calls it.

    table: the schema of the codes in `array`, or None where it holds plain numbers. notes: what was left out. take: the
    selection by which it was read, if that is known. file_sha256: SHA-256 of the file, where its bytes are not at hand.
    """

    given: str
    array: NDArray[Any]
    columns: list[str] | None
    table: TableSchema | None = None
    notes: Sequence[str] = ()
    take: Selection | None = None
    file_sha256: str | None = None


def rows_of(data: Any, name: str, take: Selection) -> Any:
    """The rows that `take` selects: FileRows for a path, otherwise the data, less the dropped columns of a frame.

    `name` is the set's name in messages. Raises SampleError if a file cannot be read, OptionError if the selection does
    not apply to data in memory.
    """
    if isinstance(data, str | Path):
        return open_file(data, name, take)
    if take == Selection():
        return data
    if take.member is not None or take.labels is not None or not hasattr(data, "columns"):
        raise OptionError(f"{name}: drop is for tables only, member and labels for files only")
    if missing := [each for each in take.drop if each not in list(data.columns)]:
        raise SampleError(f"{name}: no column is named {missing[0]!r}; there are {', '.join(map(str, data.columns))}")
    return data[[each for each in data.columns if each not in take.drop]]


def open_file(given: str | Path, name: str, take: Selection, standard_input: IO[bytes] | None = None) -> FileRows:
    """Open a file of a known format, an array of an archive as FILE.npz:NAME, or a folder of images.

    `standard_input` is a seekable copy of what - stands for; it is CSV unless its first bytes say otherwise. Raises
    SampleError, in words that name the file.
    """
    if of_file_name(str(given)) is NPY and take == Selection() and not Path(given).is_dir():
        return FileRows(str(given), open_npy(Path(given), name), None)
    with _reading(str(given), take, standard_input) as (source, kind, chosen):
        if kind is NPY and not isinstance(source, Path):
            return FileRows(str(given), map_npy(source, name, repr(str(given))), None)
        with tempfile.TemporaryFile() as output:  # the system deletes it once the array is no longer mapped
            found = read(kind, source, ArrayWriter(output.fileno(), _NO_LIMIT), chosen)
            array = map_npy(output, str(given), "the converted file")
            return FileRows(str(given), array, found.columns, found.table, found.notes, take)


def convert(
    given: str | Path, output: IO[bytes], take: Selection, standard_input: IO[bytes] | None = None
) -> list[str] | None:
    """Write what `take` selects of any file that `open_file` opens as an .npy file; returns the names of its columns.

    Raises SampleError.
    """
    with _reading(str(given), take, standard_input) as (source, kind, chosen):
        writer = ArrayWriter(output.fileno(), _NO_LIMIT)
        if kind is not NPY or isinstance(source, Path):
            return read(kind, source, writer, chosen).columns
        while block := source.read(1 << 20):
            writer.raw(block)
        return None


@contextmanager
def _reading(
    given: str, take: Selection, standard_input: IO[bytes] | None
) -> Iterator[tuple[IO[bytes] | Path, FileFormat, Selection]]:
    """The open file or the folder, its format, and the selection with the array that `given` names."""
    path = Path(given)
    if standard_input is None and not path.exists() and ".npz:" in given:
        name, _, member = given.rpartition(":")
        path, take = Path(name), take.model_copy(update={"member": member})
    try:
        if standard_input is not None:
            standard_input.seek(0)
        with _opened(path) if standard_input is None else nullcontext(standard_input) as source:
            if isinstance(source, Path):
                kind = FORMATS["images"]
            else:
                kind = of_file_name(path.name) or _recognised(source, given)
            check_selection(take, kind)
            yield source, kind, take
    except DecodeError as error:
        message = str(error)
        for there, here in _HERE.items():
            message = message.replace(there, here)
        raise SampleError(f"{given}: {message}") from error
    except OSError as error:
        raise SampleError(f"{given}: {error.strerror or error}") from error


def _opened(path: Path) -> AbstractContextManager[IO[bytes] | Path]:
    return nullcontext(path) if path.is_dir() else path.open("rb")


def _recognised(source: IO[bytes], given: str) -> FileFormat:
    """The format of a file by its first bytes; an unrecognised one is CSV if it has no name, otherwise refused."""
    if (kind := of_first_bytes(source)) is not None:
        return kind
    if given == "-":
        return FORMATS["csv"]
    if given.lower().endswith(_COMPRESSED):
        raise SampleError(f"{given} is compressed: unpack it first, or pipe it: gunzip -c FILE | wdist ... - OTHER")
    raise SampleError(f"{given} is not {HELP}")


def labels_of(data: Any, column: str, name: str) -> NDArray[np.int64]:
    """Codes (n,) of the labels in a column of a frame, or of a file.

    Raises SampleError if there is no such column.
    """
    if isinstance(data, str | Path):
        return open_file(data, name, Selection(labels=column)).array[:, 0]
    if not hasattr(data, "columns") or isinstance(data, FileRows):
        raise OptionError(f"groups: {name} has no column to name; give a pair of labels, one for each row of both sets")
    if column not in list(data.columns):
        raise SampleError(f"{name}: no column is named {column!r}; there are {', '.join(map(str, data.columns))}")
    return checked_labels(data[column], name, len(data), may_be_codes=False)
