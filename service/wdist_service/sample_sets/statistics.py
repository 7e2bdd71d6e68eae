"""Summary statistics of a streamed array. An unusable value is reported with its row and column."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wdist.data.readers.npy import NpyHeader
from wdist.data.tables.naming import asked
from wdist.errors import SampleError

MAX_DESCRIBED_COLUMNS = 256  # wider tables get no per-column figures
_LINE_VALUES = 512  # rows are processed side by side in lines this wide: numpy's inner loops stay long
_BLOCK_VALUES = 1 << 16
_LIMIT = float(np.finfo(np.float32).max)  # critics compute in float32
_SMALL = frozenset({"b1", "u1", "i1"})


@dataclass
class _Moments:
    """Count, mean, sum of squares about the mean, minimum and maximum of each column."""

    count: int
    mean: NDArray[np.float64]
    m2: NDArray[np.float64]
    low: NDArray[Any]
    high: NDArray[Any]

    def merge(self, other: _Moments) -> None:
        """Add other rows by the pairwise update of Chan, Golub and LeVeque, which is stable for data far from 0."""
        total = self.count + other.count
        if not other.count:
            return
        shift = other.mean - self.mean
        self.m2 += other.m2 + shift**2 * (self.count * other.count / total)
        self.mean += shift * (other.count / total)
        self.low, self.high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        self.count = total

    def fold(self, width: int) -> _Moments:
        """Combine rows that were processed side by side into the moments of `width` columns."""
        side = len(self.mean) // width
        each = self.mean.reshape(side, width)
        mean = each.mean(axis=0)
        m2 = self.m2.reshape(side, width).sum(axis=0) + self.count * ((each - mean) ** 2).sum(axis=0)
        low, high = self.low.reshape(side, width).min(axis=0), self.high.reshape(side, width).max(axis=0)
        return _Moments(self.count * side, mean, m2, low, high)

    @classmethod
    def none(cls, width: int) -> _Moments:
        return cls(0, np.zeros(width), np.zeros(width), np.full(width, np.inf), np.full(width, -np.inf))


class Statistics:
    """Running minimum, maximum, mean and standard deviation, of all values and per column of a table in C order."""

    def __init__(self, header: NpyHeader) -> None:
        self._shape = header.shape
        self._dtype = header.dtype
        self._fortran_order = header.fortran_order
        columns = math.prod(header.shape[1:])
        self._by_column = len(header.shape) == 2 and columns <= MAX_DESCRIBED_COLUMNS and not header.fortran_order
        self._width = columns if self._by_column else 1
        line = max(1, _LINE_VALUES // self._width) * self._width
        self._unit = line * self._dtype.itemsize
        self._block = max(1, _BLOCK_VALUES // line) * self._unit
        self._rest = b""
        self._values = 0
        self._moments = _Moments.none(line)
        # For 8-bit values, the differences from an integer, their squares and sums of 128 squares are exact in float32.
        self._is_small = self._dtype.str[1:] in _SMALL
        work: Any = np.float32 if self._is_small else np.float64
        self._difference = np.empty((self._block // self._unit, line), work)  # reused: fresh pages cost more than sums
        self._ones = np.ones(len(self._difference), work)

    def update(self, data: bytes | memoryview) -> None:
        """Process the next bytes. Raises SampleError for a value that is not finite or out of the float32 range."""
        view = memoryview(data)
        if self._rest:
            need = self._unit - len(self._rest)
            self._rest += view[:need].tobytes()
            view = view[need:]
            if len(self._rest) < self._unit:
                return
            self._moments.merge(self._of(np.frombuffer(self._rest, self._dtype), len(self._moments.mean)))
        whole = len(view) // self._unit * self._unit
        for start in range(0, whole, self._block):
            values = np.frombuffer(view[start : min(start + self._block, whole)], self._dtype)
            self._moments.merge(self._of(values, len(self._moments.mean)))
        self._rest = view[whole:].tobytes()

    def end(self) -> None:
        """Process what is left after the last bytes. Raises SampleError as `update` does."""
        self._moments = self._moments.fold(self._width)
        if self._rest:
            self._moments.merge(self._of(np.frombuffer(self._rest, self._dtype), self._width))
            self._rest = b""

    def _of(self, values: NDArray[Any], width: int) -> _Moments:
        """Moments of a block of values arranged in rows of `width`."""
        if not values.flags.aligned:
            values = values.copy()
        table = values.reshape(-1, width)
        low, high = table.min(axis=0).astype(np.float64), table.max(axis=0).astype(np.float64)
        if not (np.all(low >= -_LIMIT) and np.all(high <= _LIMIT)):  # NaN fails every comparison
            self._refuse(values)
        self._values += values.size
        # Summing about a value close to the mean keeps precision for data far from 0, in a single pass.
        about = self._moments.mean if self._moments.count else table.mean(axis=0, dtype=np.float64)
        if self._is_small:
            about = np.rint(about)
        work = self._difference.reshape(-1)[: table.size].reshape(table.shape)
        difference = np.subtract(table, about.astype(work.dtype), out=work)
        ones = self._ones[: len(table)] if len(table) <= len(self._ones) else np.ones(len(table), work.dtype)
        sums = (ones @ difference).astype(np.float64)
        squares = np.einsum("ij,ij->j", difference, difference).astype(np.float64)
        mean = about + sums / len(table)
        return _Moments(len(table), mean, np.maximum(0.0, squares - sums**2 / len(table)), low, high)

    def _refuse(self, values: NDArray[Any]) -> None:
        at = int(np.argmin(np.abs(values.astype(np.float64)) <= _LIMIT))
        order: Any = "F" if self._fortran_order else "C"
        row, *rest = (int(i) for i in np.unravel_index(self._values + at, self._shape, order=order))
        where = f"column {rest[0]}" if len(rest) == 1 else f"pixel {tuple(rest)}"
        problem = "beyond the range of float32; rescale it"
        if not np.isfinite(values[at]):
            problem = "not finite; remove or impute it"
            if np.isnan(values[at]) and len(self._shape) == 2:
                problem += f", or leave such rows out with {asked('missing', 'drop')}"
        raise SampleError(f"the value {values[at]} in row {row}, {where} is {problem}")

    def to_json(self) -> dict[str, Any]:
        """The statistics {min, max, mean, std, constant, columns}. `columns` is null for images and wide tables."""
        found = self._moments
        variance = found.m2 / found.count
        mean = float(found.mean.mean())
        figures = zip(found.low, found.high, found.mean, np.sqrt(variance), strict=True)
        columns = [dict(zip(("min", "max", "mean", "std"), map(float, column), strict=True)) for column in figures]
        return {
            "min": float(found.low.min()),
            "max": float(found.high.max()),
            "mean": mean,
            "std": math.sqrt(float((variance + (found.mean - mean) ** 2).mean())),
            "constant": bool((found.low == found.high).all()),
            "columns": columns if self._by_column else None,
        }
