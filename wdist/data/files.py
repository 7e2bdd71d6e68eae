"""Rows of files and frames: an .npy file is mapped into memory, any other is first converted to a temporary one."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from wdist.data.advice import in_python
from wdist.data.arrays import as_array
from wdist.data.readers.base import FileFormat
from wdist.data.readers.npy import map_npy
from wdist.data.readers.parts import PartsOfFolder, parts_of_folder
from wdist.data.readers.registry import FORMATS, HELP, NPY, check_selection, of_file_name, of_first_bytes, read
from wdist.data.splits import MINIMUM_ROWS
from wdist.data.tables.by import Partition, reading_by, split_schema
from wdist.data.tables.found import DecodeError, Found
from wdist.data.tables.memory import labels_in_memory, read_array, read_memory
from wdist.data.tables.schema import TableSchema
from wdist.data.tables.writer import ArrayWriter
from wdist.definitions.reading import Reading, Selection
from wdist.errors import OptionError, SampleError

_IMAGES = (".png", ".jpg", ".jpeg")
_COMPRESSED = (".gz", ".zst", ".bz2", ".xz")
_BLOCK_ROWS = 1 << 16
_NO_LIMIT = 1 << 62  # the files are the user's own
_TEXT = (".txt", ".dat", ".tab")
_OTHERS = {
    ".xls": "save it as .xlsx or .csv",
    ".xlsb": "save it as .xlsx or .csv",
    ".ods": "save it as .xlsx or .csv",
    ".feather": "write it as .parquet",
    ".arrow": "write it as .parquet",
    ".pkl": "a pickle may run code; write it as .parquet or .npy",
    ".pickle": "a pickle may run code; write it as .parquet or .npy",
    ".jsonl": "write it as .csv or .parquet",
}
_SAME_FILE = ("st_dev", "st_ino", "st_size", "st_mtime_ns")


@dataclass(frozen=True, eq=False)
class FileRows:
    """The rows of an open file or frame, and what is known of them.

    given: what the user calls them. array: (n, ...), or what gives such rows at a slice or an index array. columns:
    their names, if they have some. table: what the columns of codes mean, unless the rows are plain numbers. notes:
    what was left out, each a sentence without the name of the set. take: the selection by which they were read, if that
    is known. known_sha256: `file_sha256`, where it is known already. digest: computes it elsewhere.
    """

    given: str
    array: Any
    columns: list[str] | None
    table: TableSchema | None = None
    notes: Sequence[str] = ()
    take: Selection | None = None
    known_sha256: str | None = None
    digest: Callable[[], str | None] | None = None

    @cached_property
    def file_sha256(self) -> str | None:
        """SHA-256 of the file's bytes; None for a folder, for standard input, and for a file that changed since."""
        return self.known_sha256 if self.digest is None else self.digest()


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
    return given if isinstance(given, str | Path) else Path(text)


@contextmanager
def refusals_of(name: str) -> Iterator[None]:
    """Puts what a coder of tables refuses into words that name the set and the arguments of Python."""
    try:
        yield
    except DecodeError as error:
        raise SampleError(f"{name}: {in_python(str(error))}") from error


def open_file(given: str | Path, name: str, take: Selection, standard_input: IO[bytes] | None = None) -> FileRows:
    """Open a file of a known format, an array of an archive as FILE.npz:NAME, or a folder of images or of Parquet.

    `standard_input` is a seekable copy of what - or a pipe stands for; it is CSV unless its first bytes say otherwise.
    Raises SampleError, in words that name the file.
    """
    with _reading(str(given), take, standard_input) as opened:
        digest = opened.digest()
        if opened.kind is NPY and take.missing == "error" and opened.source is not None:
            return FileRows(str(given), map_npy(opened.source, name, repr(str(given))), None, digest=digest)
        with tempfile.TemporaryFile() as output:  # the system deletes it once the array is no longer mapped
            found = opened.write(ArrayWriter(output.fileno(), _NO_LIMIT))
            array = map_npy(output, str(given), "the converted file")
    notes = tuple(in_python(note) for note in found.notes)
    return FileRows(str(given), array, found.columns, found.table, notes, take, digest=digest)


def convert(
    given: str | Path, output: IO[bytes], take: Selection, standard_input: IO[bytes] | None = None
) -> list[str] | None:
    """Write what `take` selects of any file that `open_file` opens as an .npy file; returns the names of its columns.

    Raises SampleError.
    """
    with _reading(str(given), take, standard_input) as opened:
        return opened.write(ArrayWriter(output.fileno(), _NO_LIMIT)).columns


