"""Mixed tables for tests, coded as readers code them, and their distances computed from the raw values."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wdist.data.sources.files import FileRows
from wdist.data.tables.coder import TableCoder
from wdist.data.tables.columns import Column, ColumnType
from wdist.data.tables.writer import ArrayWriter
from wdist.definitions.reading import Selection

Raw = Mapping[str, Sequence[Any]]
"""Columns by name; None is a missing value. Text is a category, a bool a boolean, the rest numbers."""


def coded(raw: Raw, given: str = "table", missing: str = "level") -> FileRows:
    """The table as a reader gives it."""
    kinds = {name: _kind(values) for name, values in raw.items()}
    take = Selection(categories=[name for name, kind in kinds.items() if kind == "text"], missing=missing)  # type: ignore[arg-type]
    types = [ColumnType(name, kind) for name, kind in kinds.items()]  # type: ignore[arg-type]
    with tempfile.TemporaryFile() as output:
        coder = TableCoder(types, take, ArrayWriter(output.fileno(), 1 << 40))
        coder.append([_column(raw[types[k].name], types[k].kind) for k in coder.chosen])
        found = coder.end()
        output.seek(0)
        return FileRows(given, np.load(output), found.columns, found.table, found.notes, take)


def _kind(values: Sequence[Any]) -> str:
    first = next((value for value in values if value is not None), 0.0)
    return "text" if isinstance(first, str) else "boolean" if isinstance(first, bool | np.bool_) else "number"


def _column(values: Sequence[Any], kind: str) -> Column:
    lost = np.array([value is None for value in values])
    if kind != "text":
        filled = [0 if value is None else value for value in values]
        return Column(np.array(filled, dtype=bool if kind == "boolean" else float), lost)
    levels = tuple(dict.fromkeys(value for value in values if value is not None))
    return Column(np.array([0 if v is None else levels.index(v) for v in values]), lost, levels)


def raw_distances(
    x: Raw, y: Raw, divisors: Mapping[str, float], centers: Mapping[str, float], cost: float
) -> NDArray[np.float64]:
    """The declared distance of every row of x from every row of y, (n, m), from the raw values.

    sqrt of the sum over columns of: ((a - b) / s)^2 of numbers; c^2 if levels differ; of a missing number and a value
    v, c^2 + ((v - centre) / s)^2; of two missing values, 0.
    """
    total = 0.0
    for name in x:
        a, b = np.array(x[name], dtype=object), np.array(y[name], dtype=object)
        if name not in divisors:
            total = total + cost**2 * (a[:, None] != b[None, :])
            continue
        lost_a, lost_b = ([value is None for value in each] for each in (a, b))
        filled = (np.where(lost, centers[name], each).astype(float) for lost, each in ((lost_a, a), (lost_b, b)))
        one, other = filled
        gaps = (one[:, None] - other[None, :]) / divisors[name]
        total = total + gaps**2 + cost**2 * (np.array(lost_a)[:, None] != np.array(lost_b)[None, :])
    distances: NDArray[np.float64] = np.sqrt(np.asarray(total, dtype=np.float64))
    return distances
