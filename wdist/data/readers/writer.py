"""The array that a decoder writes: an .npy file whose number of rows is known at the end."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class DecodeError(Exception):
    """The body cannot become a sample set; the message names the part and the next action."""


class TooLargeError(DecodeError):
    """The body unpacks to more than an upload may have."""


class ArrayWriter:
    """Appends rows to an .npy file that is already open for writing.

    Raises TooLargeError before more than `max_bytes` are written, whatever the archive declared.
    """

    def __init__(self, descriptor: int, max_bytes: int) -> None:
        self._descriptor = descriptor
        self.max_bytes = max_bytes
        self._taken = 0
        self._row_shape: tuple[int, ...] = ()
        self._dtype = np.dtype(np.float64)
        self._rows = 0

    def begin(self, row_shape: Sequence[int], dtype: np.dtype[Any]) -> None:
        """Declare what every row is."""
        self._row_shape, self._dtype = tuple(row_shape), dtype
        self.raw(self._header())

    def append(self, rows: NDArray[Any]) -> None:
        """Add rows (k, *row_shape)."""
        if rows.shape[1:] != self._row_shape:
            raise DecodeError(f"row {self._rows} has shape {rows.shape[1:]}, those before have {self._row_shape}")
        self._rows += len(rows)
        self.raw(np.ascontiguousarray(rows, dtype=self._dtype).reshape(-1).view(np.uint8).data)

    def end(self) -> None:
        """Write the header."""
        end = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        os.lseek(self._descriptor, 0, os.SEEK_SET)  # Windows has no pwrite
        os.write(self._descriptor, self._header())
        os.lseek(self._descriptor, end, os.SEEK_SET)

    def _header(self) -> bytes:
        """As numpy.save writes it, so that the same array is the same file in whatever format it came.

        Of one length for any number of rows: numpy leaves room for 21 digits of them.
        """
        header = io.BytesIO()
        described = {"descr": self._dtype.str, "fortran_order": False, "shape": (self._rows, *self._row_shape)}
        np.lib.format.write_array_header_1_0(header, described)
        return header.getvalue()

    def raw(self, data: bytes | memoryview) -> None:
        """Add bytes as they are."""
        self._taken += len(data)
        if self._taken > self.max_bytes:
            raise TooLargeError(f"it unpacks to more than the {self.max_bytes:,} bytes that a sample set may have")
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
