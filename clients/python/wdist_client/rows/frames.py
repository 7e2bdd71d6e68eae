"""Frames as servers read them: plain numbers become an array, all others a Parquet file.

A Parquet file keeps what an array cannot: text, categories, booleans, dates with their zones, missing values, lists. A
server reads it as the library reads the frame itself: without the index, and sparse columns with all their values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from numbers import Number
from typing import IO, TYPE_CHECKING, Any, Protocol

from wdist_client.advice import asked
from wdist_client.errors import SampleError, pip_install
from wdist_client.rows.arrays import NUMBERS

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

_LIBRARIES = ("pandas", "polars", "pyarrow")


class Frame(Protocol):
    """A table in memory.

    names: of its columns, numbers where the user gave them none. is_column: it is a Series, whose numbers are (n,).
    has_index: its metadata says that some of its columns are an index of pandas.
    """

    names: list[str]
    has_names: bool
    is_column: bool
    has_index: bool

    def chosen(self, places: Sequence[int]) -> Frame:
        """These columns only, in this order."""
        ...

    def numbers(self, *, missing: bool = False) -> Array | None:
        """The values (n, d), if all columns are plain numbers and, unless `missing` makes them NaN, none is missing."""
        ...

    def write(self, file: IO[bytes]) -> None:
        """Write a Parquet file. Raises SampleError, which names the column at fault."""
        ...


def library_of(data: Any) -> str | None:
    """pandas, polars or pyarrow, if the data is of one of its classes or of a class derived from one."""
    tops = (kind.__module__.partition(".")[0] for kind in type(data).__mro__)
    return next((top for top in tops if top in _LIBRARIES), None)


def frame_of(data: Any) -> Frame | None:
    """The data as a frame; None where it is no table of pandas, polars, pyarrow or another library that speaks Arrow.

    Raises SampleError for a repeated name of a column.
    """
    frame: Frame
    if isinstance(data, type):
        return None
    library = library_of(data)
    if library == "polars":
        data = _collected(data) if hasattr(data, "collect") else data
        is_column = not hasattr(data, "columns")
        frame = PolarsFrame(data.to_frame() if is_column else data, is_column=is_column)
    elif library == "pandas":
        if not hasattr(data, "dtype") and not hasattr(data, "dtypes"):
            return None
        is_column = not hasattr(data, "columns")
        frame = PandasFrame(data.to_frame() if is_column else data, is_column=is_column)
    elif hasattr(data, "__arrow_c_stream__") or hasattr(data, "column_names"):
        frame = ArrowFrame(data)
    else:
        return None
    names = frame.names
    if len(set(names)) < len(names):
        twice = next(name for k, name in enumerate(names) if name in names[:k])
        raise SampleError(f"more than one column is named {twice!r}; give each a name of its own")
    return frame


def _collected(lazy: Any) -> Any:
    try:
        return lazy.collect()
    except Exception as error:  # whatever the query raises
        said = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise SampleError(f"the lazy frame cannot be collected: {said}") from error


class PandasFrame:
    has_index = False  # an index is no column of the frame

    def __init__(self, frame: Any, *, is_column: bool = False) -> None:
        self._frame = frame
        self.is_column = is_column
        self.names = [name_of(each) for each in frame.columns]
        self.has_names = not are_numbers(frame.columns)

    def chosen(self, places: Sequence[int]) -> PandasFrame:
        return PandasFrame(self._frame.iloc[:, list(places)], is_column=self.is_column)

    def numbers(self, *, missing: bool = False) -> Array | None:
        import numpy as np

        frame = self._frame
        dtypes = [_of_pandas(dtype) for dtype in frame.dtypes]
        if not dtypes or any(dtype is None or dtype.kind not in "fiu" for dtype in dtypes):
            return None
        dtype = np.result_type(*(dtype for dtype in dtypes if dtype is not None))
        if any(frame.iloc[:, k].isna().any() for k in range(len(dtypes))):
            return frame.to_numpy(dtype=np.float64, na_value=np.nan) if missing else None
        values: Array = frame.to_numpy(dtype=dtype)
        return values

    def arrow_columns(self) -> dict[str, Any]:
        """The columns as arrays of Arrow. Raises SampleError, which names the one at fault."""
        pa, _ = pyarrow_for(self.names)
        columns = {}
        for k, name in enumerate(self.names):
            column = self._frame.iloc[:, k]
            _refuse_other(name, column.dtype)
            try:
                columns[name] = values = pa.Array.from_pandas(_for_arrow(column))
            except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
                raise SampleError(_of_objects(column, name) or _unwritable(name, error)) from error
            if column.dtype == object and not _is_of_one_kind(values.type):
                raise SampleError(_of_objects(column, name) or f"column {name[:100]!r} holds no value")
        return columns

    def write(self, file: IO[bytes]) -> None:
        pa, parquet = pyarrow_for(self.names)
        parquet.write_table(pa.table(self.arrow_columns()), file)


class PolarsFrame:
    has_index = False

    def __init__(self, frame: Any, *, is_column: bool = False) -> None:
        self._frame = frame
        self.is_column = is_column
        self.names = list(frame.columns)
        self.has_names = True

    def chosen(self, places: Sequence[int]) -> PolarsFrame:
        chosen = self._frame.get_columns()
        return PolarsFrame(self._frame.select([chosen[k] for k in places]), is_column=self.is_column)

    def numbers(self, *, missing: bool = False) -> Array | None:
        frame = self._frame
        for column in frame.get_columns():
            if not column.dtype.is_numeric() or column.dtype.is_decimal():
                return None
            has_nan = column.dtype.is_float() and column.is_nan().any()
            if not missing and (column.null_count() or has_nan):
                return None
        values: Array = frame.to_numpy()
        return values if values.dtype.kind in NUMBERS else None

    def write(self, file: IO[bytes]) -> None:
        import polars

        for name, kind in self._frame.schema.items():
            _refuse_other(name, kind)
        try:
            self._frame.write_parquet(file)
        except (polars.exceptions.PolarsError, polars.exceptions.PanicException) as error:
            raise SampleError(_unwritable(self._first_unwritable(), error)) from error

    def _first_unwritable(self) -> str | None:
        """The first column that cannot be written by itself."""
        import io

        import polars

        for name in self.names:
            try:
                self._frame.select(polars.col(name)).write_parquet(io.BytesIO())
            except (polars.exceptions.PolarsError, polars.exceptions.PanicException):
                return str(name)
        return None


class ArrowFrame:
    """A table, a batch or a stream of pyarrow, or what another library gives as one."""

    def __init__(self, data: Any) -> None:
        pa, _ = pyarrow_for(None)
        try:
            self._table = pa.table(data)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise SampleError(f"the data is of type {type(data).__name__}, which is no table: {error}") from error
        self.names = list(self._table.column_names)
        self.has_names, self.is_column = True, False
        self.has_index = b"index_columns" in (self._table.schema.metadata or {}).get(b"pandas", b"")

    def chosen(self, places: Sequence[int]) -> ArrowFrame:
        return ArrowFrame(self._table.select(list(places)))

    def numbers(self, *, missing: bool = False) -> Array | None:
        import numpy as np
        import pyarrow as pa

        table = self._table
        is_number = all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in table.schema.types)
        if not table.num_columns or not is_number:
            return None
        columns = [column.to_numpy() for column in table.columns]  # NaN where there is no value
        if not missing and any(column.dtype.kind == "f" and np.isnan(column).any() for column in columns):
            return None
        values: Array = np.empty((table.num_rows, len(columns)), dtype=np.result_type(*columns))
        for k, column in enumerate(columns):
            values[:, k] = column
        return values

    def write(self, file: IO[bytes]) -> None:
        pa, parquet = pyarrow_for(None)
        for name, kind in zip(self.names, self._table.schema.types, strict=True):
            _refuse_other(name, kind)
        try:
            parquet.write_table(_with_named_levels(self._table), file)
        except pa.ArrowException as error:
            raise SampleError(_unwritable(None, error)) from error


def name_of(label: Any) -> str:
    """A column's name; the levels of a label of pandas are joined."""
    return "_".join(map(str, label)) if isinstance(label, tuple) else str(label)


