"""Columns of Arrow as the coder takes them: of Parquet, of CSV, and of frames that Arrow can hold."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wdist.data.groups import KINDS
from wdist.data.tables.coder import level_of
from wdist.data.tables.columns import Column, ColumnType, Given
from wdist.data.tables.found import DecodeError
from wdist.data.tables.times import PER_SECOND


def type_of(name: str, kind: pa.DataType, width: int | None = None) -> ColumnType:
    """What the type of a field says of its column. `width`: length of the lists, where their type does not say it."""
    said = str(kind)[:100]
    if is_list(kind):
        if not (pa.types.is_integer(kind.value_type) or pa.types.is_floating(kind.value_type)):
            return ColumnType(name, "other", said=said)
        width = kind.list_size if pa.types.is_fixed_size_list(kind) else width
        return ColumnType(name, "list", np.dtype(kind.value_type.to_pandas_dtype()), width or 0, said=said)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return ColumnType(name, "number", np.dtype(kind.to_pandas_dtype()), said=said)
    if pa.types.is_timestamp(kind):
        return ColumnType(name, "time", said=said, per_second=PER_SECOND[kind.unit], has_zone=kind.tz is not None)
    return ColumnType(name, _kind_of(kind), said=said)


def _kind_of(kind: pa.DataType) -> Given:
    types = pa.types
    if types.is_decimal(kind):
        return "number"
    if types.is_boolean(kind):
        return "boolean"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "text"
    if types.is_dictionary(kind):
        return "category"
    return "time" if types.is_date(kind) else "other"


def is_list(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_fixed_size_list(kind) or types.is_list(kind) or types.is_large_list(kind))


def length_of_lists(column: pa.Array) -> int | None:
    """Length of the first list of a column that is not missing, or None if all are."""
    given = column.drop_null()
    return None if not len(given) else len(given[0])


def column_of(array: pa.Array, kind: ColumnType) -> Column:
    """The values of a column in one block.

    Raises DecodeError for lists of another length than `kind.width`.
    """
    missing = None
    if array.null_count:
        missing = np.asarray(array.is_null().to_numpy(zero_copy_only=False), dtype=np.bool_)
    if is_list(array.type):
        return _lists(array, kind, missing)
    if pa.types.is_dictionary(array.type) or kind.kind in ("text", "category"):
        return _levels(array, missing)
    if kind.kind == "time":
        return Column(_counts(array), missing)
    if pa.types.is_decimal(array.type):
        array = array.cast(pa.float64(), safe=False)
    if missing is not None:
        array = array.fill_null(False if pa.types.is_boolean(array.type) else pa.scalar(0, array.type))
    return Column(array.to_numpy(zero_copy_only=False), missing)


def labels_of(array: pa.Array, name: str) -> Column:
    """A column of labels: numbers of their own type, everything else as text. Raises DecodeError for a type of none."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if pa.types.is_duration(kind) or pa.types.is_nested(kind) or pa.types.is_null(kind):
        raise DecodeError(f"column {name[:100]!r} of type {str(kind)[:100]} cannot be read as labels: {KINDS}")
    if pa.types.is_timestamp(kind):
        if kind.tz is not None:  # the stored numbers are UTC; a cast would need the system's time zones
            array = array.cast(pa.int64()).cast(pa.timestamp(kind.unit))
        array = array.cast(pa.string())
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return column_of(array, ColumnType(name, "number"))
    elif not pa.types.is_boolean(kind):
        try:
            array = array.cast(pa.string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DecodeError(f"column {name[:100]!r} of type {kind} cannot be read as labels: {KINDS}") from error
    return _levels(array, np.asarray(array.is_null().to_numpy(zero_copy_only=False)) if array.null_count else None)


def _levels(array: pa.Array, missing: NDArray[np.bool_] | None) -> Column:
    encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    names = [name if name == name else None for name in encoded.dictionary.to_pylist()]  # NaN is no level
    if None in names:  # a level that is missing itself
        is_lost = np.array([name is None for name in names])
        places = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
        missing = is_lost[places] if missing is None else missing | is_lost[places]
    texts = tuple("" if name is None else name if isinstance(name, str) else level_of(name) for name in names)
    indices = encoded.indices.fill_null(0) if encoded.indices.null_count else encoded.indices
    return Column(indices.to_numpy(zero_copy_only=False).astype(np.int64), missing, texts or ("",))


def _counts(array: pa.Array) -> NDArray[np.int64]:
    """Units since 1970-01-01, of times with a zone in UTC, which is how Arrow stores them; of dates, seconds."""
    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("s"))
    counts: NDArray[np.int64] = array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    return counts


def _lists(array: pa.Array, kind: ColumnType, missing: NDArray[np.bool_] | None) -> Column:
    if not pa.types.is_fixed_size_list(array.type):
        lengths = pc.unique(pc.list_value_length(array.drop_null()))
        if wrong := [length for length in lengths.to_pylist() if length != kind.width]:
            raise DecodeError(
                f"column {kind.name[:100]!r} has lists of different lengths, such as {kind.width} and {wrong[0]}; give "
                "all the same length"
            )
    given = array.drop_null().flatten()
    values = np.zeros((len(array), kind.width), dtype=kind.dtype)
    kept = slice(None) if missing is None else ~missing
    if given.null_count:
        is_lost = given.is_null().to_numpy(zero_copy_only=False).reshape(-1, kind.width).any(axis=1)
        missing = np.zeros(len(array), dtype=np.bool_) if missing is None else missing
        missing[kept] |= is_lost
        given = given.fill_null(pa.scalar(0, given.type))
    values[kept] = given.to_numpy(zero_copy_only=False).reshape(-1, kind.width)
    return Column(values, missing)
