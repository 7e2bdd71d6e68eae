"""The columns of a frame in memory as the coder of tables takes them: their types, and what reads a block of rows."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from numbers import Number
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from wdist.data.tables.coder import in_row, level_of
from wdist.data.tables.columns import Column, ColumnType
from wdist.data.tables.found import DecodeError
from wdist.data.tables.naming import asked
from wdist.data.tables.times import PER_SECOND, microseconds

Read = Callable[[slice], Column]


def reader(series: nw.Series[Any], name: str) -> tuple[ColumnType, Read]:
    """The type of a column, and what reads a block of its rows."""
    native = series.to_native()
    if hasattr(getattr(native, "dtype", None), "sp_values") or str(getattr(native, "dtype", "")).startswith("Sparse["):
        series = nw.from_native(native.sparse.to_dense(), series_only=True)
    kind = series.dtype
    if kind.is_numeric():
        return _numbers(series, name)
    if kind == nw.Unknown and "date64" in _said(series):
        series, kind = series.cast(nw.Datetime("ms")), nw.Datetime("ms")
    if kind == nw.Boolean:
        return ColumnType(name, "boolean"), lambda rows: _filled(series[rows], False, np.dtype(np.bool_))
    if kind in (nw.Categorical, nw.Enum):
        return ColumnType(name, "category"), _categories(series)
    if kind == nw.String:
        text = series.cast(nw.String) if str(getattr(native, "type", "")) == "string_view" else series
        return ColumnType(name, "text"), lambda rows: _levels(text[rows])
    if kind in (nw.Date, nw.Datetime):
        unit = getattr(kind, "time_unit", "ms")
        unit = "ms" if unit == "s" else unit  # a finer one than the column's own could overflow
        has_zone = getattr(kind, "time_zone", None) is not None
        given = ColumnType(name, "time", per_second=PER_SECOND[unit], has_zone=has_zone)
        return given, lambda rows: _times(series[rows], unit)
    if kind in (nw.List, nw.Array):
        return _lists(series, name)
    if kind == nw.Object:
        return _objects(series, name)
    return ColumnType(name, "other", said=_said(series)), _no_values


def _said(series: nw.Series[Any]) -> str:
    kind = series.dtype
    named = {"Duration": "spans of time", "Time": "times of a day", "Struct": "structs", "Binary": "bytes"}
    native = series.to_native()
    own = getattr(native, "dtype", getattr(native, "type", None))
    return named.get(type(kind).__name__, str(own if own is not None else kind)[:100])


def _no_values(rows: slice) -> Column:
    raise AssertionError("the coder refuses such a column before it reads it")


def _numbers(series: nw.Series[Any], name: str) -> tuple[ColumnType, Read]:
    kind = series.dtype
    if kind in (nw.Decimal, nw.Int128, nw.UInt128):
        series = series.cast(nw.Float64)
        dtype = np.dtype(np.float64)
    else:
        dtype = np.dtype(type(kind).__name__.lower())
    zero = 0.0 if dtype.kind == "f" else 0
    return ColumnType(name, "number", dtype), lambda rows: _filled(series[rows], zero, dtype)


def _filled(part: nw.Series[Any], filler: Any, dtype: np.dtype[Any]) -> Column:
    """Numbers or booleans of a block, with `filler` where there is none."""
    missing = _mask(part.is_null())
    if missing is not None:
        part = part.fill_null(filler)
    return Column(np.asarray(part.to_numpy()).astype(dtype, copy=False), missing)


def _mask(is_null: nw.Series[Any]) -> NDArray[np.bool_] | None:
    mask = np.asarray(is_null.to_numpy(), dtype=np.bool_)
    return mask if mask.any() else None


def _levels(part: nw.Series[Any]) -> Column:
    """Text of a block as places in its distinct values."""
    native = part.to_native()
    if hasattr(native, "factorize"):  # pandas, which is several times as fast this way
        places, distinct = native.factorize()
        return _coded(np.asarray(places, dtype=np.int64), tuple(map(str, distinct)))
    missing = _mask(part.is_null())
    levels = tuple(map(str, part.drop_nulls().unique(maintain_order=True).to_list()))
    if not levels:
        return Column(np.zeros(len(part), dtype=np.int64), missing)
    if missing is not None:
        part = part.fill_null(levels[0])
    codes = part.replace_strict(list(levels), list(range(len(levels))), return_dtype=nw.Int64)
    return Column(np.asarray(codes.to_numpy(), dtype=np.int64), missing, levels)


def _coded(places: NDArray[np.int64], levels: tuple[str, ...]) -> Column:
    """A column of places in levels, -1 where there is no value."""
    missing = places < 0
    return Column(np.maximum(places, 0), missing if missing.any() else None, levels)


def _categories(series: nw.Series[Any]) -> Read:
    native = series.to_native()
    if not hasattr(native, "cat") or not hasattr(native.cat, "codes"):
        text = series.cast(nw.String)
        return lambda rows: _levels(text[rows])
    codes, levels = np.asarray(native.cat.codes, dtype=np.int64), tuple(map(level_of, native.cat.categories))
    return lambda rows: _coded(codes[rows], levels)


def _times(part: nw.Series[Any], unit: Any) -> Column:
    """Counts of the unit. Missing values are left out before: among them pandas counts in float64, which rounds."""
    missing = _mask(part.is_null())
    counts = np.zeros(len(part), dtype=np.int64)
    counts[slice(None) if missing is None else ~missing] = part.drop_nulls().dt.timestamp(unit).to_numpy()
    return Column(counts, missing)


def _lists(series: nw.Series[Any], name: str) -> tuple[ColumnType, Read]:
    inner = series.dtype.inner if isinstance(series.dtype, nw.List | nw.Array) else None
    inner = inner() if isinstance(inner, type) else inner
    if inner is None or not inner.is_numeric() or isinstance(inner, nw.Decimal | nw.Int128 | nw.UInt128):
        return ColumnType(name, "other", said=str(series.dtype)[:100]), _no_values
    dtype = np.dtype(type(inner).__name__.lower())
    return _rows_of_lists(series, name, dtype)


def _rows_of_lists(series: nw.Series[Any], name: str, dtype: np.dtype[Any]) -> tuple[ColumnType, Read]:
    """Lists of equal length, which become columns."""
    present = series.drop_nulls()
    width = len(present[0]) if len(present) else 0
    if not width:
        return ColumnType(name, "other", said="empty lists"), _no_values

    def read(rows: slice) -> Column:
        part = series[rows]
        missing = _mask(part.is_null())
        values = np.zeros((len(part), width), dtype=dtype)
        for k, given in enumerate(part.to_list()):
            if missing is not None and missing[k]:
                continue
            if len(given) != width:
                raise DecodeError(
                    f"column {name[:100]!r}, {in_row(rows.start + k)} holds {str(given)[:60]}, not {width} numbers as "
                    "the first list: give all the same length"
                )
            if any(each is None for each in given):
                missing = np.zeros(len(part), dtype=np.bool_) if missing is None else missing
                missing[k] = True
            else:
                values[k] = given
        return Column(values, missing)

    return ColumnType(name, "list", dtype, width), read


def _objects(series: nw.Series[Any], name: str) -> tuple[ColumnType, Read]:
    """A column of Python objects: text, dates or lists of numbers; reading any other is refused."""
    values = series.to_list()
    missing = np.asarray(series.is_null().to_numpy(), dtype=np.bool_)
    given = [value for value, lost in zip(values, missing, strict=True) if not lost]
    if given and all(isinstance(value, bool | np.bool_) for value in given):
        return ColumnType(name, "boolean"), lambda rows: _booleans(values[rows], missing[rows])
    if given and all(isinstance(value, datetime.date) for value in given):
        have_zones = {getattr(value, "tzinfo", None) is not None for value in given}
        if len(have_zones) > 1:
            return ColumnType(name, "time"), _refusing(
                f"column {name[:100]!r} holds times with a zone and times without; give all a zone"
            )
        kind_of_times = ColumnType(name, "time", per_second=PER_SECOND["us"], has_zone=have_zones.pop())
        return kind_of_times, lambda rows: _dates(values[rows], missing[rows])
    are_lists = given and all(isinstance(value, list | tuple | np.ndarray) for value in given)
    if are_lists and (dtype := _type_of_lists(given)) is not None:
        return _rows_of_lists(series, name, dtype)
    if given and all(isinstance(value, str) for value in given):
        return ColumnType(name, "text"), lambda rows: _texts(values[rows], missing[rows])
    return ColumnType(name, "number"), _refusing(_of_objects(values, missing, name))


def _refusing(problem: str) -> Read:
    def refuse(rows: slice) -> Column:
        raise DecodeError(problem)

    return refuse


def _type_of_lists(given: list[Any]) -> np.dtype[Any] | None:
    """The common type of lists of numbers; None if some hold anything else, such as lists or text."""
    try:
        arrays = [np.asarray([np.nan if each is None else each for each in value]) for value in given]
    except ValueError:  # lists of different lengths
        return None
    filled = [array for array in arrays if array.size]
    if any(array.ndim != 1 or array.dtype.kind not in "iuf" for array in filled):
        return None
    return np.result_type(*{array.dtype for array in filled}) if filled else np.dtype(np.float64)


def _booleans(values: list[Any], missing: NDArray[np.bool_]) -> Column:
    given = np.fromiter((not lost and bool(value) for value, lost in zip(values, missing, strict=True)), dtype=np.bool_)
    return Column(given, missing if missing.any() else None)


def _of_objects(values: list[Any], missing: NDArray[np.bool_], name: str) -> str:
    """What is wrong with a column of objects: the first that is no number, or that all are."""
    shown, kept = f"column {name[:100]!r}", np.flatnonzero(~missing)
    odd = next((int(k) for k in kept if not isinstance(values[k], Number | np.bool_)), None)
    if odd is not None:
        return (
            f"{shown}, {in_row(odd)} holds {str(values[odd])[:60]!r} of type {type(values[odd]).__name__}: leave the "
            f"column out with {asked('drop', name)}, or make all its values of one type"
        )
    if not len(kept):
        return f"{shown} holds no value: leave it out with {asked('drop', name)}"
    return (
        f"{shown}, {in_row(int(kept[0]))} holds {str(values[kept[0]])[:60]} as a Python object, as all its rows do: "
        f"convert it with frame.astype({{{name[:100]!r}: 'float64'}})"
    )


def _dates(values: list[Any], missing: NDArray[np.bool_]) -> Column:
    counts = np.zeros(len(values), dtype=np.int64)
    for k, value in enumerate(values):
        if not missing[k]:
            counts[k] = microseconds(value)
    return Column(counts, missing if missing.any() else None)


def _texts(values: list[Any], missing: NDArray[np.bool_]) -> Column:
    levels: dict[str, int] = {}
    given = (-1 if lost else levels.setdefault(value, len(levels)) for value, lost in zip(values, missing, strict=True))
    return _coded(np.fromiter(given, dtype=np.int64, count=len(values)), tuple(levels))
