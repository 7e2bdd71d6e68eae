"""Sample sets: opening them, reading their rows, and computing their digest and column statistics."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wdist.data.columns import given_names, names_for
from wdist.data.files import FileRows, rows_of
from wdist.data.moments import RunningMoments
from wdist.data.readers.npy import NUMERIC_KINDS
from wdist.data.tables.coder import LARGEST_WHOLE
from wdist.data.tables.encoding import EncodedRows, Encoding
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

    minimum, maximum, mean, deviation: shape (d,), of the values that are not missing; 0 where all are. deviation is the
    population standard deviation (division by n).
    """

    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]


class SampleSet:
    """A set of rows drawn from a distribution: an array in memory or a memory-mapped file, never copied whole.

    name: "source" or "target", used in messages; n: number of rows; row_shape: (d,) for tables, (c, h, w) for images;
    dtype: as stored; layout: "nhwc" or "nchw" for images with channels; divisor: 255 for uint8 images, else 1;
    names: a data frame's column names, or None; table: the schema of the codes in `array`, or None where it holds plain
    numbers; encoding: how codes became the rows of `array`, once sets are compared (`encode_together`); notes: what was
    left out when they were read, each a sentence; take: the selection that they were read by.
    """

    def __init__(
        self,
        array: NDArray[Any] | EncodedRows,
        name: str,
        layout: Layout | None,
        names: list[str] | None,
        *,
        table: TableSchema | None = None,
        notes: Sequence[str] = (),
        take: Selection | None = None,
        file: FileRows | None = None,
    ) -> None:
        self.array: Any = array
        self.names = names
        self.table, self.notes, self.take, self.file = table, list(notes), take or Selection(), file
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
        rows = EncodedRows(self.array, table, encoding)
        return SampleSet(
            rows, self.name, None, encoding.names, table=table, notes=self.notes, take=self.take, file=self.file
        )

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
        value = block[row, column]
        problem = "beyond the range of float32; rescale the column" if np.isfinite(value) else "not finite"
        advice = "" if np.isfinite(value) else "; remove or impute such rows"
        raise SampleError(
            f"{self.name}: the value {value} in row {start + row}, {self.column_name(int(column))} is {problem}{advice}"
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
    *,
    member: str | None = None,
    drop: Sequence[str] = (),
    labels: str | None = None,
    take: Selection | None = None,
) -> SampleSet:
    """Open an array, a frame, or a file as a SampleSet.

    Args:
        data: a numpy or torch array or anything array-like, of shape (n,), (n, d), (n, h, w), (n, h, w, c) or
            (n, c, h, w); or the path of a file. A .npy file is mapped into memory. A .csv, .tsv, .parquet or .npz file,
            a .zip of images or a folder of images is first converted to a temporary .npy file. One array of several is
            FILE.npz:NAME.
        name: "source" or "target", used in messages.
        layout: "nhwc" or "nchw", for images whose shape is ambiguous.
        member: array to take from an .npz file.
        drop: columns of a table that are left out.
        labels: the one column of a file that is taken, as int64 codes (n, 1) of its labels, which may be text.
        take: all of these at once, and how tables are read; `member`, `drop` and `labels` are not given then.

    Raises SampleError if the data is not an array of real numbers, OptionError if the layout does not fit.
    """
    take = take or Selection(member=member, labels=labels, drop=list(drop))
    data = rows_of(data, name, take)
    array = data.array if isinstance(data, FileRows) else _as_array(data, name)
    if isinstance(array, np.ma.MaskedArray):
        array = _unmasked(array, name)
    if array.dtype.kind not in NUMERIC_KINDS:
        raise SampleError(_type_message(data, array, name))
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)  # long double: its padding bytes would enter the digest
    if array.ndim == 0 or array.ndim > 4:
        raise SampleError(
            f"{name}: an array of shape {array.shape} is neither a table (n, d) nor images (n, h, w[, c]); reshape it"
        )
    if 0 in array.shape:
        raise SampleError(f"{name}: an array of shape {array.shape} holds no values; give it rows and columns")
    names = _column_names(data, array, name)
    file = data if isinstance(data, FileRows) else None
    return SampleSet(
        array, name, _resolve_layout(array, name, layout), names, take=take, file=file,
        table=None if file is None else file.table, notes=() if file is None else file.notes,
    )  # fmt: skip


