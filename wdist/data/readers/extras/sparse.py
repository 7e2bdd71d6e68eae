"""Sparse matrices in HDF5 files, as AnnData stores them: rows are made dense block by block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wdist.data.tables.found import DecodeError

_WINDOW_BYTES = 128 << 20  # of rows that are made dense in one pass over a matrix that is kept by columns
_ENTRIES = 1 << 20  # that a pass takes at once
_FORMATS = {"csr_matrix": "csr", "csc_matrix": "csc", "csr": "csr", "csc": "csc"}


def is_sparse(group: Any) -> bool:
    return hasattr(group, "keys") and {"data", "indices", "indptr"} <= set(group.keys())


def open_sparse(group: Any, member: Callable[[Any, str], Any], name: str) -> Rows:
    """The matrix in a group. `member` opens its parts. Raises DecodeError for one that contradicts itself."""
    kind = _FORMATS.get(str(group.attrs.get("encoding-type", group.attrs.get("h5sparse_format", ""))))
    shape = group.attrs.get("shape", group.attrs.get("h5sparse_shape", ()))
    data, indices, pointers = (member(group, part) for part in ("data", "indices", "indptr"))
    if kind is None or len(shape) != 2 or data.ndim != 1 or data.shape != indices.shape or pointers.ndim != 1:
        raise DecodeError(f"{name} is no sparse matrix by rows (csr) or columns (csc)")
    n, width = int(shape[0]), int(shape[1])
    starts = np.asarray(pointers[:]).astype(np.int64)
    lines = n if kind == "csr" else width
    if len(starts) != lines + 1 or starts[0] != 0 or starts[-1] != len(data) or (np.diff(starts) < 0).any():
        raise DecodeError(f"{name} is a damaged sparse matrix; write it again")
    return (_ByRows if kind == "csr" else _ByColumns)(data, indices, starts, (n, width), name)


class Rows:
    """A sparse matrix (n, d) whose rows by slice are dense arrays."""

    def __init__(self, data: Any, indices: Any, starts: NDArray[np.int64], shape: tuple[int, int], name: str) -> None:
        self._data, self._indices, self._starts, self._name = data, indices, starts, name
        self.shape = shape
        self.dtype: np.dtype[Any] = data.dtype

    def _entries(self, first: int, last: int, limit: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Stored values and their places in a line, checked to be below `limit`."""
        places = np.asarray(self._indices[first:last]).astype(np.int64)
        if len(places) and not 0 <= int(places.min()) <= int(places.max()) < limit:
            raise DecodeError(f"{self._name} is a damaged sparse matrix; write it again")
        return np.asarray(self._data[first:last]), places

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        raise NotImplementedError


class _ByRows(Rows):
    def __getitem__(self, rows: slice) -> NDArray[Any]:
        starts = self._starts[rows.start : rows.stop + 1]
        data, places = self._entries(int(starts[0]), int(starts[-1]), self.shape[1])
        lines = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        dense = np.zeros((len(starts) - 1, self.shape[1]), dtype=self.dtype)
        np.add.at(dense, (lines, places), data)  # an entry that stands twice counts twice
        return dense


class _ByColumns(Rows):
    """Rows are made dense a window at a time, each in one pass over all entries, as these are in order of columns."""

    _first = _last = 0
    _window: NDArray[Any] | None = None

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        if self._window is None or not self._first <= rows.start <= rows.stop <= self._last:
            size = max(rows.stop - rows.start, _WINDOW_BYTES // max(1, self.shape[1] * self.dtype.itemsize))
            self._first, self._last = rows.start, min(self.shape[0], rows.start + size)
            self._window = None  # before the next one is there
            self._window = self._dense()
        return self._window[rows.start - self._first : rows.stop - self._first]

    def _dense(self) -> NDArray[Any]:
        dense = np.zeros((self._last - self._first, self.shape[1]), dtype=self.dtype)
        for first in range(0, len(self._data), _ENTRIES):
            last = min(first + _ENTRIES, len(self._data))
            data, places = self._entries(first, last, self.shape[0])
            columns = np.searchsorted(self._starts, np.arange(first, last), side="right") - 1
            kept = (places >= self._first) & (places < self._last)
            np.add.at(dense, (places[kept] - self._first, columns[kept]), data[kept])
        return dense