@dataclass(frozen=True)
class _Opened:
    """What a path stands for: one open file, or the parts of a table in a folder."""

    kind: FileFormat
    take: Selection
    path: Path | None
    source: IO[bytes] | None = None
    folder: PartsOfFolder | None = None

    def write(self, writer: ArrayWriter) -> Found:
        if self.folder is not None:
            return self.folder.read(writer, self.take)
        assert self.source is not None  # noqa: S101 - one of the two is there
        return read(self.kind, self.source, writer, self.take)

    def digest(self) -> Callable[[], str | None] | None:
        """What computes the digest of the file, as long as it is the one that was opened."""
        if self.path is None or self.source is None or not self.path.is_file():
            return None
        path, before = self.path, os.fstat(self.source.fileno())

        def of_same_file() -> str | None:
            try:
                with path.open("rb") as file:
                    now = os.fstat(file.fileno())
                    if any(getattr(now, each) != getattr(before, each) for each in _SAME_FILE):
                        return None
                    return hashlib.file_digest(file, "sha256").hexdigest()
            except OSError:
                return None

        return of_same_file


@contextmanager
def _reading(given: str, take: Selection, standard_input: IO[bytes] | None) -> Iterator[_Opened]:
    """The open file, its format, and the selection with the array that `given` names."""
    path = Path(given)
    if standard_input is None and not path.exists() and ".npz:" in given:
        name, _, member = given.rpartition(":")
        path, take = Path(name), take.model_copy(update={"member": member})
    try:
        if standard_input is None and path.is_dir() and (folder := parts_of_folder(path)) is not None:
            yield _Opened(FORMATS["parquet"], take, None, folder=folder)
            return
        with ExitStack() as stack:
            if standard_input is not None:
                standard_input.seek(0)
                source = standard_input
            else:
                source = stack.enter_context(_opened(path))
            kind = FORMATS["images"] if path.is_dir() else of_file_name(path.name) or _recognised(source, given)
            check_selection(take, kind)
            yield _Opened(kind, take, path if standard_input is None else None, source)
    except DecodeError as error:
        raise SampleError(f"{given}: {in_python(str(error))}") from error
    except OSError as error:
        raise SampleError(f"{given}: {error.strerror or error}") from error


def is_pipe(path: Path) -> bool:
    """Whether a path is neither a file nor a folder, as what `<(command)` stands for; it can be read once only."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _opened(path: Path) -> IO[bytes]:
    if path.is_dir():
        return _zipped(path)
    if not is_pipe(path):
        return path.open("rb")
    copied = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    with path.open("rb") as pipe:
        shutil.copyfileobj(pipe, copied)
    copied.seek(0)
    return copied


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
    if given == "-" or is_pipe(Path(given)) or given.lower().endswith(_TEXT):
        return FORMATS["csv"]
    if given.lower().endswith(_COMPRESSED):
        raise SampleError(f"{given} is compressed: unpack it first, or pipe it: gunzip -c FILE | wdist ... - OTHER")
    if (
        instead := next((said for ending, said in _OTHERS.items() if given.lower().endswith(ending)), None)
    ) is not None:
        raise SampleError(f"{given} cannot be read here: {instead}")
    raise SampleError(f"{given} is not {HELP}")


def labels_of(data: Any, column: str, name: str, reading: Reading | None = None) -> NDArray[np.int64]:
    """Codes (n,) of the labels in a column of a frame, or of a file, for the rows that the reading keeps.

    Raises SampleError if there is no such column, or a label is missing.
    """
    take = Selection.of(reading or Reading())
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


def split_by(
    data: Any,
    by: str,
    reading: Reading,
    *,
    levels: Sequence[Any] | None = None,
    reference: Any = True,
    name: str = "the table",
) -> dict[str, FileRows]:
    """The rows of a table by the levels of its column `by`, in the order of the levels, without this column.

    levels, reference: as in `wdist.data.tables.by.Partition.of`. Raises SampleError, OptionError.
    """
    rows = coded(data, name, Selection.of(reading_by(reading, by)))
    return split_rows(rows, by, partition_of(rows, by, levels, reference))


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
    return {
        level: replace(rows, given=level, array=part, columns=names, table=table)
        for level, part in partition.parts(ordered).items()
    }