def encode_together(*sets: SampleSet) -> list[SampleSet]:
    """Sets that are compared, as rows of the same columns: encoded if one of them is a table of codes, else unchanged.

    Raises SampleError for columns of other names, kinds or units.
    """
    coded = [each for each in sets if each.table is not None]
    if not coded or all(each.encoding is not None for each in sets):
        return list(sets)
    first = Encoding.of([each.table for each in coded if each.table is not None])
    tables = [each.table or each._as_table(first) for each in sets]
    encoding = Encoding.of(tables, [each.name for each in sets])
    return [each.encoded(encoding) for each in sets]


def _column_names(data: Any, array: NDArray[Any], name: str) -> list[str] | None:
    """A table's column names, or None. Raises SampleError for a repeated name of a frame."""
    names = given_names(data) if array.ndim == 2 else None
    # A file may repeat names, as a server stores it.
    if names is not None and len(set(names)) < len(names) and not isinstance(data, FileRows):
        twice = next(each for k, each in enumerate(names) if each in names[:k])
        raise SampleError(f"{name}: more than one column is named {twice!r}; give each a name of its own")
    return names_for(names, array.shape[-1])


def _as_array(data: Any, name: str) -> NDArray[Any]:
    """View array-like data as numpy without copying. Recognises torch tensors by their methods, without an import."""
    if isinstance(data, np.ndarray):
        return data
    if hasattr(data, "detach") and hasattr(data, "cpu"):
        tensor = data.detach().cpu()
        if str(tensor.dtype) == "torch.bfloat16":  # numpy has no bfloat16; float32 represents every value of it
            tensor = tensor.float()
        return np.asarray(tensor)
    try:
        array = np.asarray(data)
        if array.dtype == object and all(getattr(kind, "kind", "O") in NUMERIC_KINDS for kind in _kinds(data)):
            try:
                return array.astype(np.float64)  # a data frame of numeric and boolean columns
            except TypeError:  # a missing value, <NA>
                raise SampleError(_type_message(data, array, name)) from None
        return array
    except SampleError:
        raise
    except (ValueError, TypeError) as error:
        raise SampleError(f"{name}: not an array: {error}; give every row the same number of columns") from error


def _unmasked(array: np.ma.MaskedArray[Any, Any], name: str) -> NDArray[Any]:
    """The values of a masked array that masks none. Raises SampleError naming the first masked value, if any."""
    if np.ma.is_masked(array):
        row, *rest = (int(i) for i in np.argwhere(np.ma.getmaskarray(array))[0])
        where = f", column {rest[0]}" if len(rest) == 1 else f", at {tuple(rest)}" if rest else ""
        raise SampleError(f"{name}: the value in row {row}{where} is masked; remove or impute such rows")
    return np.asarray(array)


def _kinds(frame: Any) -> list[Any]:
    """Column types of a pandas data frame; [None] for anything else."""
    kinds: Any = getattr(frame, "dtypes", None)
    return list(kinds) if hasattr(kinds, "index") else [None]


def _type_message(data: Any, array: NDArray[Any], name: str) -> str:
    """The message for data that is not numeric; it names the first offending column if it can."""
    if data is None:
        return f"{name} is None: give its rows as an array (n, d), a frame, or the path of a .npy file"
    advice = "select the numeric columns or convert with array.astype('float32')"
    if array.dtype == object and array.ndim == 2 and len(array):
        for column in range(array.shape[1]):
            for row, value in enumerate(array[:1000, column]):
                if not isinstance(value, int | float | np.number | np.bool_):
                    label = (given_names(data) or range(array.shape[1]))[column]
                    return f"{name}: row {row}, column {label} holds {value!r}, not a number; {advice}"
    return f"{name}: elements of type {array.dtype} are not real numbers; {advice}"


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
