"""Summary statistics of the codes of a table, streamed: of numbers, of levels, and of what is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wdist.data.moments import RunningMoments
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
        self._columns = table.columns
        self._unit = width * header.dtype.itemsize
        self._rest = b""
        self._rows = 0
        self._measured = [k for k, column in enumerate(table.columns) if column.kind in ("number", "time")]
        self._moments = RunningMoments((len(self._measured),))
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
        rows = np.frombuffer(whole[:end], np.float64).reshape(-1, len(self._columns))
        numbers = rows[:, self._measured]
        if (wrong := np.abs(numbers) > _LIMIT).any():  # not of NaN
            row, column = (int(place) for place in np.argwhere(wrong)[0])
            raise SampleError(
                f"the value {numbers[row, column]} in row {self._rows + row}, column "
                f"{self._columns[self._measured[column]].name!r} is beyond the range of float32; rescale it"
            )
        self._moments.add(numbers)
        for k, counts in self._counts.items():
            self._count(rows[:, k], k, counts)
        self._rows += len(rows)

    def _count(self, codes: NDArray[np.float64], k: int, counts: NDArray[np.int64]) -> None:
        present = codes[~np.isnan(codes)]
        if not np.all((present >= 0) & (present < len(counts)) & (present == np.floor(present))):
            raise SampleError(f"column {self._columns[k].name!r} holds a code that stands for no level")
        counts += np.bincount(present.astype(np.int64), minlength=len(counts))

    def end(self) -> None:
        """Nothing is left to do: codes come in whole rows."""

    def to_json(self) -> dict[str, Any]:
        """The statistics {min, max, mean, std, constant, columns}; the first four are null: columns differ in kind.

        Of a number or a time: {min, max, mean, std, missing}, of the present values, null if there are none. Of a
        boolean or a category: {levels, distinct, missing}, with the counts of the most frequent levels.
        """
        columns = [
            self._of_levels(k) if k in self._counts else self._of_numbers(self._measured.index(k))
            for k in range(len(self._columns))
        ]
        return {
            **dict.fromkeys(("min", "max", "mean", "std")),
            "constant": all(_is_constant(column, self._rows) for column in columns),
            "columns": columns if len(columns) <= MAX_DESCRIBED_COLUMNS else None,
        }

    def _of_numbers(self, j: int) -> dict[str, Any]:
        found, present = self._moments, int(self._moments.count[j])
        figures = (found.minimum[j], found.maximum[j], found.mean[j], found.deviation[j])
        shown = [float(figure) for figure in figures] if present else [None] * 4
        return {**dict(zip(("min", "max", "mean", "std"), shown, strict=True)), "missing": self._rows - present}

    def _of_levels(self, k: int) -> dict[str, Any]:
        counts, levels = self._counts[k], _levels(self._columns[k])
        most = np.argsort(-counts, kind="stable")[:MAX_COUNTED_LEVELS]
        return {
            "levels": {levels[place]: int(counts[place]) for place in most if counts[place]},
            "distinct": int(np.count_nonzero(counts)),
            "missing": self._rows - int(counts.sum()),
        }


def _is_constant(column: dict[str, Any], rows: int) -> bool:
    """Whether a column has the same value, or none, in every row."""
    if column["missing"] == rows:
        return True
    distinct = column["distinct"] if "distinct" in column else 1 + (column["min"] < column["max"])
    return bool(distinct == 1 and not column["missing"])


def _levels(column: TableColumn) -> tuple[str, ...]:
    return ("false", "true") if column.kind == "boolean" else column.levels
