"""What the readers of tables share: the limit of columns, and how much they hold in memory."""

from __future__ import annotations

from wdist.data.tables.found import TooLargeError

MAX_TABLE_COLUMNS = 1 << 17
BLOCK_BYTES = 4 << 20


def check_width(columns: int) -> None:
    if columns > MAX_TABLE_COLUMNS:
        raise TooLargeError(f"it has {columns:,} columns, the limit is {MAX_TABLE_COLUMNS:,}; give wide data as .npy")
