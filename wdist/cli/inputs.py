"""Sample sets named on the command line, as .npy files that the library maps into memory.

Files other than .npy go through the same readers as uploads to a server, without limits: they are the user's own.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from wdist.errors import SampleError

HELP = ".npy, .npz (or FILE.npz:NAME), .parquet, .csv, .zip of images, a folder of images, or - for standard input"
_ENDINGS = {".npy": "npy", ".npz": "npz", ".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".zip": "images"}
_IMAGES = (".png", ".jpg", ".jpeg")
_MAGIC = {b"\x93NUMPY": "npy", b"PAR1": "parquet"}
_HERE = {  # what the decoders say of requests, in terms of files
    "?member=NAME": "FILE.npz:NAME",
    "say with ?format= what it is": "let its name end in what it is: .npy, .npz, .parquet or .zip",
}
_NO_LIMIT = 1 << 62


@dataclass(frozen=True, eq=False)  # two sets are the same only if they are the same argument
class Input:
    """A sample set: what the user wrote, an .npy file, the names of its columns, labels of groups if asked for."""

    given: str
    path: Path
    columns: list[str] | None = None
    labels: Path | None = None


class Inputs(AbstractContextManager["Inputs"]):
    """Opens sample sets, and removes the temporary files made for them at the end.

    Args:
        drop: columns of tables that are left out.
        groups: column of tables that holds labels of groups: left out, and given as `labels`.
    """

    def __init__(self, drop: Sequence[str] = (), groups: str | None = None) -> None:
        self._drop, self._groups = tuple(drop), groups
        self._stack = ExitStack()
        self._folder: Path | None = None
        self._made = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def open(self, texts: Sequence[str]) -> list[Input]:
        """Raises SampleError, in words that name the file."""
        if texts.count("-") > 1:
            raise SampleError("only one of the sets can come from standard input")
        inputs = [self._open(text) for text in texts]
        named = [given for given in inputs if given.columns is not None]
        for other in named[1:]:
            if other.columns != named[0].columns:
                raise SampleError(f"{named[0].given} and {other.given} {_difference(named[0], other)}")
        return inputs

    def _open(self, text: str) -> Input:
        path, member = Path(text), None
        if text == "-":
            path = self._standard_input()
        elif not path.exists() and ".npz:" in text:
            name, _, member = text.rpartition(":")
            path = Path(name)
        if path.is_dir():
            return Input(text, self._decode(text, self._zipped(path), "images", None)[0])
        kind = _ENDINGS.get(path.suffix.lower()) or _sniffed(path, text)
        if kind == "npy":
            if self._groups or self._drop:
                raise SampleError(f"{text}: an .npy file has no names of columns to choose by")
            return Input(text, path)
        array, columns = self._decode(text, path, kind, member)
        if columns is None and self._groups:
            raise SampleError(f"{text}: only CSV and Parquet have a column of groups")
        labels = self._decode(text, path, kind, None, self._groups)[0] if self._groups else None
        return Input(text, array, columns, labels)

    def _new(self) -> Path:
        if self._folder is None:
            self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="wdist-")))
        self._made += 1
        return self._folder / str(self._made)

    def _standard_input(self) -> Path:
        if sys.stdin.isatty():
            raise SampleError("- reads standard input, which is your terminal: redirect a file or a pipe to it")
        path = self._new()
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        return path

    def _zipped(self, folder: Path) -> Path:
        """The images of a folder as an archive, which is what the decoder reads; stored, not deflated."""
        images = sorted(file for file in folder.iterdir() if file.suffix.lower() in _IMAGES)
        if not images:
            raise SampleError(f"{folder} holds no {', '.join(_IMAGES)} files")
        path = self._new()
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for file in images:
                archive.write(file, file.name)
        return path

    def _decode(
        self, text: str, path: Path, kind: str, member: str | None, labels: str | None = None
    ) -> tuple[Path, list[str] | None]:
        from wdist.data import readers
        from wdist.data.readers.selection import Selection
        from wdist.data.readers.writer import ArrayWriter, DecodeError

        dropped = (*self._drop, self._groups) if self._groups else self._drop
        take = Selection(member, labels, () if labels or kind not in {"csv", "parquet"} else dropped)
        target = self._new()
        try:
            with path.open("rb") as source, target.open("wb") as output:
                columns, _ = readers.decode(kind, source, ArrayWriter(output.fileno(), _NO_LIMIT), take)
        except DecodeError as error:
            message = str(error)
            for there, here in _HERE.items():
                message = message.replace(there, here)
            raise SampleError(f"{text}: {message}") from error
        except OSError as error:
            raise SampleError(f"{text}: {error.strerror or error}") from error
        return target, columns


def _difference(one: Input, other: Input) -> str:
    """What differs in the columns of two tables."""
    ours, theirs = one.columns or [], other.columns or []
    if sorted(ours) == sorted(theirs):
        return "have the same columns in another order: put them into one order"
    missing, more = [c for c in ours if c not in theirs], [c for c in theirs if c not in ours]
    return (
        f"have different columns: only the first has {', '.join(missing)[:200] or 'none more'}; "
        f"only the second has {', '.join(more)[:200] or 'none more'}"
    )


def _sniffed(path: Path, text: str) -> str:
    """The format of a file by its first bytes; an unrecognised one is CSV if it has no name, otherwise refused."""
    try:
        with path.open("rb") as file:
            start = file.read(6)
    except OSError as error:
        raise SampleError(f"{text}: {error.strerror or error}") from error
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            return kind
    if start.startswith(b"PK"):
        with zipfile.ZipFile(path) as archive:
            return "npz" if all(name.endswith(".npy") for name in archive.namelist()) else "images"
    if text != "-":
        if path.suffix.lower() in (".gz", ".zst", ".bz2", ".xz"):
            raise SampleError(f"{text} is compressed: unpack it first, or pipe it: gunzip -c FILE | wdist ... - OTHER")
        raise SampleError(f"{text} is not {HELP}")
    return "csv"
