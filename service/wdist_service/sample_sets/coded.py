"""Summary statistics of the codes of a table, streamed: of numbers, of levels, and of what is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wdist.data.readers.npy import NpyHeader
from wdist.data.tables.schema import TableColumn, TableSchema
from wdist.errors import SampleError
from wdist_service.sample_sets.statistics import MAX_DESCRIBED_COLUMNS

MAX_COUNTED_LEVELS = 20  # of a column; the most frequent ones
_LIMIT = float(np.finfo(np.float32).max)  # critics compute in float32


class CodedStatistics:
    """Running figures of each column of codes (n, k), float64 in C order, NaN where a value is missing."""

    def __init__(self, header: NpyHeader, table: TableSchema) -> None:
        """Raises SampleError if the array is not one of codes of this table."""
        width = len(table.columns)
        if header.shape[1:] != (width,) or header.dtype != np.float64 or header.fortran_order:
            raise SampleError(f"an array of {header.dtype} of shape {header.shape} holds no codes of {width} columns")
        self._table = table
        self._unit = width * header.dtype.itemsize
        self._rest = b""
        self._rows = 0
        measured = [k for k, column in enumerate(table.columns) if column.kind in ("number", "time")]
        self._numbers = _Numbers([(k, table.columns[k]) for k in measured])
        self._counts = {
            k: np.zeros(len(_levels(column)), dtype=np.int64)
            for k, column in enumerate(table.columns)
            if column.kind in ("boolean", "category")
        }

    def update(self, data: bytes | memoryview) -> None:
        """Process the next bytes. Raises SampleError for a value that is no code, or is out of the float32 range."""
        whole = self._rest + bytes(data) if self._rest else memoryview(data)
        end = len(whole) // self._unit * self._unit
        self._rest = bytes(whole[end:])
        if not end:
            return
        rows = np.frombuffer(whole[:end], np.float64).reshape(-1, len(self._table.columns))
        self._numbers.add(rows, self._rows)
        for k, counts in self._counts.items():
            codes = rows[:, k]
            codes = codes[~np.isnan(codes)]
            if not np.all((codes >= 0) & (codes < len(counts)) & (codes == np.floor(codes))):
                raise SampleError(f"column {self._table.columns[k].name!r} holds a code that stands for no level")
            counts += np.bincount(codes.astype(np.int64), minlength=len(counts))
        self._rows += len(rows)

    def end(self) -> None:
        """Nothing is left to do: codes come in whole rows."""

    def to_json(self) -> dict[str, Any]:
        """The statistics {min, max, mean, std, constant, columns}; the first four are null: columns differ in kind.

        Of a number or a time: {min, max, mean, std, missing} over the present values, null if there are none. Of a
        boolean or a category: {levels, distinct, missing}, the counts of the most frequent levels.
        """
        described: dict[int, dict[str, Any]] = self._numbers.described(self._rows)
        is_constant = self._numbers.is_constant(self._rows)
        for k, counts in self._counts.items():
            levels, missing = _levels(self._table.columns[k]), self._rows - int(counts.sum())
            most = np.argsort(-counts, kind="stable")[:MAX_COUNTED_LEVELS]
            shown = {levels[place]: int(counts[place]) for place in most if counts[place]}
            described[k] = {"levels": shown, "distinct": int(np.count_nonzero(counts)), "missing": missing}
            is_constant &= np.count_nonzero(counts) + (missing > 0) == 1
        columns = [described[k] for k in range(len(described))]
        return {
            **dict.fromkeys(("min", "max", "mean", "std")),
            "constant": is_constant,
            "columns": columns if len(columns) <= MAX_DESCRIBED_COLUMNS else None,
        }


class _Numbers:
    """Count, mean, sum of squares about the mean, minimum and maximum of the present values of some columns.

    Blocks are merged as Chan, Golub and LeVeque (1983) merge them, which is stable for data far from 0.
    """

    def __init__(self, columns: list[tuple[int, TableColumn]]) -> None:
        self._places = [k for k, _ in columns]
        self._columns = [column for _, column in columns]
        width = len(columns)
        self._count, self._mean, self._m2 = np.zeros(width), np.zeros(width), np.zeros(width)
        self._low, self._high = np.full(width, np.inf), np.full(width, -np.inf)

    def add(self, rows: NDArray[np.float64], before: int) -> None:
        """Add a block of rows; `before` counts those that came before it."""
        values = rows[:, self._places]
        is_there = ~np.isnan(values)
        if (wrong := is_there & ~(np.abs(np.where(is_there, values, 0.0)) <= _LIMIT)).any():
            row, column = (int(place) for place in np.argwhere(wrong)[0])
            raise SampleError(
                f"the value {values[row, column]} in row {before + row}, column {self._columns[column].name!r} is "
                "beyond the range of float32; rescale it"
            )
        count = is_there.sum(axis=0)
        mean = np.where(is_there, values, 0.0).sum(axis=0) / np.maximum(count, 1)
        m2 = (np.where(is_there, values - mean, 0.0) ** 2).sum(axis=0)
        total = np.maximum(self._count + count, 1)
        shift = np.where(count > 0, mean - self._mean, 0.0)
        self._m2 += m2 + shift**2 * (self._count * count / total)
        self._mean += shift * (count / total)
        self._count += count
        self._low = np.minimum(self._low, np.where(is_there, values, np.inf).min(axis=0))
        self._high = np.maximum(self._high, np.where(is_there, values, -np.inf).max(axis=0))

    def described(self, rows: int) -> dict[int, dict[str, Any]]:
        """The figures of each column, by its place in the table."""
        std = np.sqrt(self._m2 / np.maximum(self._count, 1))
        found = {}
        for j, k in enumerate(self._places):
            figures = (self._low[j], self._high[j], self._mean[j], std[j])
            shown = map(float, figures) if self._count[j] else [None] * 4
            found[k] = {
                **dict(zip(("min", "max", "mean", "std"), shown, strict=True)),
                "missing": rows - int(self._count[j]),
            }
        return found

    def is_constant(self, rows: int) -> bool:
        is_complete = (self._count == rows) | (self._count == 0)
        return bool((is_complete & ((self._low == self._high) | (self._count == 0))).all())


def _levels(column: TableColumn) -> tuple[str, ...]:
    return ("false", "true") if column.kind == "boolean" else column.levels
