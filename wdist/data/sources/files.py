"""Rows of files: an .npy file is mapped into memory, any other is first converted to a temporary one."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO, Any

from wdist.data.readers.base import FileFormat
from wdist.data.readers.columnar.parts import PartsOfFolder, parts_of_folder
from wdist.data.readers.npy import map_npy
from wdist.data.readers.registry import (
    FORMATS,
    HELP,
    NPY,
    check_selection,
    instead_of,
    of_file_name,
    of_first_bytes,
    read,
)
from wdist.data.sources.advice import in_python
from wdist.data.tables.found import DecodeError, Found
from wdist.data.tables.kept import KeptRows
from wdist.data.tables.schema import TableSchema
from wdist.data.tables.writer import ArrayWriter
from wdist.definitions.reading import Selection
from wdist.errors import SampleError

_COMPRESSED = (".gz", ".zst", ".bz2", ".xz")
_NO_LIMIT = 1 << 62  # the files are the user's own
_LOOKED_AT = 10_000  # names in a folder, among which one like that of a missing file is sought
_SAME_FILE = ("st_dev", "st_ino", "st_size", "st_mtime_ns")


@dataclass(frozen=True, eq=False)
class FileRows:
    """The rows of an open file or frame, and what is known of them. `given` is what the user calls it.

    array: (n, ...), or what gives such rows at a slice or an index array. columns: their names, if they have some.
    table: what the columns of codes mean, unless the rows are plain numbers. notes: what was left out, in sentences.
    take: the selection by which it was read, if that is known. digest: computes `file_sha256`.
    kept: which rows of the file or frame these are, if rows were left out and it is known.
    """

    given: str
    array: Any
    columns: list[str] | None
    table: TableSchema | None = None
    notes: Sequence[str] = ()
    take: Selection | None = None
    digest: Callable[[], str | None] | None = None
    kept: KeptRows | None = None

    @cached_property
    def file_sha256(self) -> str | None:
        """SHA-256 of the file's bytes; None for a folder, for standard input, and for a file that changed since."""
        return None if self.digest is None else self.digest()


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
    return FileRows(str(given), array, found.columns, found.table, notes, take, digest, found.kept)


@dataclass(frozen=True)
class _Opened:
    """What a path stands for: one open file, the parts of a table in a folder, or a folder of images."""

    kind: FileFormat
    take: Selection
    path: Path | None
    source: IO[bytes] | None = None
    folder: PartsOfFolder | None = None
    images: Path | None = None

    def write(self, writer: ArrayWriter) -> Found:
        if self.folder is not None:
            return self.folder.read(writer, self.take)
        source = self.images or self.source
        assert source is not None  # noqa: S101 - one of the three is there
        return read(self.kind, source, writer, self.take)

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
        if standard_input is None and path.is_dir():
            if (folder := parts_of_folder(path)) is not None:
                yield _Opened(FORMATS["parquet"], take, None, folder=folder)
                return
            check_selection(take, FORMATS["images"])
            yield _Opened(FORMATS["images"], take, None, images=path)
            return
        with ExitStack() as stack:
            if standard_input is not None:
                standard_input.seek(0)
                source = standard_input
            elif (copy := stack.enter_context(copied_pipe(path))) is not None:
                source = copy
            else:
                source = stack.enter_context(path.open("rb"))
            kind = of_file_name(path.name) or _recognised(source, given)
            check_selection(take, kind)
            yield _Opened(kind, take, path if standard_input is None else None, source)
    except DecodeError as error:
        raise SampleError(f"{given}: {in_python(str(error))}") from error
    except OSError as error:
        near = near_file(path) if isinstance(error, FileNotFoundError) else ""
        raise SampleError(f"{given}: {error.strerror or error}{near}") from error


def near_file(path: Path) -> str:
    """What to say of a file that is not there, where its folder has one of a name like it."""
    try:
        files = sorted(islice(path.parent.iterdir(), _LOOKED_AT), key=lambda each: each.suffix == path.suffix)
    except OSError:
        return ""
    names = {each.stem.lower(): each.name for each in files}  # of equal stems the one with the same suffix
    near = get_close_matches(path.stem.lower(), names, 1, 0.75)
    return f"; did you mean {path.with_name(names[near[0]])}?" if near else ""


def is_pipe(path: Path) -> bool:
    """Whether a path is neither a file nor a folder, as what `<(command)` stands for; it can be read once only."""
    return path.exists() and not path.is_file() and not path.is_dir()


@contextmanager
def copied_pipe(path: Path) -> Iterator[IO[bytes] | None]:
    """A copy of what a pipe gives, in a temporary file; None for a path that is no pipe. Raises SampleError."""
    if not is_pipe(path):
        yield None
        return
    with tempfile.TemporaryFile() as copy:
        try:
            with path.open("rb") as pipe:
                shutil.copyfileobj(pipe, copy)
        except OSError as error:
            raise SampleError(f"{path}: {error.strerror or error}") from error
        copy.seek(0)
        yield copy


def _recognised(source: IO[bytes], given: str) -> FileFormat:
    """The format of a file by its first bytes; an unrecognised one is CSV if it has no name, otherwise refused."""
    if (kind := of_first_bytes(source)) is not None:
        return kind
    if given == "-" or is_pipe(Path(given)):
        return FORMATS["csv"]
    if given.lower().endswith(_COMPRESSED):
        raise SampleError(f"{given} is compressed: unpack it first, or pipe it: gunzip -c FILE | wdist ... - OTHER")
    if (instead := instead_of(given)) is not None:
        raise SampleError(f"{given} cannot be read here: {instead}")
    raise SampleError(f"{given} is not {HELP}")
