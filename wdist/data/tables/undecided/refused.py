"""A refusal that the reading can settle."""

from __future__ import annotations

from wdist.data.tables.found import DecodeError


class UndecidedError(DecodeError):
    """What the reading has to decide. column: the one that holds text or dates; None for missing values."""

    def __init__(self, message: str, column: str | None = None) -> None:
        self.column = column
        super().__init__(message)
