"""What the readers of tables share: the limit of columns, and messages that name the value that is not a number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wdist.data.tables.found import TooLargeError

MAX_TABLE_COLUMNS = 1 << 17
BLOCK_BYTES = 4 << 20


def check_width(columns: int) -> None:
    if columns > MAX_TABLE_COLUMNS:
        raise TooLargeError(f"it has {columns:,} columns, the limit is {MAX_TABLE_COLUMNS:,}; give wide data as .npy")


def column_label(column: int, names: list[str] | None) -> str:
    return f"column {names[column][:100]!r}" if names and column < len(names) else f"column {column}"


def not_finite_message(value: float) -> str:
    return f"holds {value}, which is not a finite number; remove or impute such rows"


def first_not_finite(rows: NDArray[Any]) -> tuple[int, int] | None:
    """Row and column of the first value that is not finite, or None."""
    if rows.dtype.kind != "f" or (is_finite := np.isfinite(rows)).all():
        return None
    row, column = np.argwhere(~is_finite)[0]
    return int(row), int(column)
