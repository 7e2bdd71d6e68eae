"""How the rows of a set become rows that a critic takes, from what is known of both beside their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wdist.data.tables.encoding import Encoding
from wdist.data.tables.schema import TableSchema
from wdist.errors import SampleError


def encoding_of(document: Mapping[str, Any]) -> Encoding | None:
    """How the critic of a critic.json codes tables; None if it takes plain numbers."""
    known = (document.get("recipe") or {}).get("encoding")
    return None if known is None else Encoding.from_json(known)


def schema_of(
    encoding: Encoding | None, shape: Sequence[int], columns: list[str] | None, table: Mapping[str, Any] | None,
    what: str,
) -> TableSchema | None:  # fmt: skip
    """The schema by which a set, called `what`, is encoded for a critic; None if the critic takes its rows as they are.

    shape: of the set, (rows, ...). columns: the names of its columns, if it has some. table: its schema as JSON, if it
    is a coded table. Raises SampleError if the critic does not take such sets.
    """
    if encoding is None:
        if table is not None:
            raise SampleError(f"the critic takes plain numbers, {what} is a table of other columns, too")
        return None
    if table is not None:
        schema = TableSchema.from_json(dict(table))
    elif columns is None and list(shape[1:]) == [len(encoding.columns)]:
        return None  # as `wdist encode` writes them
    elif len(shape) == 2:
        schema = TableSchema.of_numbers(columns or [str(k) for k in range(shape[1])])
    else:
        raise SampleError(f"the critic takes tables, {what} has rows of shape {tuple(shape[1:])}")
    encoding.check(schema, what)
    return schema