def are_numbers(labels: Any) -> bool:
    """Whether the labels of columns are those that pandas gives to columns without names: 0, 1, ..."""
    listed = list(labels)
    return bool(listed) and all(not isinstance(each, str) and each == k for k, each in enumerate(listed))


def _of_pandas(dtype: Any) -> Any:
    """The numpy type of a column of numbers, or None."""
    import numpy as np

    given = getattr(dtype, "numpy_dtype", getattr(dtype, "subtype", dtype))
    return given if isinstance(given, np.dtype) and getattr(dtype, "kind", "O") in NUMBERS else None


def _with_named_levels(table: Any) -> Any:
    """A table whose dictionaries are of text: Parquet keeps no others."""
    import pyarrow as pa

    for k, field in enumerate(table.schema):
        kind = field.type
        if not pa.types.is_dictionary(kind) or str(kind.value_type) in ("string", "large_string", "string_view"):
            continue
        chunks = []
        for chunk in table.column(k).chunks:
            names = [None if each is None else level_of(each) for each in chunk.dictionary.to_pylist()]
            chunks.append(pa.DictionaryArray.from_arrays(chunk.indices, pa.array(names, pa.string())))
        named = pa.chunked_array(chunks, pa.dictionary(kind.index_type, pa.string()))
        table = table.set_column(k, field.name, named)
    return table


