"""The rows of a certificate: read from .npy, digested, and converted to the critic's input."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .container import CannotCheckError, CertificateError, shown
from .rounding import NORM_ROUNDING, UNDERFLOW, U, row_norms

OTHER_FILES = "the command `wdist verify` reads tables and other files, and Python functions take arrays"
LARGEST = float(np.finfo(np.float32).max)  # of the values of rows
BLOCK_BYTES = 16 << 20  # of rows held at once
FITTED = ("standardize", "reference")  # scales whose divisors and centre are of rows: of both sets, or of the first


def open_rows(data: Any) -> NDArray[Any]:
    """An array, or the memory-mapped content of a .npy file. Raises CannotCheckError for anything else."""
    if isinstance(data, str | Path):
        try:
            data = np.lib.format.open_memmap(data, mode="r")
        except OSError as error:
            raise CannotCheckError(f"cannot read rows from {str(data)!r}: {error.strerror or error}") from error
        except ValueError as error:
            raise CannotCheckError(f"{str(data)!r} is not a .npy file of numbers; {OTHER_FILES}") from error
    if np.ma.is_masked(data):
        raise CannotCheckError("the rows have masked values, which are not numbers: remove such rows")
    try:
        array = np.asarray(data)
    except (ValueError, TypeError) as error:
        raise CannotCheckError(f"the rows are not an array: {error}") from error
    if array.dtype.kind not in "fiub" or not 1 <= array.ndim <= 4:
        raise CannotCheckError(f"rows of type {array.dtype} and shape {array.shape} are not an array of real numbers")
    return array.astype(np.float64) if array.dtype.kind == "f" and array.dtype.itemsize > 8 else array


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
    def from_json(cls, stored: Any) -> "Input":
        """Read and check the fields. Raises CertificateError."""
        require_fields("the critic's input", stored, {"row_shape", "layout", "uint8", "scale"})
        scale, layout, uint8 = stored["scale"], stored["layout"], stored["uint8"]
        require_fields("the scale", scale, {"kind", "divisor", "center", "data_divisor"})
        shape, kind = stored["row_shape"], scale["kind"]
        if not (isinstance(shape, list) and len(shape) in (1, 3) and all(type(k) is int and k >= 1 for k in shape)):
            raise CertificateError(f"{shown(shape)} is no shape of a row")
        images = len(shape) == 3
        if type(uint8) is not bool or layout not in (None, "nhwc", "nchw") or (not images and (uint8 or layout)):
            raise CertificateError(f"layout {shown(layout)} and uint8 {shown(uint8)} do not fit rows of {shape}")
        if not isinstance(kind, str) or kind not in ("none", "number", "vector", *FITTED):
            raise CertificateError(f"unknown scale {shown(kind)}")
        if not is_real(scale["data_divisor"]) or scale["data_divisor"] != (255 if uint8 else 1):
            raise CertificateError(f"data_divisor {shown(scale['data_divisor'])} does not fit uint8 {uint8}")
        divisor, center = (_numbers(name, scale[name]) for name in ("divisor", "center"))
        many, centred = kind in ("vector", *FITTED), kind in FITTED
        if divisor.shape != (tuple(shape) if many else ()) or not np.all(divisor > 0):
            raise CertificateError(f"the divisor is not that of scale {kind!r}: positive, one for each number of a row")
        if kind == "none" and divisor != 1:
            raise CertificateError("a divisor other than 1 is given without a scale")
        if center.shape != (tuple(shape) if centred else ()) or (not centred and center != 0):
            raise CertificateError(f"a centre is given where scale {kind!r} has none, or has another shape")
        return cls(tuple(shape), layout, uint8, kind, divisor, center)

    def rows(self, block: NDArray[Any]) -> NDArray[np.float64]:
        """Rows (n, ...) as given -> float64 (n, *row_shape) in the user's units, before any scale."""
        image = block.ndim >= 3
        if (image and block.dtype == np.uint8) != self.uint8 or (block.ndim == 4) != (self.layout is not None):
            raise CertificateError(f"rows of type {block.dtype} and {block.ndim} axes are not what this critic takes")
        values = block.astype(np.float64)
        if self.uint8:
            values /= 255.0
        if self.layout == "nhwc":
            values = values.transpose(0, 3, 1, 2)
        shape = (1, *values.shape[1:]) if values.ndim == 3 else values.shape[1:] or (1,)
        if shape != self.row_shape:
            raise CertificateError(f"rows of shape {shape} do not fit a critic of {self.row_shape}")
        return np.ascontiguousarray(values).reshape(len(block), *self.row_shape)

    def convert(self, block: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What the critic takes, (n, *row_shape), and how far from exact arithmetic each row may be, (n,)."""
        values = self.rows(block)
        rounded = self.uint8 or (block.dtype.kind in "iu" and block.dtype.itemsize == 8)
        error = U * row_norms(values / self.divisor) if rounded else np.zeros(len(block))
        if self.kind != "none":
            values = (values - self.center) / self.divisor
            error = error + 2 * U * row_norms(values)
        return values, NORM_ROUNDING * error + UNDERFLOW

    def blocks(
        self, array: NDArray[Any], index: NDArray[np.int64] | None = None
    ) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """All rows, or those of `index` in its order, as `convert` gives them, in blocks of bounded memory."""
        total = len(array) if index is None else len(index)
        step = max(1, BLOCK_BYTES // (8 * max(1, math.prod(self.row_shape))))
        for start in range(0, total, step):
            stop = min(start + step, total)
            block = np.asarray(array[start:stop] if index is None else array[index[start:stop]])
            if not within(block):
                outside = ~np.array([within(row) for row in block])
                row = start + int(outside.argmax())
                row = row if index is None else int(index[row])
                raise CertificateError(f"row {row} holds a value that is not finite, or beyond the range of float32")
            yield self.convert(block)

    def moments(self, parts: list[tuple[NDArray[Any], NDArray[np.int64]]]) -> list[NDArray[np.float64]]:
        """Mean, population deviation and largest absolute value of each number of the rows, pooled, in their units.

        The deviation is exactly 0 where all are equal. parts: for each side its array and the numbers of its rows.
        """
        blocks = [(array, np.sort(index)[k : k + 4096]) for array, index in parts for k in range(0, len(index), 4096)]
        first = self.rows(np.asarray(blocks[0][0][blocks[0][1][:1]]))[0]
        sums, largest, count = np.zeros(self.row_shape), np.abs(first), sum(len(index) for _, index in blocks)
        for array, index in blocks:
            rows = self.rows(np.asarray(array[index]))
            sums += (rows - first).sum(axis=0)
            largest = np.maximum(largest, np.abs(rows).max(axis=0))
        shift, squares = sums / count, np.zeros(self.row_shape)
        for array, index in blocks:
            squares += np.square(self.rows(np.asarray(array[index])) - first - shift).sum(axis=0)
        return [first + shift, np.sqrt(squares / count), largest]


def within(block: NDArray[Any]) -> bool:
    """Whether all values are numbers of at most the largest that float32 has; NaN is not."""
    return not block.size or (float(block.min()) >= -LARGEST and float(block.max()) <= LARGEST)


def require_fields(what: str, stored: Any, fields: set[str]) -> None:
    """Raise CertificateError unless `stored` is an object of exactly these fields."""
    if not isinstance(stored, dict) or set(stored) != fields:
        found = sorted(stored) if isinstance(stored, dict) else stored
        raise CertificateError(f"{what} has the fields {shown(found)}, not {sorted(fields)}")


def is_real(value: Any) -> bool:
    """Whether a number of the JSON is one of the reals that a double holds, and no boolean."""
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def _numbers(name: str, value: Any) -> NDArray[np.float64]:
    """A number, or nested lists of numbers, as an array."""
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, list):
            pending.extend(each)
        elif not is_real(each):
            raise CertificateError(f"{name} holds {shown(each)}, which is no number")
    try:
        return np.asarray(value, dtype=np.float64)
    except ValueError as error:
        raise CertificateError(f"{name} is not of one shape") from error
