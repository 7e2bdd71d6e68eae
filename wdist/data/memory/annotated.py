"""AnnData objects: rows of X or of an embedding, whose columns are called after the variables, and columns of obs."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wdist.data.columns import repeated
from wdist.data.memory.columns import Read
from wdist.data.memory.frames import coded, columns_of
from wdist.data.memory.sparse import SparseRows, is_sparse
from wdist.data.tables.coder import chosen
from wdist.data.tables.columns import Column, ColumnType
from wdist.data.tables.found import DecodeError, Found
from wdist.definitions.reading import Selection

_BLOCK_VALUES = 1 << 22


def is_annotated(data: Any) -> bool:
    """Whether this is an AnnData object, recognised by its parts."""
    return all(hasattr(data, part) for part in ("obs", "obsm", "var_names", "n_obs"))


def read_annotated(data: Any, take: Selection) -> tuple[Any, Found]:
    """The rows that the reading takes, (n, d), and what was found. Raises DecodeError.

    The columns are those of X, or of the embedding, in their own type; sparse ones stay sparse. Columns of obs that the
    reading names are put after them, as those of a table.
    """
    take = of_variables(data, take)
    if take.missing == "error" and not _of_obs(data, take):
        rows, names = _rows(data, take)
        places = chosen([ColumnType(name, "number") for name in names], take, has_names=True)
        return _chosen(rows, places), Found([names[k] for k in places])
    columns = columns_of_annotated(data, take)
    types, parts = [each[0] for each in columns], [each[1] for each in columns]
    return coded(types, parts, data.n_obs, take, has_names=True)


def of_variables(data: Any, take: Selection) -> Selection:
    """The reading without columns of obs to be left out: they are in no row unless they are asked for."""
    in_obs = set(map(str, data.obs.columns)) - set(map(str, data.var_names))
    return take.model_copy(update={"drop": [each for each in take.drop if each not in in_obs]})


def columns_of_annotated(data: Any, take: Selection) -> list[tuple[ColumnType, Read]]:
    """The columns of the rows, then those of obs that the reading names. Raises DecodeError."""
    rows, names = _rows(data, take)
    asked = _of_obs(data, take)
    return [*_columns(rows, names), *(columns_of(data.obs[asked]) if asked else ())]


def _of_obs(data: Any, take: Selection) -> list[str]:
    wanted = {*(take.columns or ()), *take.categories, *take.dates} - set(map(str, data.var_names))
    return [each for each in map(str, data.obs.columns) if each in wanted]


def _rows(data: Any, take: Selection) -> tuple[Any, list[str]]:
    """What holds the rows, and the names of its columns."""
    key = take.embedding
    if key is not None and key not in data.obsm:
        raise DecodeError(f"no embedding is named {key[:100]!r}; there are {', '.join(map(str, data.obsm))[:300]}")
    found = data.X if key is None else data.obsm[key]
    if found is None:
        raise DecodeError(f"it has no X; choose an embedding: {', '.join(map(str, data.obsm))[:300]}")
    if hasattr(found, "columns"):  # a frame in obsm
        names, found = [str(each) for each in found.columns], found.to_numpy()
    elif key is None:
        names = [str(each) for each in data.var_names]
    else:
        names = [f"{key}[{k}]" for k in range(found.shape[1])]
    if (twice := repeated(names)) is not None:
        raise DecodeError(f"more than one variable is named {twice[:100]!r}: call data.var_names_make_unique() first")
    if is_sparse(found) or hasattr(found, "to_memory"):  # a sparse matrix of a backed object is read whole
        return SparseRows(found.to_memory() if hasattr(found, "to_memory") else found), names
    return (found if isinstance(found, np.ndarray) else _mapped(found)), names


def _mapped(stored: Any) -> NDArray[Any]:
    """A matrix that lies in a file, copied block by block to a temporary array in another order of access."""
    rows, width = stored.shape
    with tempfile.TemporaryFile() as file:  # the system deletes it once the array is no longer mapped
        array: NDArray[Any] = np.memmap(file, dtype=stored.dtype, mode="w+", shape=(rows, width))
    step = max(1, _BLOCK_VALUES // max(1, width))
    for start in range(0, rows, step):
        array[start : start + step] = stored[start : start + step]
    return array


def _chosen(rows: Any, places: list[int]) -> Any:
    if places == list(range(rows.shape[1])):
        return rows
    return rows.columns(places) if isinstance(rows, SparseRows) else rows[:, places]


def _columns(rows: Any, names: list[str]) -> list[tuple[ColumnType, Read]]:
    """Each column of the matrix by itself; a block of rows is made dense once for all of them."""
    last: dict[tuple[int, int], NDArray[Any]] = {}

    def block(part: slice) -> NDArray[Any]:
        if (key := (part.start, part.stop)) not in last:
            last.clear()
            last[key] = np.asarray(rows[part])
        return last[key]

    dtype = np.dtype(rows.dtype)
    return [
        (ColumnType(name, "number", dtype), lambda part, k=k: Column(block(part)[:, k]))  # type: ignore[misc]
        for k, name in enumerate(names)
    ]
