"""What reading a file gives beside its values, and how it fails."""

from __future__ import annotations

from dataclasses import dataclass, field

from wdist.data.tables.kept import KeptRows
from wdist.data.tables.schema import TableSchema


class DecodeError(Exception):
    """The file cannot be read as a sample set. The message says what is wrong and what to do."""


class TooLargeError(DecodeError):
    """The file is larger, once unpacked, than a sample set may be."""


@dataclass(frozen=True)
class Found:
    """What a reader found beside the values.

    columns: the columns' names, if they have some. name: that the file gives itself. table: the schema of the codes,
    unless the values are plain numbers. notes: what was left out, each a sentence without the name of the set.
    kept: which rows the values are, if rows were left out.
    """

    columns: list[str] | None = None
    name: str | None = None
    table: TableSchema | None = None
    notes: list[str] = field(default_factory=list)
    kept: KeptRows | None = None
