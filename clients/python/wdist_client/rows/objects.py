"""Sparse matrices of scipy and annotated matrices of anndata; neither library needs to be installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from wdist_client.advice import asked
from wdist_client.errors import OptionError, SampleError
from wdist_client.rows.arrays import NUMBERS
from wdist_client.rows.frames import PandasFrame, pyarrow_for

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

_BLOCK_BYTES = 1 << 20
_BLOCK_VALUES = 1 << 22


def is_sparse(data: Any) -> bool:
    """Whether it is a sparse matrix or array of scipy."""
    return hasattr(data, "tocsr") and hasattr(data, "toarray")


def checked_sparse(matrix: Any, take: Mapping[str, Any]) -> Any:
    """The matrix by rows. Raises SampleError for one that is no table of numbers, or has no names to choose by."""
    import numpy as np

    if matrix.ndim != 2:
        raise SampleError(f"a sparse array of shape {matrix.shape} is no table (n, d): give x.toarray()")
    if matrix.dtype.kind not in NUMBERS:
        raise SampleError(f"sparse values of type {matrix.dtype} are not real numbers; convert them with x.astype")
    if take.keys() & {"columns", "drop", "categories", "dates", "labels", "by"}:
        raise SampleError("a sparse matrix has no names of columns to choose by: choose with x[:, places]")
    if take.get("missing") == "level":
        way = asked("missing", "drop")
        raise SampleError(f"missing values of a sparse matrix are no level: give x.toarray(), or {way}")
    rows = matrix.tocsr()
    return rows.astype(np.float64) if rows.dtype.itemsize > 8 else rows


def dense_blocks(rows: Any) -> Callable[[], Iterator[bytes]]:
    """What gives the bytes of the array that a matrix stands for, row by row."""
    import numpy as np

    width = rows.shape[1] * rows.dtype.itemsize

    def blocks() -> Iterator[bytes]:
        step = max(1, _BLOCK_BYTES // max(1, width))
        for start in range(0, rows.shape[0], step):
            dense = rows[start : start + step].toarray()
            yield np.ascontiguousarray(dense, dtype=rows.dtype.newbyteorder("<")).tobytes()

    return blocks


def is_annotated(data: Any) -> bool:
    """Whether it is an AnnData, recognised by its parts."""
    return all(hasattr(data, part) for part in ("obs", "obsm", "var_names", "n_obs"))


class AnnotatedFrame:
    """X of an AnnData, or an embedding, and after it the columns of obs that a reading names."""

    has_names, is_column, has_index = True, False, False

    def __init__(self, rows: Any, names: Sequence[str], obs: PandasFrame | None) -> None:
        self._rows, self._own, self._obs = rows, list(names), obs
        self.names = [*self._own, *(() if obs is None else obs.names)]

    @classmethod
    def of(cls, data: Any, take: Mapping[str, Any]) -> AnnotatedFrame:
        """Raises SampleError for an embedding that is not there, and for variables of one name."""
        key = take.get("embedding")
        if key is not None and key not in data.obsm:
            raise SampleError(f"no embedding is named {key[:100]!r}; there are {', '.join(map(str, data.obsm))[:300]}")
        found = data.X if key is None else data.obsm[key]
        if found is None:
            raise SampleError(f"it has no X; choose an embedding: {', '.join(map(str, data.obsm))[:300]}")
        if hasattr(found, "columns"):  # a frame in obsm
            names, found = [str(each) for each in found.columns], found.to_numpy()
        elif key is None:
            names = [str(each) for each in data.var_names]
        else:
            names = [f"{key}[{k}]" for k in range(found.shape[1])]
        if len(set(names)) < len(names):
            twice = next(name for k, name in enumerate(names) if name in names[:k])
            raise SampleError(f"more than one variable is named {twice[:100]!r}: call data.var_names_make_unique()")
        found = found.to_memory() if hasattr(found, "to_memory") else found  # of an object that is backed by a file
        wanted = {name for option in ("columns", "categories", "dates") for name in take.get(option, ())}
        wanted |= {take[option] for option in ("labels", "by") if option in take}
        obs = [name for name in data.obs.columns if str(name) in wanted - set(names)]
        rows = checked_sparse(found, {}) if is_sparse(found) else found[:]
        return cls(rows, names, PandasFrame(data.obs[obs]) if obs else None)

    def chosen(self, places: Sequence[int]) -> AnnotatedFrame:
        width = len(self._own)
        own, obs = [k for k in places if k < width], [k - width for k in places if k >= width]
        if list(places) != [*own, *(k + width for k in obs)]:
            raise OptionError("columns of obs come after those of X: put them last in columns")
        rest = None if self._obs is None or not obs else self._obs.chosen(obs)
        rows = self._rows if own == list(range(width)) else self._rows[:, own]
        return AnnotatedFrame(rows, [self._own[k] for k in own], rest)

    def numbers(self, *, missing: bool = False) -> Any:
        """The rows, an array or a sparse matrix."""
        import numpy as np

        if self._obs is not None or self._rows.dtype.kind not in "fiu":
            return None
        stored = self._rows.data if is_sparse(self._rows) else self._rows
        if not missing and stored.dtype.kind == "f" and np.isnan(stored).any():
            return None
        return self._rows

    def write(self, file: IO[bytes]) -> None:
        """Write a Parquet file, in blocks of rows that are made dense."""
        pa, parquet = pyarrow_for(self.names)
        others = {} if self._obs is None else self._obs.arrow_columns()
        step = max(1, _BLOCK_VALUES // max(1, len(self._own)))
        writer = None
        for start in range(0, self._rows.shape[0], step):
            block = self._rows[start : start + step]
            dense = block.toarray() if is_sparse(block) else block
            columns = {name: pa.array(dense[:, k], from_pandas=True) for k, name in enumerate(self._own)}
            columns |= {name: values.slice(start, step) for name, values in others.items()}
            table = pa.table(columns)
            writer = writer or parquet.ParquetWriter(file, table.schema)
            writer.write_table(table)
        if writer is None:
            raise SampleError(f"the data has shape {self._rows.shape} and holds no values; give it rows and columns")
        writer.close()
