"""Sample sets: opening them, reading their rows, and computing their digest and column statistics."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Unpack

import numpy as np
from numpy.typing import NDArray

from wdist.data.columns import check_kinds, check_names, names_for
from wdist.data.moments import RunningMoments
from wdist.data.sources.files import FileRows
from wdist.data.sources.rows import rows_of
from wdist.data.tables.coder import LARGEST_WHOLE
from wdist.data.tables.encoding import EncodedRows, Encoding
from wdist.data.tables.kept import KeptRows
from wdist.data.tables.schema import TableSchema
from wdist.definitions.arguments import ReadingArguments
from wdist.definitions.docstrings import shows_fields
from wdist.definitions.reading import Reading, Selection
from wdist.errors import OptionError, SampleError
from wdist.rounding import UNIT_ROUNDOFF

Layout = Literal["nhwc", "nchw"]
Rows = NDArray[np.float64]

BLOCK_ELEMENTS = 1 << 20  # streamed passes hold a few blocks of this many elements, about 30 MB, whatever n is


@dataclass(frozen=True)
class ColumnStatistics:
    """Statistics of each column of a sample set (images flattened), float64, in the units of the stored array.

    minimum, maximum, mean, deviation: shape (d,), of the values that are not missing; 0 where all are. deviation is the
    population standard deviation (division by n).
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
    columns mean if the array holds codes of a table with categories, dates, booleans or missing values; encoding: how
    codes became the rows of `array`, once sets are compared (`encode_together`); notes: what was left out of the data,
    in sentences; take: the selection that they were read by; kept: which rows of the data as given these are, if some
    were left out and it is known.
    """

    def __init__(
        self,
        array: Any,
        name: str,
        layout: Layout | None,
        names: list[str] | None,
        *,
        table: TableSchema | None = None,
        notes: Sequence[str] = (),
        take: Selection | None = None,
        file: FileRows | None = None,
        kept: KeptRows | None = None,
    ) -> None:
        self.array = array
        self.names = names
        self.table, self.notes, self.file, self.kept = table, list(notes), file, kept
        self.take = (None if file is None else file.take) or take or Selection()
        self.encoding: Encoding | None = array.encoding if isinstance(array, EncodedRows) else None
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
    def may_be_missing(self) -> NDArray[np.bool_]:
        """(d,): the columns in which NaN is a missing value, not a fault."""
        if self.encoding is not None:
            return np.array([kind == "optional" for kind in self.encoding.kinds])
        return np.full(self.dimension, self.table is not None and self.table.has_levels_of_missing)

    def encoded(self, encoding: Encoding) -> "SampleSet":
        """The same rows by this encoding. Numbers need no schema: they are taken in the order of its columns.

        Raises SampleError if their columns are not those of the encoding.
        """
        table = self.table or self._as_table(encoding)
        encoding.check(table, self.name)
        rows = EncodedRows(self.array, table, encoding)
        return SampleSet(
            rows, self.name, None, encoding.names, table=table, notes=self.notes, take=self.take, file=self.file,
            kept=self.kept,
        )  # fmt: skip

    def _as_table(self, encoding: Encoding) -> TableSchema:
        """The schema of a set of plain numbers that is compared with a table of other columns, too."""
        names = encoding.schema.names if self.names is None else self.names
        if self.array.ndim != 2:
            raise SampleError(
                f"{self.name}: rows of shape {self.row_shape} are no table; give a table of the same columns"
            )
        if self.dtype.kind in "iu" and self.dtype.itemsize == 8:
            for block in (self.array[k : k + self._block_rows] for k in range(0, self.n, self._block_rows)):
                if int(block.max()) > LARGEST_WHOLE or int(block.min()) < -LARGEST_WHOLE:
                    raise SampleError(
                        f"{self.name} holds whole numbers beyond 2^53, which float64 rounds: leave them out"
                    )
        return TableSchema.of_numbers(names, has_levels_of_missing=encoding.schema.has_levels_of_missing)

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

    def numbers(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """The numbers, in the data as given, of the rows at an index array: rows that were left out are counted."""
        return index if self.kept is None else self.kept.numbers[index]

    def places(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where the rows with these numbers, as `numbers` gives them, are in this set."""
        return numbers if self.kept is None else self.kept.places(numbers)

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
    def file_sha256(self) -> str | None:
        """SHA-256 of the file that the rows came from; None for arrays, folders and standard input."""
        return None if self.file is None else self.file.file_sha256

    @cached_property
    def statistics(self) -> ColumnStatistics:
        """Statistics of each column, in one streamed pass.

        Raises SampleError for a value that is not finite or beyond float32, naming the row and column of the first.
        """
        moments, may_be_missing = RunningMoments((self.dimension,)), self.may_be_missing
        limit = float(np.finfo(np.float32).max)
        for start in range(0, self.n, self._block_rows):
            raw = np.asarray(self.array[start : start + self._block_rows])
            block = raw.reshape(len(raw), -1).astype(np.float64)
            # NaN fails every comparison
            if not (np.all(block.min(axis=0) >= -limit) and np.all(block.max(axis=0) <= limit)):
                self._refuse_values(block, start, limit, may_be_missing)
            moments.add(block)
        return ColumnStatistics(moments.minimum, moments.maximum, moments.mean, moments.deviation)

    def _refuse_values(
        self, block: NDArray[np.float64], start: int, limit: float, may_be_missing: NDArray[np.bool_]
    ) -> None:
        wrong = ~(np.abs(block) <= limit) & ~(np.isnan(block) & may_be_missing)
        if not wrong.any():
            return
        row, column = np.argwhere(wrong)[0]
        value, number = block[row, column], int(self.numbers(start + np.array([row]))[0])
        problem = "beyond the range of float32; rescale the column" if np.isfinite(value) else "not finite"
        advice = "" if np.isfinite(value) else "; remove or impute such rows"
        raise SampleError(
            f"{self.name}: the value {value} in row {number}, {self.column_name(int(column))} is {problem}{advice}"
        )

    def column_name(self, column: int) -> str:
        """A flattened column of the data as given: "column 'price'", "column 3", or "pixel (h, w, c)" of an image.

        Of encoded rows it is the column of the table.
        """
        if self.encoding is not None:
            return f"column {self.encoding.schema.names[self.encoding.columns[column].table_column]!r}"
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
    labels: str | None = None,
    **reading: Unpack[ReadingArguments],
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
        take: how a file or a frame is read; the arguments below are not given then.
        labels: the one column of a table that is taken, as int64 codes (n, 1) of its labels, which may be text.
        {reading}

    Raises SampleError if the data is not an array of real numbers, OptionError if the layout does not fit, or an option
    is unknown or out of range.
    """
    take = take or Selection.checked(labels=labels, **reading)
    rows = rows_of(data, name, take)
    array = rows.array
    if array.ndim == 0 or array.ndim > 4:
        raise SampleError(
            f"{name}: an array of shape {array.shape} is neither a table (n, d) nor images (n, h, w[, c]); reshape it"
        )
    if 0 in array.shape:
        raise SampleError(f"{name}: an array of shape {array.shape} holds no values; give it rows and columns")
    names = names_for(rows.columns, array.shape[-1]) if array.ndim == 2 else None
    file = rows if isinstance(data, FileRows | str | os.PathLike) else None
    return SampleSet(
        array, name, _resolve_layout(array, name, layout), names, take=take, file=file, table=rows.table,
        notes=rows.notes, kept=rows.kept,
    )  # fmt: skip


open_samples = shows_fields(open_samples, ReadingArguments, reading=Reading)


def encode_together(*sets: SampleSet) -> list[SampleSet]:
    """Sets that are compared, as rows of the same columns: encoded if one of them is a table of codes, else unchanged.

    Raises SampleError for columns of other names, kinds or units.
    """
    coded = [each for each in sets if each.table is not None]
    if not coded or all(each.encoding is not None for each in sets):
        return list(sets)
    first = Encoding.of([each.table for each in coded if each.table is not None], [each.name for each in coded])
    named = next((each.names for each in sets if each.names is not None), None)
    for each in sets:
        check_kinds(sets[0].array.shape, each.array.shape, sets[0].name, each.name, (sets[0].names, each.names))
        check_names(named, each.names, sets[0].name, each.name)
    tables = [each.table or each._as_table(first) for each in sets]
    encoding = Encoding.of(tables, [each.name for each in sets])
    return [each.encoded(encoding) for each in sets]


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