def _for_arrow(column: Any) -> Any:
    """A column of pandas with sparse values as dense ones, and categories as the names of their levels.

    Parquet keeps only categories of text.
    """
    dtype = column.dtype
    if hasattr(dtype, "fill_value"):
        return column.sparse.to_dense()
    if (categories := getattr(dtype, "categories", None)) is not None:
        names = [level_of(each) for each in categories]
        return column.cat.rename_categories(dict(zip(categories, names, strict=True)))
    return column


def level_of(value: Any) -> str:
    """The name of a level: 3 for 3.0, so that tables that type it otherwise agree."""
    if type(value).__name__ in ("bool", "bool_"):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def pyarrow_for(names: Sequence[str] | None) -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        what = "this table" if names is None else f"a frame with text, dates or missing values ({_few(names)})"
        raise SampleError(
            f"sending {what} needs pyarrow: {pip_install('pyarrow')}, or save it as CSV or Parquet and give the path"
        ) from error
    return pyarrow, pyarrow.parquet


def _few(names: Sequence[str]) -> str:
    text = ", ".join(names)
    return text if len(text) <= 100 else f"{text[:100]}..."


_OTHERS = {  # types without a distance, as the libraries write them, and what messages call them
    re.compile(r"timedelta64|[Dd]uration"): "spans of time",
    re.compile(r"Time$|time32|time64"): "times of a day",
    re.compile(r"[Ss]truct"): "structs",
    re.compile(r"[Bb]inary|large_binary|fixed_size_binary"): "bytes",
    re.compile(r"complex|period|interval|[Nn]ull$"): "",
}


def _refuse_other(name: str, kind: Any) -> None:
    """Raise SampleError for a column of a type without a distance, in the words that the library has for it."""
    written = str(kind)[:100]
    if (said := next((said for pattern, said in _OTHERS.items() if pattern.match(written)), None)) is not None:
        raise SampleError(
            f"column {name[:100]!r} is of type {said or written}, for which there is no distance: leave it out with "
            f"{asked('drop', name)}"
        )


def _is_of_one_kind(arrow: Any) -> bool:
    """Whether a column of Python objects holds text, dates or lists, as its type of Arrow says."""
    import pyarrow as pa

    types = pa.types
    of_text = types.is_string(arrow) or types.is_large_string(arrow) or types.is_string_view(arrow)
    return bool(
        of_text
        or types.is_boolean(arrow)
        or types.is_date(arrow)
        or types.is_timestamp(arrow)
        or types.is_nested(arrow)
    )


def _of_objects(column: Any, name: str) -> str | None:
    """What is wrong with a column of Python objects: the first that is no number, or that all are."""
    if column.dtype != object:
        return None
    kept = [(k, value) for k, (value, lost) in enumerate(zip(column, column.isna(), strict=True)) if not lost]
    shown, way = f"column {name[:100]!r}", f"leave the column out with {asked('drop', name)}"
    if not kept:
        return f"{shown} holds no value: {way}"
    odd = next(((k, value) for k, value in kept if not isinstance(value, Number)), None)
    if odd is not None:
        k, value = odd
        return (
            f"{shown}, row {k} (the first is 0) holds {str(value)[:60]!r} of type {type(value).__name__}: {way}, or "
            "make all its values of one type"
        )
    return (
        f"{shown}, row {kept[0][0]} (the first is 0) holds {str(kept[0][1])[:60]} as a Python object, as all its rows "
        f"do: convert it with frame.astype({{{name[:100]!r}: 'float64'}})"
    )


def _unwritable(name: str | None, error: BaseException) -> str:
    said = str(error.args[0] if error.args else error).splitlines()[0]
    if name is None:
        return f"the table cannot be sent: {said}"
    way = f"leave it out with {asked('drop', name)}"
    return f"column {name[:100]!r} cannot be sent: {said}; give all its values one type, or {way}"
