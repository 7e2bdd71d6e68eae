"""Turn arrays (numpy, torch, pandas, polars) and paths into the bytes of one file, without a second copy."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import weakref
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from wdist_client.errors import SampleError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

CHUNK = 1 << 20
NPY_MAGIC = b"\x93NUMPY"
IMAGES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Payload:
    """The bytes of a file, which can be read again for a retry.

    Attributes:
        length: bytes in all.
        label: what a progress bar calls it.
        open: starts reading at an offset; yields blocks.
        data: the array or the path of the file, for a local client, which does not send them.
        file_name: of a file whose bytes are sent unread, by which the server knows its format; None for .npy bytes.
    """

    length: int
    label: str
    open: Callable[[int], Iterator[bytes]] = field(repr=False)
    data: Any = field(repr=False)
    file_name: str | None = None

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


def payload(data: Any, name: str | None = None) -> Payload:
    """The payload of `data`: an array-like of numbers, rows first, or the path of a file that a server reads.

    Raises SampleError if the data is not an array of numbers, naming the column if there is one.
    """
    if isinstance(data, str | os.PathLike):
        return _from_path(Path(data), name)
    return _from_array(as_array(data), name)


def as_array(data: Any) -> Array:
    """`data` as a numpy array of numbers: numpy, torch, pandas, polars, or anything numpy understands."""
    import numpy as np

    module = type(data).__module__.partition(".")[0]
    if module == "torch":
        data = _from_torch(data)
    elif module in ("pandas", "polars"):
        data = _from_frame(data)
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise SampleError(f"the data is not one array of numbers: {error}") from error
    if array.dtype.kind not in "fiub":
        raise SampleError(f"the data has dtype {array.dtype}; a sample set holds numbers: convert it, rows first")
    if array.ndim == 0:
        raise SampleError("the data is a single number; a sample set is an array with one row per sample")
    if np.ma.is_masked(data):
        raise SampleError(_masked_message(np.ma.getmaskarray(data)))
    return array


def _masked_message(mask: Array) -> str:
    row, *rest = (int(axis[0]) for axis in mask.nonzero())
    where = f", column {rest[0]}" if len(rest) == 1 else f", at {tuple(rest)}" if rest else ""
    return f"the value in row {row}{where} is masked; remove or impute such rows"


def check_values(rows: Array, start: int, names: Sequence[str] | None) -> None:
    """Raise SampleError for a value that is not finite, or beyond float32. `start` is the number of the first row."""
    import numpy as np

    limit = np.finfo(np.float32).max
    if rows.dtype.kind != "f" or bool(np.all(np.abs(rows) <= limit)):
        return
    row, *rest = (int(i) for i in np.argwhere(~(np.abs(rows) <= limit))[0])
    value, place = rows[row, *rest], f", at {tuple(rest)}" if rest else ""
    if len(rest) == 1:
        place = f", column {rest[0] if names is None or names[rest[0]] == str(rest[0]) else repr(names[rest[0]])}"
    reason = (
        "beyond the range of float32; rescale it" if np.isfinite(value) else "not finite; remove or impute such rows"
    )
    raise SampleError(f"rows: the value {value} in row {start + row}{place} is {reason}")


def _from_torch(tensor: Any) -> Any:
    tensor = tensor.detach().cpu()
    # numpy has no bfloat16; float32 holds every bfloat16 exactly.
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()


def _from_frame(frame: Any) -> Any:
    """Values of a pandas or polars frame or series; the first column that is not numeric is named."""
    if hasattr(frame, "columns"):
        names = list(map(str, frame.columns))
        if len(set(names)) < len(names):
            twice = next(name for k, name in enumerate(names) if name in names[:k])
            raise SampleError(f"more than one column is named {twice!r}; give each a name of its own")
        for column in frame.columns:
            _numeric(frame[column], str(column))
        if type(frame).__module__.startswith("pandas"):
            return frame.to_numpy(dtype=_common_dtype(frame), na_value=float("nan"))
        return frame.to_numpy()
    _numeric(frame, str(frame.name))
    return frame.to_numpy()


def _common_dtype(frame: Any) -> Any:
    """One numpy dtype for all columns; float64 where a column can hold missing values."""
    import numpy as np

    kinds = [d if isinstance(d, np.dtype) else np.dtype("float64") for d in frame.dtypes]
    return np.result_type(*kinds) if kinds else np.dtype("float64")


def _numeric(column: Any, name: str) -> None:
    dtype = column.dtype
    is_numeric = dtype.is_numeric if hasattr(dtype, "is_numeric") else None  # polars
    numeric = is_numeric() if is_numeric else getattr(dtype, "kind", "O") in "fiub"
    if not numeric:
        raise SampleError(f'column "{name}" is {dtype}, not numbers: drop it or encode it first')


def _from_array(array: Array, name: str | None) -> Payload:
    import numpy as np

    # C order and little-endian, which every reader of the format supports.
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    head = header.getvalue()

    def read(start: int) -> Iterator[bytes]:
        if start < len(head):
            yield head[start:]
        if not array.size:
            return
        whole = memoryview(array.reshape(-1).view(np.uint8).data)
        for begin in range(max(0, start - len(head)), len(whole), CHUNK):
            yield bytes(whole[begin : begin + CHUNK])

    return Payload(len(head) + array.nbytes, name or "samples", read, array)


def _from_path(path: Path, name: str | None) -> Payload:
    if path.is_dir():
        return _from_folder(path, name)
    try:
        length = path.stat().st_size
        with path.open("rb") as file:
            magic = file.read(len(NPY_MAGIC))
    except OSError as error:
        raise SampleError(f"cannot read {path}: {error.strerror or error}") from error
    if path.suffix.lower() == ".npy" and magic != NPY_MAGIC:
        raise SampleError(f"{path} is not an .npy file: load it and pass the array, or write one with numpy.save(...)")

    def read(start: int) -> Iterator[bytes]:
        left = length - start  # stop at the declared length, even if the file grows
        with path.open("rb") as file:
            file.seek(start)
            while left and (block := file.read(min(CHUNK, left))):
                left -= len(block)
                yield block

    return Payload(length, name or path.name, read, path, None if magic == NPY_MAGIC else path.name)


def _from_folder(path: Path, name: str | None) -> Payload:
    """The PNG and JPEG files of a folder, in the order of their names, as a zip archive."""
    images = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGES)
    if not images:
        raise SampleError(f"{path} holds no {', '.join(IMAGES)} files")
    # The file is unnamed and closed with the payload. Stored, not deflated: images are already compressed.
    archive: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - the payload keeps it
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as entries:
        for file in images:
            # One date for all: the same images give the same bytes.
            entries.writestr(zipfile.ZipInfo(file.name), file.read_bytes())
    length = archive.tell()

    def read(start: int) -> Iterator[bytes]:
        for at in range(start, length, CHUNK):
            archive.seek(at)  # each time: an earlier attempt may have been left in the middle
            yield archive.read(CHUNK)

    made = Payload(length, name or path.name, read, path, f"{path.name}.zip")
    weakref.finalize(made, archive.close)
    return made
