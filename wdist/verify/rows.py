"""The rows of a certificate: read from .npy, digested, and converted to the critic's input."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .container import CannotCheckError, CertificateError

OTHER_FILES = "the command `wdist verify` reads tables and other files, and Python functions take arrays"
BLOCK_BYTES = 16 << 20  # of rows held at once


def open_rows(data: Any) -> NDArray[Any]:
    """An array, or the memory-mapped content of a .npy file. Raises CannotCheckError for anything else."""
    if isinstance(data, str | Path):
        try:
            data = np.lib.format.open_memmap(data, mode="r")
        except OSError as error:
            raise CannotCheckError(f"cannot read rows from {str(data)!r}: {error.strerror or error}") from error
        except ValueError as error:
            raise CannotCheckError(f"{str(data)!r} is not a .npy file of numbers; {OTHER_FILES}") from error
    array = np.asarray(data)
    if array.dtype.kind not in "fiub" or array.ndim == 0:
        raise CannotCheckError(f"rows of type {array.dtype} and shape {array.shape} are not an array of real numbers")
    return array


def column_names(data: Any) -> list[str] | None:
    """The names of a frame's columns, or None."""
    given = getattr(data, "column_names", None)  # pyarrow, whose `columns` are the values
    given = getattr(data, "columns", None) if given is None else given
    return None if given is None else [str(each) for each in given]


def rows_digest(array: NDArray[Any]) -> str:
    """SHA-256 of `wdist rows 1 <dtype> <shape>\\n` and the C-ordered little-endian values."""
    stored = array.dtype.newbyteorder("<") if array.dtype.byteorder == ">" else array.dtype
    digest = hashlib.sha256()
    digest.update(f"wdist rows 1 {stored.str} {'x'.join(str(extent) for extent in array.shape)}\n".encode("ascii"))
    step = max(1, BLOCK_BYTES // max(1, array[:1].nbytes))
    for start in range(0, len(array), step):
        digest.update(np.ascontiguousarray(array[start : start + step], dtype=stored).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Input:
    """How stored rows become what the critic takes; the fields of "input" in the certificate."""

    row_shape: tuple[int, ...]
    layout: str | None
    uint8: bool
    kind: str
    divisor: NDArray[np.float64]
    center: NDArray[np.float64]

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Input":
        """Read and check the fields. Raises CertificateError."""
        try:
            scale = stored["scale"]
            row_shape, layout, uint8, kind = stored["row_shape"], stored["layout"], stored["uint8"], scale["kind"]
            divisor, center = (np.asarray(scale[name], dtype=np.float64) for name in ("divisor", "center"))
            data_divisor = scale["data_divisor"]
        except (KeyError, TypeError, ValueError) as error:
            raise CertificateError(f"the description of the critic's input is incomplete: {error!r}") from error
        shape = tuple(row_shape)
        known = kind in ("none", "number", "vector", "standardize") and layout in (None, "nhwc", "nchw")
        fits = all(part.shape in ((), shape) for part in (divisor, center))
        if not (known and fits and np.all(divisor > 0) and data_divisor == (255.0 if uint8 else 1.0)):
            raise CertificateError("the description of the critic's input contradicts itself")
        return cls(shape, layout, bool(uint8), kind, divisor, center)

    def convert(self, block: NDArray[Any]) -> NDArray[np.float64]:
        """Rows (n, ...) as given -> (n, *row_shape): through float32, as the issuer's critic saw them, to float64."""
        image = block.ndim >= 3
        if (image and block.dtype == np.uint8) != self.uint8:
            raise CertificateError(f"rows of type {block.dtype} are not what this critic takes")
        values = block.astype(np.float32)
        if self.uint8:
            values /= np.float32(255.0)
        if block.ndim == 4 and self.layout == "nhwc":
            values = values.transpose(0, 3, 1, 2)
        shape = (1, *values.shape[1:]) if values.ndim == 3 else values.shape[1:] or (1,)
        if shape != self.row_shape:
            raise CertificateError(f"rows of shape {shape} do not fit a critic of {self.row_shape}")
        values = np.ascontiguousarray(values).reshape(len(block), *self.row_shape)
        if self.kind != "none":
            values = ((values.astype(np.float64) - self.center) / self.divisor).astype(np.float32)
        return values.astype(np.float64)

    def blocks(self, array: NDArray[Any], index: NDArray[np.int64] | None = None) -> Iterator[NDArray[np.float64]]:
        """All rows, or those of `index` in its order, converted in blocks of bounded memory."""
        total = len(array) if index is None else len(index)
        step = max(1, BLOCK_BYTES // (8 * max(1, int(np.prod(self.row_shape)))))
        for start in range(0, total, step):
            stop = min(start + step, total)
            block = self.convert(np.asarray(array[start:stop] if index is None else array[index[start:stop]]))
            if not np.all(np.isfinite(block)):
                row = start + int(np.argwhere(~np.isfinite(block))[0, 0])
                row = row if index is None else int(index[row])
                raise CertificateError(f"row {row} holds a value that is not finite, or beyond the range of float32")
            yield block
