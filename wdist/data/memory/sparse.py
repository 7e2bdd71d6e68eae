"""Rows of a sparse matrix of SciPy, which become dense block by block as they are read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wdist.data.tables.coder import left_out_note
from wdist.data.tables.columns import NUMERIC_KINDS
from wdist.data.tables.found import DecodeError, Found
from wdist.data.tables.kept import KeptRows
from wdist.data.tables.naming import asked
from wdist.definitions.reading import Selection


class SparseRows:
    """An array (n, d) that keeps a compressed matrix and gives dense rows, so that it is never dense as a whole.

    matrix: a sparse matrix or array of SciPy in any format; another format than CSR is converted. Raises DecodeError.
    """

    ndim = 2

    def __init__(self, matrix: Any) -> None:
        if matrix.ndim != 2:
            raise DecodeError(f"a sparse array of shape {matrix.shape} is no table (n, d): give x.toarray()")
        if matrix.dtype.kind not in NUMERIC_KINDS:
            raise DecodeError(f"sparse values of type {matrix.dtype} are not real numbers; convert them with x.astype")
        self._rows = matrix.tocsr()
        if matrix.dtype.itemsize > 8:
            self._rows = self._rows.astype(np.float64)
        self.shape: tuple[int, ...] = tuple(int(extent) for extent in matrix.shape)
        self.dtype: np.dtype[Any] = self._rows.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | NDArray[np.integer[Any]]) -> NDArray[Any]:
        """Dense rows (m, d) at a slice or an index array."""
        rows: NDArray[Any] = self._rows[index].toarray()
        return rows

    def columns(self, places: list[int]) -> SparseRows:
        """The columns at these places."""
        return SparseRows(self._rows[:, places])

    def without_missing(self) -> tuple[SparseRows, Found]:
        """The rows without NaN, and what is said of those left out. Raises DecodeError if none is left."""
        owner = np.repeat(np.arange(len(self)), np.diff(self._rows.indptr))
        kept = np.ones(len(self), dtype=np.bool_)
        if self.dtype.kind == "f":
            kept[owner[np.isnan(self._rows.data)]] = False
        if kept.all():
            return self, Found()
        if not kept.any():
            raise DecodeError("every row has a missing value, so that none is left")
        notes = [left_out_note(int(kept.sum()), len(self))]
        return SparseRows(self._rows[kept]), Found(notes=notes, kept=KeptRows.where(kept))


def is_sparse(data: Any) -> bool:
    """Whether this is a sparse matrix or array of SciPy, recognised without an import."""
    return hasattr(data, "tocsr") and hasattr(data, "toarray")


def read_sparse(data: Any, take: Selection) -> tuple[SparseRows, Found]:
    """The rows of a sparse matrix. Raises DecodeError."""
    if take.of_a_table:
        raise DecodeError("a sparse matrix has no names of columns to choose by: choose with x[:, places]")
    rows = SparseRows(data)
    if take.missing == "level":
        raise DecodeError(
            f"missing values of a sparse matrix are no level: give x.toarray(), or {asked('missing', 'drop')}"
        )
    if take.missing == "drop":
        return rows.without_missing()
    return rows, Found()
