"""The array that a decoder writes: an .npy file whose number of rows is known at the end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEADER_BYTES = 256  # room for any shape; a multiple of 64, as numpy aligns


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
        self.raw(b" " * _HEADER_BYTES)

    def append(self, rows: NDArray[Any]) -> None:
        """Add rows (k, *row_shape)."""
        if rows.shape[1:] != self._row_shape:
            raise DecodeError(f"row {self._rows} has shape {rows.shape[1:]}, those before have {self._row_shape}")
        self._rows += len(rows)
        self.raw(np.ascontiguousarray(rows, dtype=self._dtype).reshape(-1).view(np.uint8).data)

    def end(self) -> None:
        """Write the header."""
        shape = "".join(f"{extent}, " for extent in (self._rows, *self._row_shape))
        text = f"{{'descr': '{self._dtype.str}', 'fortran_order': False, 'shape': ({shape}), }}"
        size = _HEADER_BYTES - 10
        header = b"\x93NUMPY\x01\x00" + size.to_bytes(2, "little") + text.ljust(size - 1).encode() + b"\n"
        os.pwrite(self._descriptor, header, 0)

    def raw(self, data: bytes | memoryview) -> None:
        """Add bytes as they are."""
        self._taken += len(data)
        if self._taken > self.max_bytes:
            raise TooLargeError(f"it unpacks to more than the {self.max_bytes:,} bytes that a sample set may have")
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
