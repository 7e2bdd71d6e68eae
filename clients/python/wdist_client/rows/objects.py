"""Sparse matrices of scipy and annotated matrices of anndata; neither library needs to be installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any

from wdist_client.errors import SampleError
from wdist_client.rows.arrays import NUMBERS

if TYPE_CHECKING:
    import numpy as np

_BLOCK_BYTES = 1 << 20


def is_sparse(data: Any) -> bool:
    """Whether it is a sparse matrix or array of scipy."""
    return type(data).__module__.startswith("scipy.sparse") and hasattr(data, "tocsr")


def sparse_blocks(matrix: Any) -> tuple[tuple[int, int], np.dtype[Any], Callable[[], Iterator[bytes]]]:
    """Shape and type of the array that a sparse matrix stands for, and its bytes, row by row."""
    import numpy as np

    if matrix.ndim != 2:
        raise SampleError(f"the data is a sparse array of shape {matrix.shape}: give x.toarray()")
    if matrix.dtype.kind not in NUMBERS:
        raise SampleError(f"the data is a sparse matrix of {matrix.dtype}, which are no numbers: give x.astype(float)")
    rows = matrix.tocsr()
    shape = int(rows.shape[0]), int(rows.shape[1])
    dtype = np.dtype(np.float64) if rows.dtype.itemsize > 8 else rows.dtype.newbyteorder("<")

    def blocks() -> Iterator[bytes]:
        step = max(1, _BLOCK_BYTES // max(1, shape[1] * dtype.itemsize))
        for start in range(0, shape[0], step):
            yield np.ascontiguousarray(rows[start : start + step].toarray(), dtype=dtype).tobytes()

    return shape, dtype, blocks


def is_annotated(data: Any) -> bool:
    """Whether it is an AnnData."""
    return any(kind.__module__.startswith("anndata") and kind.__name__ == "AnnData" for kind in type(data).__mro__)


def annotated(data: Any, file: IO[bytes], take: Mapping[str, Any]) -> None:
    """Write what the reading takes of an AnnData as an .h5ad file: X or an embedding, and columns of obs by name."""
    import shutil
    import tempfile
    from pathlib import Path

    embedding, obs, obsm = take.get("embedding"), data.obs, {}
    if embedding is not None:
        if embedding not in data.obsm:
            raise SampleError(f"obsm has no {embedding[:100]!r}; there are {', '.join(data.obsm.keys())[:300]}")
        obsm[embedding] = data.obsm[embedding]
    named = [name for option in ("columns", "categories", "dates") for name in take.get(option, ())]
    named += [take[option] for option in ("labels", "by") if option in take]
    kept = type(data)(
        X=None if embedding is not None else data.X,
        obs=obs[[name for name in obs.columns if name in named]],
        var=None if embedding is not None else data.var[[]],
        obsm=obsm,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples.h5ad"
        kept.write_h5ad(path)
        with path.open("rb") as written:
            shutil.copyfileobj(written, file)
