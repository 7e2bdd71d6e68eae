"""AnnData: the matrix X of an .h5ad file, or an embedding of its cells, and columns of obs beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from wdist.data.columns import repeated
from wdist.data.readers.extras.sparse import is_sparse, open_sparse
from wdist.data.readers.tables import BLOCK_BYTES, check_width
from wdist.data.tables.coder import TableCoder, level_of
from wdist.data.tables.columns import Column, ColumnType
from wdist.data.tables.found import DecodeError, Found, TooLargeError
from wdist.data.tables.naming import instead, option_of
from wdist.data.tables.writer import ArrayWriter
from wdist.definitions.reading import Selection

_MATRIX = ""  # what the coder calls X, which no option can name
Matrix = Any  # of shape (n, d): rows by slice are arrays


def read(source: IO[bytes], writer: ArrayWriter, take: Selection) -> Found:
    """Read X, with the names of var as those of the columns, or `take.embedding` of obsm; densely, in their own type.

    A column of obs is read if the reading names it. Raises DecodeError, and TooLargeError before anything is read that
    would be larger than a sample set may be.
    """
    source.seek(0)
    try:
        with h5py.File(source, "r") as file:
            return _File(file, take).read(writer)
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # a disk error, not a malformed file
        raise DecodeError("it cannot be read as AnnData: " + (str(error) or type(error).__name__)[:200]) from error


@dataclass
class _File:
    file: h5py.File
    take: Selection

    def read(self, writer: ArrayWriter) -> Found:
        take = self.take
        matrix, names = self._matrix()
        obs = self._group("obs")
        columns = [name for name in obs.attrs.get("column-order", ()) if isinstance(name, str)]
        kept = self._kept(names, columns)
        types = [] if not kept else [
            ColumnType(_MATRIX, "list", matrix.dtype, len(kept), parts=tuple(names[k] for k in kept))
        ]  # fmt: skip
        n, width = int(matrix.shape[0]), sum(each.width for each in types)
        if not n:
            raise DecodeError("it has no cells")
        if take.labels is None and n * width * matrix.dtype.itemsize > writer.max_bytes:
            raise TooLargeError(
                f"{n:,} rows of {width:,} values are more than the {writer.max_bytes:,} bytes that a sample set may "
                "have; take fewer columns, or an embedding"
            )
        wanted = [name for name in columns if name in self._named()]
        given = {name: _values(_member(obs, name), n, name) for name in wanted}
        types += [ColumnType(name, given[name][0], said=given[name][0]) for name in wanted]
        coder = TableCoder(types, take.model_copy(update={"columns": None, "drop": []}), writer)
        for rows in self._blocks(n, matrix.dtype.itemsize * matrix.shape[1]):
            coder.append([
                Column(_rows(matrix, rows, kept)) if types[k].name == _MATRIX else _part(given[types[k].name][1], rows)
                for k in coder.chosen
            ])  # fmt: skip
        return coder.end()

    def _matrix(self) -> tuple[Matrix, list[str]]:
        """The matrix (n, d) and the names of its columns."""
        embedding = self.take.embedding
        if embedding is None:
            matrix = _open_matrix(_member(self.file, "X"), "X")
            names = _texts(self._index("var"))
        else:
            entries = self._group("obsm")
            if embedding not in entries:
                there = ", ".join(entries) or "none"
                raise DecodeError(f"obsm has no entry {embedding[:100]!r}; there are {there[:300]}")
            matrix = _open_matrix(_member(entries, embedding), f"obsm[{embedding!r}]")
            names = [f"{embedding}[{k}]" for k in range(matrix.shape[1])]
        check_width(matrix.shape[1])
        if len(names) != matrix.shape[1]:
            raise DecodeError(f"X has {matrix.shape[1]:,} columns, but var {len(names):,} names")
        if (twice := repeated(names)) is not None:
            raise DecodeError(
                f"two variables are named {twice[:100]!r}; give each a name of its own (adata.var_names_make_unique())"
            )
        return matrix, names

    def _named(self) -> set[str]:
        take = self.take
        return {*(take.columns or ()), *take.categories, *take.dates, *([take.labels] if take.labels else [])} - {
            *take.drop
        }

    def _kept(self, names: Sequence[str], obs: Sequence[str]) -> list[int]:
        """Places of the columns of the matrix that the reading takes."""
        take, places = self.take, {name: k for k, name in enumerate(names)}
        for name in sorted(self._named() | set(take.drop)):
            if name not in places and name not in obs:
                if take.needed is not None and name in take.drop:
                    continue
                there = ", ".join(obs)[:300] or "none"
                way = instead(name, [*obs, *names], option_of(name, take))
                raise DecodeError(f"no column is named {name[:100]!r}; obs has {there}{way}")
            if name in places and name in obs:
                raise DecodeError(f"{name[:100]!r} is the name of a variable and of a column of obs; rename one")
            if name in places and (name in take.categories or name in take.dates):
                raise DecodeError(f"{name[:100]!r} is a column of numbers; only columns of obs can be declared so")
        taken = range(len(names)) if take.columns is None else [places[name] for name in take.columns if name in places]
        return [k for k in taken if names[k] not in take.drop]

    def _index(self, group: str) -> NDArray[Any]:
        frame = self._group(group)
        name = frame.attrs.get("_index", "_index")
        return np.asarray(_array(_member(frame, str(name)))[:])

    def _group(self, name: str) -> h5py.Group:
        found = _member(self.file, name)
        if not isinstance(found, h5py.Group):
            raise DecodeError(f"its {name} is in the form of anndata before 0.7: write it again with a newer anndata")
        return found

    @staticmethod
    def _blocks(n: int, row_bytes: int) -> Iterator[slice]:
        step = max(1, min(65_536, BLOCK_BYTES // max(1, row_bytes)))
        return (slice(start, min(start + step, n)) for start in range(0, n, step))


def _member(group: h5py.Group, name: str) -> Any:
    """A member of a group. Raises DecodeError if it is not there, or is kept in another file, which none may read."""
    if name not in group:
        raise DecodeError(f"it has no {name[:100]}")
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise DecodeError(f"its {name[:100]} is a link; write the values themselves into the file")
    found = group[name]
    return _array(found) if isinstance(found, h5py.Dataset) else found


def _array(found: Any) -> h5py.Dataset:
    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
        raise DecodeError("it keeps values outside the file; write the values themselves into it")
    return found


def _open_matrix(found: Any, name: str) -> Matrix:
    matrix = open_sparse(found, _member, name) if is_sparse(found) else found
    if isinstance(matrix, h5py.Group):
        raise DecodeError(f"{name} is neither a dense matrix nor a sparse one of numbers")
    if len(matrix.shape) != 2 or matrix.dtype.kind not in "iuf":
        raise DecodeError(f"{name} of shape {tuple(matrix.shape)} and type {matrix.dtype} is no matrix of numbers")
    return matrix


def _rows(matrix: Matrix, rows: slice, kept: Sequence[int]) -> NDArray[Any]:
    block = np.asarray(matrix[rows])
    return block if len(kept) == block.shape[1] and list(kept) == list(range(len(kept))) else block[:, list(kept)]


def _texts(values: NDArray[Any]) -> list[str]:
    return [value.decode() if isinstance(value, bytes) else level_of(value) for value in values.tolist()]


def _values(found: Any, n: int, name: str) -> tuple[Any, Column]:
    """A column of obs: what its type says, and its values (n,). Raises DecodeError for a type that is none of data."""
    column = _in_group(found) if isinstance(found, h5py.Group) else _in_array(np.asarray(found[:]))
    if column is None or len(column[1].values) != n:
        raise DecodeError(f"column {name[:100]!r} of obs cannot be read; write it as numbers, text or a category")
    return column


def _in_array(values: NDArray[Any]) -> tuple[Any, Column] | None:
    if values.ndim != 1:
        return None
    if values.dtype.kind in "iuf":
        return "number", Column(values)
    if values.dtype.kind == "b":
        return "boolean", Column(values)
    if values.dtype.kind in "OS":
        distinct, places = np.unique(np.array(_texts(values), dtype=object), return_inverse=True)
        return "text", Column(places.astype(np.int64), None, tuple(distinct.tolist()))
    return None


def _in_group(group: h5py.Group) -> tuple[Any, Column] | None:
    if {"codes", "categories"} <= set(group):
        codes = np.asarray(_member(group, "codes")[:]).astype(np.int64)
        levels = tuple(_texts(np.asarray(_member(group, "categories")[:])))
        if codes.ndim != 1 or not levels or codes.max(initial=-1) >= len(levels):
            return None
        is_lost = codes < 0
        return "category", Column(np.where(is_lost, 0, codes), is_lost if is_lost.any() else None, levels)
    if {"values", "mask"} <= set(group):
        found = _in_array(np.asarray(_member(group, "values")[:]))
        mask = np.asarray(_member(group, "mask")[:]).astype(np.bool_)
        if found is None or mask.shape != found[1].values.shape:
            return None
        return found[0], Column(found[1].values, mask if mask.any() else None, found[1].levels)
    return None


def _part(column: Column, rows: slice) -> Column:
    return Column(column.values[rows], None if column.missing is None else column.missing[rows], column.levels)
