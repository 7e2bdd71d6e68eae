"""Data in memory as tables: frames, sparse matrices, AnnData objects, arrays with missing values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wdist.data.groups import Codes, checked_labels
from wdist.data.memory.annotated import columns_of_annotated, is_annotated, of_variables, read_annotated
from wdist.data.memory.frames import coded, columns_of, is_series, kept_rows, native_frame, read_frame
from wdist.data.memory.sparse import is_sparse, read_sparse
from wdist.data.tables.coder import left_out_note
from wdist.data.tables.columns import Column, ColumnType
from wdist.data.tables.found import DecodeError, Found
from wdist.data.tables.kept import KeptRows
from wdist.data.tables.naming import instead
from wdist.definitions.reading import Selection


def read_memory(data: Any, take: Selection) -> tuple[Any, Found] | None:
    """The rows that the reading takes, (n, d), and what was found; None if `data` is none of these forms.

    Raises DecodeError.
    """
    if is_sparse(data):
        return read_sparse(data, take)
    if is_annotated(data):
        return read_annotated(data, take)
    if (native := native_frame(data)) is not None:
        return read_frame(native, take)
    return None


def labels_in_memory(data: Any, column: str, name: str, take: Selection) -> Codes | None:
    """Codes (n,) of the labels in a column of a frame, or of obs, for the rows that `take` keeps.

    None if `data` is neither. Raises DecodeError, OptionError.
    """
    frame = data.obs if is_annotated(data) else native_frame(data)
    if frame is None or is_series(frame):
        return None
    names = [str(each) for each in getattr(frame, "column_names", None) or frame.columns]
    if column not in names:
        there = ", ".join(names)[:300]
        raise DecodeError(f"no column is named {column[:100]!r}; there are {there}{instead(column, names)}")
    labels = frame.iloc[:, names.index(column)] if hasattr(frame, "iloc") else frame[column]
    if take.missing == "drop":
        take = take.model_copy(update={"labels": None, "drop": [*take.drop, column]})
        labels = np.asarray(labels)[_kept(data, take)]
    return checked_labels(labels, name, len(labels), may_be_codes=False)


def _kept(data: Any, take: Selection) -> NDArray[np.bool_]:
    if is_annotated(data):
        take = of_variables(data, take)
        return kept_rows(columns_of_annotated(data, take), data.n_obs, take)
    native = native_frame(data)
    return kept_rows(columns_of(native), len(native), take)


def read_array(array: NDArray[Any], take: Selection) -> tuple[NDArray[Any], Found]:
    """The rows of an array (n,) or (n, d) in which NaN is a missing value. Raises DecodeError.

    With missing="drop" the rows without one, in the array's own type; with "level" codes, whose columns are called by
    their numbers. Images and an array without missing values stay as they are.
    """
    if take.missing == "error" or array.ndim not in (1, 2):
        return array, Found()
    if take.missing == "drop":
        kept = _without_nan(array)
        if kept.all():
            return array, Found()
        if not kept.any():
            raise DecodeError("every row has a missing value, so that none is left")
        return array[kept], Found(notes=[left_out_note(int(kept.sum()), len(array))], kept=KeptRows.where(kept))
    table = array.reshape(len(array), -1)
    kind = ColumnType.of_matrix(array.dtype, table.shape[1])
    return coded([kind], [lambda rows: Column(table[rows])], len(table), take, has_names=False)


def _without_nan(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows have no NaN, (n,), streamed."""
    kept = np.ones(len(array), dtype=np.bool_)
    if array.dtype.kind == "f":
        step = max(1, (1 << 22) // max(1, array[:1].size))
        for start in range(0, len(array), step):
            part = array[start : start + step]
            kept[start : start + step] = ~np.isnan(part.reshape(len(part), -1)).any(axis=1)
    return kept
