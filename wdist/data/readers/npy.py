"""A strict .npy reader: no pickle, only numbers, and the file size must match the header."""

import ast
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from wdist.data.memory.arrays import refused_type
from wdist.data.tables.columns import NUMERIC_KINDS
from wdist.errors import SampleError

HEADER_LIMIT = 10_000  # bytes; numpy writes 118 for a plain array and has the same limit


@dataclass(frozen=True)
class NpyHeader:
    """The header of a .npy file: element type, shape, memory order, and the offset of the data in bytes."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran_order: bool
    offset: int

    @property
    def data_bytes(self) -> int:
        """Exact number of data bytes that must follow the header."""
        count = 1
        for extent in self.shape:  # Python integers: a hostile shape cannot overflow
            count *= extent
        return count * self.dtype.itemsize


def read_header(stream: IO[bytes], where: str) -> NpyHeader:
    """Parse and check the header of a .npy stream (format versions 1.0 to 3.0).

    `where` names the array in messages. Raises SampleError if the stream is not a .npy file of plain numbers.
    """
    magic = stream.read(8)
    if magic[:6] != b"\x93NUMPY":
        raise SampleError(f"{where}: not a .npy file (it starts with {magic[:6]!r}); write it with numpy.save")
    if len(magic) < 8 or magic[6] not in (1, 2, 3) or magic[7] != 0:
        raise SampleError(f"{where}: unknown or truncated .npy version; write it again with numpy.save")
    size_format = "<H" if magic[6] == 1 else "<I"
    size_field = stream.read(struct.calcsize(size_format))
    if len(size_field) != struct.calcsize(size_format):
        raise SampleError(f"{where}: the file ends inside its .npy header; copy or upload it again")
    (size,) = struct.unpack(size_format, size_field)
    if size > HEADER_LIMIT:
        raise SampleError(f"{where}: its .npy header claims {size:,} bytes, the limit is {HEADER_LIMIT:,}")
    text = stream.read(size)
    if len(text) != size:
        raise SampleError(f"{where}: the file ends inside its .npy header; copy or upload it again")
    dtype, shape, fortran_order = _parse(text, where)
    return NpyHeader(dtype, shape, fortran_order, 8 + len(size_field) + size)


def _parse(text: bytes, where: str) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    """Parse the header's dictionary and check its three fields."""
    broken = f"{where}: malformed .npy header; write the file again with numpy.save"
    try:
        fields = ast.literal_eval(text.decode("utf-8"))
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise SampleError(broken) from error
    if not isinstance(fields, dict) or set(fields) != {"descr", "fortran_order", "shape"}:
        raise SampleError(broken)
    shape, descr, fortran_order = fields["shape"], fields["descr"], fields["fortran_order"]
    if not isinstance(shape, tuple) or not all(type(extent) is int and extent >= 0 for extent in shape):
        raise SampleError(broken)
    if not isinstance(fortran_order, bool):
        raise SampleError(broken)
    if not isinstance(descr, str):
        raise SampleError(f"{where}: structured (record) arrays are not supported; save a plain 2-D array of numbers")
    try:
        dtype = np.dtype(descr)
    except (TypeError, ValueError, SyntaxError) as error:
        raise SampleError(broken) from error
    if dtype.kind not in NUMERIC_KINDS:
        told = refused_type(dtype, len(shape)) or (
            f"elements of type {descr!r} are not real numbers; save numbers, as x.astype('float64') makes of text and "
            "objects that are numbers"
        )
        raise SampleError(f"{where}: {told}")
    return dtype, shape, fortran_order


def open_npy(path: Path, where: str) -> np.ndarray[Any, np.dtype[Any]]:
    """Check the header and the exact length of a .npy file, then memory-map it read-only.

    Raises SampleError if it is not a complete .npy file of numbers.
    """
    try:
        with path.open("rb") as stream:
            return map_npy(stream, where, repr(str(path)))
    except OSError as error:
        raise SampleError(f"{where}: cannot read {str(path)!r}: {error.strerror or error}") from error


def map_npy(stream: IO[bytes], where: str, shown: str) -> np.ndarray[Any, np.dtype[Any]]:
    """As `open_npy`, for an open file that messages call `shown`. The mapping outlives the file object."""
    stream.seek(0)
    header = read_header(stream, where)
    actual = stream.seek(0, 2) - header.offset
    if actual != header.data_bytes:
        state = "truncated" if actual < header.data_bytes else "longer than declared"
        raise SampleError(
            f"{where}: {shown} is {state}: its header promises {header.data_bytes:,} bytes of data, "
            f"{actual:,} are there; copy or upload it again"
        )
    if header.data_bytes == 0:  # an empty file cannot be mapped
        return np.zeros(header.shape, dtype=header.dtype)
    order: Any = "F" if header.fortran_order else "C"
    return np.memmap(stream, dtype=header.dtype, mode="r", offset=header.offset, shape=header.shape, order=order)
