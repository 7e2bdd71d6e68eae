"""Rows inside a JSON object, as HTTP requests send small sets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import IO, Any

import numpy as np

from wdist.data.tables.coder import TableCoder
from wdist.data.tables.columns import Column, ColumnType
from wdist.data.tables.found import DecodeError, Found
from wdist.data.tables.naming import NO_UNICODE, is_unicode
from wdist.data.tables.writer import ArrayWriter
from wdist.definitions.reading import Selection

_WANTED = "samples must be a list of rows of numbers: [[1.5, 2], [0.3, 4]], or of numbers: [1.5, 0.3]"


def read(source: IO[bytes], writer: ArrayWriter, take: Selection) -> Found:
    """Read {"samples": [[...], ...]} as float64; a flat list is one column. "columns" (names), "name" are optional.

    null is a missing value, text a level of a category, and a column of true and false is of booleans.
    """
    try:
        body = json.loads(source.read())
    except RecursionError as error:
        raise DecodeError('it is nested too deeply; send {"samples": [[...], ...]}') from error
    except ValueError as error:
        raise DecodeError(f"it is not JSON: {error}"[:300]) from error
    if not isinstance(body, dict) or "samples" not in body:
        raise DecodeError('there is no list of rows; send {"samples": [[...], ...]}')
    if unknown := sorted(set(body) - {"samples", "columns", "name"}):
        raise DecodeError(f"unknown field {unknown[0][:50]!r}; known are samples, columns and name")
    samples, names, name = body["samples"], body.get("columns"), body.get("name")
    try:
        rows = np.array(samples)
    except (ValueError, RecursionError, OverflowError) as error:
        raise DecodeError("samples has rows of different lengths; give all the same number of values") from error
    if rows.ndim == 1 and isinstance(samples, list):
        rows, samples = rows[:, None], [[value] for value in samples]
    if rows.ndim < 2 or not rows.size:
        raise DecodeError(_WANTED)
    if names is not None and (not isinstance(names, list) or len(names) != rows.shape[1]):
        raise DecodeError(f"columns must be a list of {rows.shape[1]} names")
    if not all(isinstance(given, str) for given in [*(names or []), name or ""]):
        raise DecodeError("name and columns are text")
    if (odd := next((given for given in [*(names or []), name or ""] if not is_unicode(given)), None)) is not None:
        raise DecodeError(f"{odd[:100]!r} {NO_UNICODE}")
    if rows.ndim == 2:
        found = _table(samples, names, writer, take)
        return replace(found, name=name)
    if rows.dtype.kind not in "iuf":
        raise DecodeError(_WANTED)
    writer.begin(rows.shape[1:], np.dtype(np.float64))
    writer.append(rows)
    writer.end()
    return Found(names, name)


def _table(rows: Sequence[Sequence[Any]], names: list[str] | None, writer: ArrayWriter, take: Selection) -> Found:
    shown = names or [str(k) for k in range(len(rows[0]))]
    values = list(zip(*rows, strict=True))
    types = [_type(name, column) for name, column in zip(shown, values, strict=True)]
    if names is None and any(each.kind == "text" for each in types):
        raise DecodeError(f"{_WANTED}; columns of text need names")
    coder = TableCoder(types, take, writer, has_names=names is not None)
    coder.append([_column(values[k], types[k]) for k in coder.chosen])
    return coder.end()


def _type(name: str, values: Sequence[Any]) -> ColumnType:
    given = {type(value) for value in values if value is not None}
    if given == {str}:
        return ColumnType(name, "text", said="text")
    if given == {bool}:
        return ColumnType(name, "boolean")
    if given <= {bool, int, float}:
        return ColumnType(name, "number")
    raise DecodeError(f"column {name[:100]!r} holds values that are not all numbers or all text; {_WANTED}")


def _column(values: Sequence[Any], kind: ColumnType) -> Column:
    is_lost = np.fromiter((value is None for value in values), dtype=np.bool_, count=len(values))
    missing = is_lost if is_lost.any() else None
    if kind.kind == "text":
        levels = tuple(dict.fromkeys("" if value is None else value for value in values))
        places = {level: place for place, level in enumerate(levels)}
        return Column(np.array([places[value or ""] for value in values], dtype=np.int64), missing, levels)
    try:
        numbers = np.array([0 if value is None else value for value in values], dtype=np.float64)
    except OverflowError as error:
        raise DecodeError(f"column {kind.name[:100]!r} holds a number that float64 cannot hold") from error
    return Column(numbers.astype(np.bool_) if kind.kind == "boolean" else numbers, missing)
