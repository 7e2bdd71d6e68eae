"""Sample sets: opening them, reading their rows, and computing their digest and column statistics."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wdist.data.columns import names_for
from wdist.data.files import rows_of
from wdist.data.tables.schema import TableSchema
from wdist.definitions.reading import Selection
from wdist.errors import OptionError, SampleError
from wdist.rounding import UNIT_ROUNDOFF

Layout = Literal["nhwc", "nchw"]
Rows = NDArray[np.float64]

BLOCK_ELEMENTS = 1 << 20  # streamed passes hold a few blocks of this many elements, about 30 MB, whatever n is


@dataclass(frozen=True)
class ColumnStatistics:
    """Statistics of each column of a sample set (images flattened), float64, in the units of the stored array.

    minimum, maximum, mean, deviation: shape (d,). deviation is the population standard deviation (division by n).
    """

    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]


class SampleSet:
    """A set of rows drawn from a distribution: an array in memory or a memory-mapped file, never copied whole.

    array: (n, ...), or what gives such rows at a slice or an index array; name: what messages call the set; n: number
    of rows; row_shape: (d,) for tables, (c, h, w) for images; dtype: as stored; layout: "nhwc" or "nchw" for images
    with channels; divisor: 255 for uint8 images, else 1; names: a table's column names, or None; table: what the
    columns mean if the array holds codes of a table with categories, dates, booleans or missing values; notes: what was
    left out of the data, in sentences.
    """

    def __init__(
        self,
        array: Any,
        name: str,
        layout: Layout | None,
        names: list[str] | None,
        table: TableSchema | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.array = array
        self.names = names
        self.table = table
        self.notes = list(notes)
        self.name = name
        self.n = int(array.shape[0])
        self.dtype: np.dtype[Any] = array.dtype
        self.is_image = array.ndim >= 3
        self.layout = layout
        self.divisor = 255.0 if self.is_image and array.dtype == np.uint8 else 1.0
        shape = tuple(int(extent) for extent in array.shape[1:])
        self.row_shape: tuple[int, ...] = shape
        if len(shape) == 0:
            self.row_shape = (1,)
        elif len(shape) == 2:
            self.row_shape = (1, *shape)
        elif len(shape) == 3 and layout == "nhwc":
            self.row_shape = (shape[2], shape[0], shape[1])

    def __repr__(self) -> str:
        return f"SampleSet({self.name!r}, n={self.n}, row_shape={self.row_shape}, dtype={self.dtype})"

    def __len__(self) -> int:
        return self.n

    @property
    def columns(self) -> list[str]:
        """Column names, or their numbers from 0 if they have none."""
        return self.names or [str(i) for i in range(self.dimension)]

    @property
    def rounding(self) -> float:
        """Largest relative error of a value of `rows`: 0 where float64 has every value of the stored type."""
        is_exact = self.divisor == 1.0 and not (self.dtype.kind in "iu" and self.dtype.itemsize == 8)
        return 0.0 if is_exact else UNIT_ROUNDOFF

    @property
    def dimension(self) -> int:
        """Number of values in one row."""
        return int(np.prod(self.row_shape))

    def rows(self, index: NDArray[np.integer[Any]] | slice) -> Rows:
        """The rows at an index array or slice: float64 (len, *row_shape), in the user's units (uint8 images / 255)."""
        block = np.asarray(self.array[index])
        values = block.astype(np.float64)
        if self.divisor != 1.0:
            values /= self.divisor
        if self.layout == "nhwc":
            values = np.ascontiguousarray(values.transpose(0, 3, 1, 2))
        return values.reshape(len(block), *self.row_shape)

    def blocks(self, index: NDArray[np.integer[Any]] | None = None) -> Iterator[Rows]:
        """All rows, or those at `index` in its order, in blocks of bounded size; otherwise as `rows` returns them."""
        step = self._block_rows
        total = self.n if index is None else len(index)
        for start in range(0, total, step):
            stop = min(start + step, total)
            yield self.rows(slice(start, stop) if index is None else index[start:stop])

    @property
    def _block_rows(self) -> int:
        return max(1, BLOCK_ELEMENTS // max(1, self.dimension))

    @cached_property
    def sha256(self) -> str:
        """Digest of the element type, shape and values in row order, independent of the file format.

        SHA-256 of the ASCII line `wdist rows 1 <dtype> <shape>\\n` (as in `<f4 10000x64`), then the C-ordered bytes.
        """
        digest = hashlib.sha256()
        shape = "x".join(str(extent) for extent in self.array.shape)
        stored = self.dtype.newbyteorder("<") if self.dtype.byteorder == ">" else self.dtype
        digest.update(f"wdist rows 1 {stored.str} {shape}\n".encode("ascii"))
        for start in range(0, self.n, self._block_rows):
            block = np.ascontiguousarray(self.array[start : start + self._block_rows], dtype=stored)
            digest.update(block.tobytes())
        return digest.hexdigest()

    @cached_property
    def statistics(self) -> ColumnStatistics:
        """Statistics of each column, in one streamed pass.

        Raises SampleError for a value that is not finite or beyond float32, naming the row and column of the first.
        """
        d = self.dimension
        minimum, maximum = np.full(d, np.inf), np.full(d, -np.inf)
        mean, squares = np.zeros(d), np.zeros(d)
        for start in range(0, self.n, self._block_rows):
            raw = np.asarray(self.array[start : start + self._block_rows])
            block = raw.reshape(len(raw), -1).astype(np.float64)
            low, high = block.min(axis=0), block.max(axis=0)
            limit = float(np.finfo(np.float32).max)
            if not (np.all(low >= -limit) and np.all(high <= limit)):  # NaN fails every comparison
                self._refuse_value(block, start, limit)
            np.minimum(minimum, low, out=minimum)
            np.maximum(maximum, high, out=maximum)
            # Chan, Golub and LeVeque's pairwise update: no cancellation for columns with a large offset
            block_mean = block.mean(axis=0)
            block -= block_mean
            shift = block_mean - mean
            share = len(raw) / (start + len(raw))
            squares += np.einsum("ij,ij->j", block, block) + shift**2 * start * share
            mean += shift * share
        return ColumnStatistics(minimum, maximum, mean, np.sqrt(squares / max(1, self.n)))

    def _refuse_value(self, block: NDArray[np.float64], start: int, limit: float) -> None:
        row, column = np.argwhere(~(np.abs(block) <= limit))[0]
        value = block[row, column]
        problem = "beyond the range of float32; rescale the column" if np.isfinite(value) else "not finite"
        advice = "" if np.isfinite(value) else "; remove or impute such rows"
        raise SampleError(
            f"{self.name}: the value {value} in row {start + row}, {self.column_name(int(column))} is {problem}{advice}"
        )

    def column_name(self, column: int) -> str:
        """A flattened column of the data as given: "column 'price'", "column 3", or "pixel (h, w, c)" of an image."""
        if not self.is_image:
            name = self.columns[column]
            return f"column {name if name == str(column) else repr(name)}"
        return f"pixel {tuple(int(i) for i in np.unravel_index(column, self.array.shape[1:]))}"


def open_samples(
    data: Any,
    name: str = "source",
    layout: str | None = None,
    take: Selection | None = None,
    *,
    member: str | None = None,
    drop: Sequence[str] = (),
    labels: str | None = None,
) -> SampleSet:
    """Open an array, a frame, or a file as a SampleSet.

    Args:
        data: a numpy or torch array or anything array-like, of shape (n,), (n, d), (n, h, w), (n, h, w, c) or
            (n, c, h, w); a frame or a Series of pandas, polars or pyarrow; a sparse matrix of SciPy; an AnnData object;
            or the path of a file. A .npy file is mapped into memory. A .csv, .tsv, .parquet or .npz file, a .zip of
            images or a folder of images is first converted to a temporary .npy file. One array of several is
            FILE.npz:NAME.
        name: what messages call the set.
        layout: "nhwc" or "nchw", for images whose shape is ambiguous.
        take: how a file or a frame is read; the arguments below are parts of it.
        member: array to take from an .npz file.
        drop: columns of a table that are left out.
        labels: the one column of a table that is taken, as int64 codes (n, 1) of its labels, which may be text.

    Raises SampleError if the data is not an array of real numbers, OptionError if the layout does not fit.
    """
    given = {"member": member, "drop": list(drop), "labels": labels}
    take = (take or Selection()).model_copy(update={option: value for option, value in given.items() if value})
    rows = rows_of(data, name, take)
    array = rows.array
    if array.ndim == 0 or array.ndim > 4:
        raise SampleError(
            f"{name}: an array of shape {array.shape} is neither a table (n, d) nor images (n, h, w[, c]); reshape it"
        )
    if 0 in array.shape:
        raise SampleError(f"{name}: an array of shape {array.shape} holds no values; give it rows and columns")
    names = names_for(rows.columns, array.shape[-1]) if array.ndim == 2 else None
    return SampleSet(array, name, _resolve_layout(array, name, layout), names, rows.table, rows.notes)


def _resolve_layout(array: NDArray[Any], name: str, layout: str | None) -> Layout | None:
    if layout not in (None, "nhwc", "nchw"):
        raise OptionError(f"layout {layout!r} is unknown; choose 'nhwc' or 'nchw'")
    if array.ndim < 3 and layout is not None:
        raise OptionError(f"layout {layout!r} is for images; {name} has shape {array.shape}: leave layout out")
    if array.ndim != 4:
        return None
    if layout is not None:
        return "nhwc" if layout == "nhwc" else "nchw"
    channels = (1, 2, 3, 4)
    last, first = array.shape[3] in channels, array.shape[1] in channels
    if last == first:
        raise OptionError(
            f"{name}: images of shape {array.shape} may be (n, h, w, c) or (n, c, h, w); say layout='nhwc' or 'nchw'"
        )
    return "nhwc" if last else "nchw"
