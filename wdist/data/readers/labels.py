"""Columns chosen by name, and group labels encoded as whole numbers that are the same in every file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wdist.data.readers.base import DecodeError, Selection

_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")


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
    """Labels as int64 codes (n, 1): a number is its own code, text gets its SHA-256 with bit 62 set.

    The code depends on the label alone, so the same patient has the same code in two files.
    """
    if column.null_count:
        raise DecodeError(f"column {name[:100]!r} has missing values; give every row a label")
    try:
        encoded = pc.cast(column, pa.string()).dictionary_encode()
    except pa.ArrowInvalid as error:
        raise DecodeError(f"column {name[:100]!r} of type {column.type} cannot be read as labels") from error
    table = np.array([code(text) for text in encoded.dictionary.to_pylist()], dtype=np.int64)
    chosen: NDArray[np.int64] = table[encoded.indices.to_numpy(zero_copy_only=False)][:, None]
    return chosen


def code(label: str) -> int:
    """The code of one label. A whole number of up to 18 digits is its own code."""
    if _WHOLE.fullmatch(label):
        return int(label)
    return int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "big") & ((1 << 62) - 1) | 1 << 62
