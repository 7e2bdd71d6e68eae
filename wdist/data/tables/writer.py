"""Writes a decoded array whose number of rows is known only at the end: to an .npy file, or to memory."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wdist.data.tables.found import DecodeError, TooLargeError


def npy_header(dtype: np.dtype[Any], shape: Sequence[int]) -> bytes:
    """The header that numpy.save would write, so that an array gives the same file whatever format it came in.

    Its length does not depend on the number of rows: numpy leaves room for 21 digits.
    """
    header = io.BytesIO()
    described = {"descr": dtype.str, "fortran_order": False, "shape": tuple(shape)}
    np.lib.format.write_array_header_1_0(header, described)
    return header.getvalue()


class RowWriter(Protocol):
    """What a coder of tables writes to."""

    def begin(self, row_shape: Sequence[int], dtype: np.dtype[Any]) -> None:
        """Set the shape and type of the rows."""

    def append(self, rows: NDArray[Any]) -> None:
        """Append rows (k, *row_shape)."""

    def end(self) -> None:
        """Finish the array."""


class MemoryWriter:
    """Appends rows to an array in memory, for a source that says beforehand how many rows it has at most."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self.array: NDArray[Any] = np.empty((0, 0))

    def begin(self, row_shape: Sequence[int], dtype: np.dtype[Any]) -> None:
        self.array = np.empty((self._most, *row_shape), dtype=dtype)

    def append(self, rows: NDArray[Any]) -> None:
        self.array[self._taken : self._taken + len(rows)] = rows
        self._taken += len(rows)

    def end(self) -> None:
        """Cut `array` to the rows that were written."""
        self.array = self.array[: self._taken]


class ArrayWriter:
    """Appends rows to an .npy file that is already open for writing.

    Raises TooLargeError before more than `max_bytes` are written, whatever size the archive declared.
    """

    def __init__(self, descriptor: int, max_bytes: int) -> None:
        self._descriptor = descriptor
        self.max_bytes = max_bytes
        self._taken = 0
        self._row_shape: tuple[int, ...] = ()
        self._dtype = np.dtype(np.float64)
        self._rows = 0

    def begin(self, row_shape: Sequence[int], dtype: np.dtype[Any]) -> None:
        """Set the shape and type of the rows, and write a provisional header."""
        self._row_shape, self._dtype = tuple(row_shape), dtype
        self.raw(npy_header(self._dtype, (self._rows, *self._row_shape)))

    def append(self, rows: NDArray[Any]) -> None:
        """Append rows (k, *row_shape)."""
        if rows.shape[1:] != self._row_shape:
            raise DecodeError(f"row {self._rows} has shape {rows.shape[1:]}, those before have {self._row_shape}")
        self._rows += len(rows)
        self.raw(np.ascontiguousarray(rows, dtype=self._dtype).reshape(-1).view(np.uint8).data)

    def end(self) -> None:
        """Write the header."""
        end = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        os.lseek(self._descriptor, 0, os.SEEK_SET)  # Windows has no pwrite
        os.write(self._descriptor, npy_header(self._dtype, (self._rows, *self._row_shape)))
        os.lseek(self._descriptor, end, os.SEEK_SET)

    def raw(self, data: bytes | memoryview) -> None:
        """Append bytes unchanged."""
        self._taken += len(data)
        if self._taken > self.max_bytes:
            raise TooLargeError(f"it unpacks to more than the {self.max_bytes:,} bytes that a sample set may have")
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
