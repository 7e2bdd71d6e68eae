"""Columns of tables chosen by name, and columns of group labels as codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wdist.data.groups import KINDS, codes_of
from wdist.data.tables.found import DecodeError
from wdist.definitions.reading import Selection
from wdist.errors import OptionError


def choose(names: Sequence[str], width: int, take: Selection) -> list[int]:
    """Positions of the columns to keep: the label column if there is one, else all but the dropped ones."""
    if not take.of_a_table:
        return list(range(width))
    wanted = {take.labels} if take.labels is not None else set(take.drop)
    for name in sorted(wanted):
        if (found := list(names).count(name)) != 1:
            which = "the columns have no names" if not names else f"{found or 'no'} columns are named {name[:100]!r}"
            raise DecodeError(f"{which}; there are {', '.join(names)[:300] or width}")
    if take.labels is not None:
        return [list(names).index(take.labels)]
    if not (kept := [k for k, name in enumerate(names) if name not in wanted]):
        raise DecodeError("no column is left; drop fewer")
    return kept


def codes(column: pa.Array, name: str) -> NDArray[np.int64]:
    """Labels as int64 codes (n, 1), the same for equal labels of any file, frame or array."""
    if column.null_count:
        raise DecodeError(f"column {name[:100]!r} has missing values; give every row a label")
    try:
        return codes_of(_values(column))[:, None] if len(column) else np.empty((0, 1), dtype=np.int64)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OptionError) as error:
        reason = f": {error}" if isinstance(error, OptionError) else ""
        raise DecodeError(f"column {name[:100]!r} of type {column.type} cannot be read as labels{reason}") from error


def _values(column: pa.Array) -> NDArray[Any]:
    """The labels as numbers of their own type, or as objects."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        values: NDArray[Any] = column.to_numpy(zero_copy_only=False)
        return values
    if pa.types.is_timestamp(kind):
        if kind.tz is not None:  # the stored numbers are UTC; a cast would need the system's time zones
            column = pc.cast(pc.cast(column, pa.int64()), pa.timestamp(kind.unit))
        column = pc.cast(column, pa.string())
    elif pa.types.is_duration(kind):
        raise OptionError(f"time spans are no labels; {KINDS}")
    encoded = column.dictionary_encode()
    distinct = np.empty(len(encoded.dictionary), dtype=object)
    distinct[:] = encoded.dictionary.to_pylist()
    taken: NDArray[Any] = distinct[encoded.indices.to_numpy(zero_copy_only=False)]
    return taken
