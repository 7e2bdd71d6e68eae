"""Summary statistics of an array, computed while it streams past; an unusable value is named by row and column."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wdist.errors import SampleError
from wdist.npy import NpyHeader

MAX_COLUMNS = 256  # per-column figures are kept up to here
_BLOCK_VALUES = 1 << 16
_LIMIT = float(np.finfo(np.float32).max)  # critics compute in float32


class Statistics:
    """Running minimum, maximum, mean and deviation: over all values, and per column of a table in C order.

    Deviations use the pairwise update of (n, mean, M2) by Chan, Golub and LeVeque: stable for data far from 0.
    """

    def __init__(self, header: NpyHeader) -> None:
        self._shape = header.shape
        self._dtype = header.dtype
        self._fortran_order = header.fortran_order
        columns = math.prod(header.shape[1:])
        self._by_column = len(header.shape) == 2 and columns <= MAX_COLUMNS and not header.fortran_order
        self._width = columns if self._by_column else 1
        self._unit = self._width * self._dtype.itemsize
        self._block = max(1, _BLOCK_VALUES // self._width) * self._unit
        self._rest = b""
        self._count = 0  # rows of width `_width`
        self._mean = np.zeros(self._width)
        self._m2 = np.zeros(self._width)
        self._min = np.full(self._width, np.inf)
        self._max = np.full(self._width, -np.inf)
        rows = self._block // self._unit
        self._difference = np.empty((rows, self._width))  # kept: fresh pages for each block cost more than the sums
        self._ones = np.ones(rows)

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the values. Raises SampleError for a value that is not finite or beyond float32."""
        view = memoryview(data)
        if self._rest:
            need = self._unit - len(self._rest)
            self._rest += view[:need].tobytes()
            view = view[need:]
            if len(self._rest) < self._unit:
                return
            self._take(np.frombuffer(self._rest, self._dtype))
        whole = len(view) // self._unit * self._unit
        for start in range(0, whole, self._block):
            self._take(np.frombuffer(view[start : min(start + self._block, whole)], self._dtype))
        self._rest = view[whole:].tobytes()

    def _take(self, values: NDArray[Any]) -> None:
        table = values.reshape(-1, self._width)
        low, high = _range(table)
        if not (np.all(low >= -_LIMIT) and np.all(high <= _LIMIT)):  # nan fails every comparison
            self._refuse(values)
        np.minimum(self._min, low, out=self._min)
        np.maximum(self._max, high, out=self._max)
        # Sums about a value close to the mean: nothing is lost to data far from 0, and one pass is enough.
        about = self._mean if self._count else table.mean(axis=0, dtype=np.float64)
        difference = np.subtract(table, about, out=self._difference[: len(table)])
        sums = self._ones[: len(table)] @ difference
        mean = about + sums / len(table)
        m2 = np.maximum(0.0, np.einsum("ij,ij->j", difference, difference) - sums**2 / len(table))
        total = self._count + len(table)
        shift = mean - self._mean
        self._m2 += m2 + shift**2 * (self._count * len(table) / total)
        self._mean += shift * (len(table) / total)
        self._count = total

    def _refuse(self, values: NDArray[Any]) -> None:
        at = int(np.argmin(np.abs(values.astype(np.float64)) <= _LIMIT))
        order: Any = "F" if self._fortran_order else "C"
        row, *rest = (int(i) for i in np.unravel_index(self._count * self._width + at, self._shape, order=order))
        where = f"column {rest[0]}" if len(rest) == 1 else f"pixel {tuple(rest)}"
        problem = (
            "beyond the range of float32; rescale it" if np.isfinite(values[at]) else "not finite; remove or impute it"
        )
        raise SampleError(f"the value {values[at]} in row {row}, {where} is {problem}")

    def to_json(self) -> dict[str, Any]:
        """The figures: {min, max, mean, std, constant, columns}; `columns` is null for images and wide tables."""
        variance = self._m2 / self._count
        mean = float(self._mean.mean())
        figures = zip(self._min, self._max, self._mean, np.sqrt(variance), strict=True)
        columns = [dict(zip(("min", "max", "mean", "std"), map(float, column), strict=True)) for column in figures]
        return {
            "min": float(self._min.min()),
            "max": float(self._max.max()),
            "mean": mean,
            "std": math.sqrt(float((variance + (self._mean - mean) ** 2).mean())),
            "constant": bool((self._min == self._max).all()),
            "columns": columns if self._by_column else None,
        }


def _range(table: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Least and greatest of each column, with so many rows side by side that numpy's loops are long."""
    rows, width = table.shape
    side = max(1, 512 // width)
    whole = rows // side * side
    lows, highs = [], []
    if whole:
        wide = table[:whole].reshape(-1, side * width)
        lows.append(wide.min(axis=0).reshape(side, width))
        highs.append(wide.max(axis=0).reshape(side, width))
    if whole < rows:
        lows.append(table[whole:])
        highs.append(table[whole:])
    return np.concatenate(lows).min(axis=0), np.concatenate(highs).max(axis=0)
