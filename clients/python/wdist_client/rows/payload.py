"""Turn arrays, frames and paths into the bytes of one file, without a second copy of an array."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import chain, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from wdist_client.errors import SampleError
from wdist_client.rows import reading
from wdist_client.rows.arrays import as_array
from wdist_client.rows.frames import Frame, frame_of
from wdist_client.rows.images import pack
from wdist_client.rows.objects import AnnotatedFrame, checked_sparse, dense_blocks, is_annotated, is_sparse
from wdist_client.rows.parts import Parts

if TYPE_CHECKING:
    from wdist_client.rows.arrays import Array

CHUNK = 1 << 20
NPY_MAGIC = b"\x93NUMPY"
_TEXT = (".txt", ".dat", ".tab")  # CSV, to the server
_LOOKED_AT = 10_000  # names in a folder, among which one like that of a missing file is sought
_OTHERS = {
    **dict.fromkeys((".xls", ".xlsb", ".ods"), "save it as .xlsx or .csv"),
    **dict.fromkeys((".feather", ".arrow"), "write it as .parquet"),
    **dict.fromkeys((".pkl", ".pickle"), "a pickle may run code; write it as .parquet or .npy"),
    ".jsonl": "write it as .csv or .parquet",
}


@dataclass(frozen=True)
class Payload:
    """The bytes of a file, which can be read again for a retry.

    Attributes:
        length: bytes in all.
        label: what a progress bar calls it.
        open: starts reading at an offset; yields blocks.
        data: the array, the path of the file, or the open file, for a local client, which does not send them.
        file_name: of a file whose bytes are sent unread, by which the server knows its format; None for .npy bytes.
        columns: the names of the columns of an array, if they have some.
        reading: what the server is asked to do beside storing the bytes.
        notes: what was left out here, where the server cannot see it.
    """

    length: int
    label: str
    open: Callable[[int], Iterator[bytes]] = field(repr=False)
    data: Any = field(repr=False)
    file_name: str | None = None
    columns: list[str] | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def blocks(self, seen: Callable[[int], object] | None = None, start: int = 0) -> Iterator[bytes]:
        """All bytes from `start` on in blocks of at most 1 MiB; `seen` is told how many bytes each block had."""
        for block in self.open(start):
            yield block
            if seen is not None:
                seen(len(block))

    def sha256(self, seen: Callable[[int], object] | None = None) -> bytes:
        """Digest of the whole file, by which the server identifies a sample set."""
        digest = hashlib.sha256()
        for block in self.blocks(seen):
            digest.update(block)
        return digest.digest()


def payload(data: Any, name: str | None = None, *, with_names: bool = False, **options: Any) -> Payload:
    """The payload of `data`: an array-like of numbers, rows first, a frame, or the path of a file that a server reads.

    with_names: whether the bytes of a frame hold the names of its columns, as those of an array do not. options: the
    reading. Columns of a frame are chosen here, so that those left out are not sent.

    Raises SampleError if the data cannot become a sample set, naming the column if there is one, and OptionError for an
    option that is none of a reading.
    """
    take = reading.checked(options)
    if isinstance(data, str | os.PathLike):
        return _from_path(_path(data), name, take)
    if is_sparse(data):
        return _from_sparse(checked_sparse(data, take), name, take)
    if is_annotated(data):
        frame: Frame | None = AnnotatedFrame.of(data, take)
        take.pop("embedding", None)
    else:
        frame = frame_of(data)
    if frame is not None:
        return _from_frame(frame, name, take, with_names=with_names)
    array = as_array(data, masked_is_missing="missing" in take)
    if array.ndim == 0 or array.ndim > 4:
        raise SampleError(
            f"the data: an array of shape {array.shape} is neither a table (n, d) nor images (n, h, w[, c]); reshape it"
        )
    return _from_array(array, name, take)


def _from_frame(frame: Frame, name: str | None, take: Mapping[str, Any], *, with_names: bool) -> Payload:
    places, left = reading.chosen(frame.names, take, has_names=frame.has_names)
    frame = frame.chosen(places)
    is_plain = not with_names and not reading.of_a_table(left)
    if frame.has_index or reading.are_bookkeeping(
        frame.names
    ):  # the server leaves such a column out, unless it is asked for by name
        is_plain = "columns" in take
    if is_plain and (values := frame.numbers()) is not None:
        if frame.is_column:
            return _from_array(values[:, 0], name, left)
        columns = frame.names if frame.has_names else None
        send = _from_sparse if is_sparse(values) else _from_array
        return send(values, name, left, columns)
    if "columns" in take:
        left["columns"] = frame.names
    return _from_file(frame.write, name, "samples.parquet", left)


def _from_array(array: Array, name: str | None, take: Mapping[str, Any], columns: list[str] | None = None) -> Payload:
    import numpy as np

    # C order and little-endian, which every reader of the format supports.
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    head = _head(array.shape, array.dtype)

    def read(start: int) -> Iterator[bytes]:
        if start < len(head):
            yield head[start:]
        if not array.size:
            return
        whole = memoryview(array.reshape(-1).view(np.uint8).data)
        for begin in range(max(0, start - len(head)), len(whole), CHUNK):
            yield bytes(whole[begin : begin + CHUNK])

    return Payload(len(head) + array.nbytes, name or "samples", read, array, columns=columns, reading=take)


def _from_sparse(rows: Any, name: str | None, take: Mapping[str, Any], columns: list[str] | None = None) -> Payload:
    """A sparse matrix as the array that it stands for, made dense block by block."""
    head, blocks = _head(tuple(map(int, rows.shape)), rows.dtype.newbyteorder("<")), dense_blocks(rows)

    def read(start: int) -> Iterator[bytes]:
        at = 0
        for block in chain([head], blocks()):
            if at + len(block) > start:
                yield block[max(0, start - at) :]
            at += len(block)

    length = len(head) + rows.shape[0] * rows.shape[1] * rows.dtype.itemsize
    return Payload(length, name or "samples", read, rows, columns=columns, reading=take)


def _head(shape: tuple[int, ...], dtype: Any) -> bytes:
    """The header of an .npy file."""
    import numpy as np

    header = io.BytesIO()
    described = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    return header.getvalue()


def _path(given: str | os.PathLike[Any]) -> Path:
    """A path as the user gave it. Raises SampleError for text that can be none."""
    text = os.fsdecode(given)
    if not text or "\0" in text:
        raise SampleError(f"{text[:60]!r} is no path of a file: give that of an .npy, .csv or other file, or the rows")
    try:
        Path(text).exists()
    except OSError as error:
        raise SampleError(f"{text[:60]!r}... is no path of a file: {error.strerror or error}") from error
    return Path(text)


def refuse_absent(sets: Iterable[Any]) -> None:
    """Raise SampleError for a path that leads nowhere, before anything is read or sent."""
    for data in sets:
        if isinstance(data, str | os.PathLike) and not (path := _path(data)).exists():
            _from_path(path, None, {})


def _near_file(path: Path) -> str:
    """What to say of a file that is not there, where its folder has one of a name like it."""
    try:
        files = sorted(islice(path.parent.iterdir(), _LOOKED_AT), key=lambda each: each.suffix == path.suffix)
    except OSError:
        return ""
    names = {each.stem.lower(): each.name for each in files}  # of equal stems the one with the same suffix
    near = get_close_matches(path.stem.lower(), names, 1, 0.75)
    return f"; did you mean {path.with_name(names[near[0]])}?" if near else ""


def _from_path(path: Path, name: str | None, take: Mapping[str, Any]) -> Payload:
    if path.is_dir():
        if (parts := Parts.of(path)) is not None:
            return _from_file(parts.write, name or path.name, f"{path.name}.parquet", take, list(parts.notes))
        return _from_folder(path, name, take)
    try:
        length = path.stat().st_size
        with path.open("rb") as file:
            magic = file.read(len(NPY_MAGIC))
    except OSError as error:
        near = _near_file(path) if isinstance(error, FileNotFoundError) else ""
        raise SampleError(f"cannot read {path}: {error.strerror or error}{near}") from error
    if path.suffix.lower() == ".npy" and magic != NPY_MAGIC:
        raise SampleError(f"{path} is not an .npy file: load it and pass the array, or write one with numpy.save(...)")

    def read(start: int) -> Iterator[bytes]:
        left = length - start  # stop at the declared length, even if the file grows
        with path.open("rb") as file:
            file.seek(start)
            while left and (block := file.read(min(CHUNK, left))):
                left -= len(block)
                yield block

    if (instead := _OTHERS.get(path.suffix.lower())) is not None:
        raise SampleError(f"{path} cannot be read here: {instead}")
    file_name = f"{path.name}.csv" if path.suffix.lower() in _TEXT else path.name
    return Payload(length, name or path.name, read, path, None if magic == NPY_MAGIC else file_name, reading=take)


def _from_folder(path: Path, name: str | None, take: Mapping[str, Any]) -> Payload:
    """The images of a folder as a zip archive."""
    notes: list[str] = []
    left = {option: value for option, value in take.items() if option != "subfolders"}

    def write(file: IO[bytes]) -> None:
        notes.extend(pack(path, file, subfolders=bool(take.get("subfolders"))))

    return _from_file(write, name or path.name, f"{path.name}.zip", left, notes)


def _from_file(
    write: Callable[[IO[bytes]], None],
    name: str | None,
    file_name: str,
    take: Mapping[str, Any],
    notes: list[str] | None = None,
) -> Payload:
    """A temporary file that `write` fills. It has no name, and is closed with the payload."""
    file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - the payload keeps it
    try:
        write(file)
    except BaseException:
        file.close()
        raise
    length = file.seek(0, os.SEEK_END)

    def read(start: int) -> Iterator[bytes]:
        for at in range(start, length, CHUNK):
            file.seek(at)  # each time: an earlier attempt may have been left in the middle
            yield file.read(CHUNK)

    made = Payload(length, name or "samples", read, file, file_name, reading=take, notes=tuple(notes or ()))
    weakref.finalize(made, file.close)
    return made
