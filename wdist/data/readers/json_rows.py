"""Rows inside a JSON object, as HTTP requests send small sets."""

from __future__ import annotations

import json
from typing import IO

import numpy as np

from wdist.data.tables.found import DecodeError, Found
from wdist.data.tables.writer import ArrayWriter
from wdist.definitions.reading import Selection


def read(source: IO[bytes], writer: ArrayWriter, take: Selection) -> Found:
    """Read {"samples": [[...], ...]} as float64; a flat list is one column. "columns" (names), "name" are optional."""
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
    try:
        rows = np.array(body["samples"])
    except (ValueError, RecursionError, OverflowError) as error:
        raise DecodeError("samples has rows of different lengths; give all the same number of values") from error
    if rows.ndim == 1:
        rows = rows[:, None]
    if rows.dtype.kind not in "biuf" or rows.ndim < 2:
        raise DecodeError("samples must be a list of rows of numbers: [[1.5, 2], [0.3, 4]], or of numbers: [1.5, 0.3]")
    columns, name = body.get("columns"), body.get("name")
    if columns is not None and (not isinstance(columns, list) or len(columns) != rows.shape[1]):
        raise DecodeError(f"columns must be a list of {rows.shape[1]} names")
    if not all(isinstance(given, str) for given in [*(columns or []), name or ""]):
        raise DecodeError("name and columns are text")
    writer.begin(rows.shape[1:], np.dtype(np.float64))
    writer.append(rows)
    writer.end()
    return Found(columns, name)
