"""Parquet, read in batches. Errors name the column that is not numeric."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet
from numpy.typing import NDArray

from wdist.data.readers.labels import choose, codes
from wdist.data.readers.tables import BLOCK_BYTES, check_width, column_label, first_not_finite, not_finite_message
from wdist.data.tables.found import DecodeError, Found, TooLargeError
from wdist.data.tables.writer import ArrayWriter
from wdist.definitions.reading import Selection


def read(source: IO[bytes], writer: ArrayWriter, take: Selection) -> Found:
    """Read columns of numbers, or one column of lists of equal length, in the columns' common type."""
    try:
        table = pa_parquet.ParquetFile(
            source, pre_buffer=False, thrift_string_size_limit=1 << 24, thrift_container_size_limit=1 << 20,
            page_checksum_verification=True, arrow_extensions_enabled=False,
        )  # fmt: skip
        schema = table.schema_arrow
        check_width(len(schema))
        if table.metadata.num_rows == 0 or len(schema) == 0:
            raise DecodeError("the table holds no values")
        chosen = choose(schema.names, len(schema), take)
        if len(chosen) < len(schema):
            if len(set(schema.names)) < len(schema):
                raise DecodeError("two columns have the same name; rename one before you choose by name")
            schema = pa.schema([schema.field(k) for k in chosen])
        if take.labels is not None:
            writer.begin((1,), np.dtype(np.int64))
            for batch in table.iter_batches(batch_size=65_536, use_threads=False, columns=schema.names):
                writer.append(codes(batch.column(0), take.labels))
            writer.end()
            return Found(list(schema.names))
        is_lists = len(schema) == 1 and _is_list(schema.field(0).type)
        dtypes = [_numeric(field) for field in schema]
        dtype = np.result_type(*dtypes)
        declared = table.metadata.num_rows * dtype.itemsize * len(schema)
        if declared > writer.max_bytes:
            raise TooLargeError(f"it declares {declared:,} bytes of values, the limit is {writer.max_bytes:,}")
        rows = max(1, min(65_536, BLOCK_BYTES // (dtype.itemsize * len(schema))))
        batches = table.iter_batches(batch_size=rows, use_threads=False, columns=schema.names)
        _write(_matrices(batches, schema, dtype, is_lists), writer, dtype, None if is_lists else schema.names)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # a disk error, not a malformed file
        raise DecodeError("it cannot be read as Parquet: " + str(error).splitlines()[0][:200]) from error
    return Found(None if is_lists else list(schema.names))


def _write(
    matrices: Iterator[NDArray[Any]], writer: ArrayWriter, dtype: np.dtype[Any], names: list[str] | None
) -> None:
    taken = 0
    for matrix in matrices:
        if not taken:
            writer.begin(matrix.shape[1:], dtype)
        if (at := first_not_finite(matrix)) is not None:
            raise DecodeError(
                f"{column_label(at[1], names)}, row {taken + at[0]} (the first is 0) {not_finite_message(matrix[at])}"
            )
        taken += len(matrix)
        writer.append(matrix)
    writer.end()


def _matrices(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, dtype: np.dtype[Any], is_lists: bool
) -> Iterator[NDArray[Any]]:
    for batch in batches:
        for field, column in zip(schema, batch.columns, strict=True):
            if column.null_count:
                raise DecodeError(f"column {field.name[:100]!r} has missing values; remove or impute them")
        if not batch.num_rows:
            continue
        if is_lists:
            values = batch.column(0).flatten()
            if values.null_count or len(values) % batch.num_rows:
                raise DecodeError("the lists have missing values or different lengths; give all the same length")
            lengths = batch.column(0).value_lengths() if not _is_fixed(schema.field(0).type) else None
            if lengths is not None and len(lengths.unique()) != 1:
                raise DecodeError("the lists have different lengths; give all the same length")
            yield values.to_numpy(zero_copy_only=False).astype(dtype).reshape(batch.num_rows, -1)
        else:
            columns = [column.to_numpy(zero_copy_only=False).astype(dtype, copy=False) for column in batch.columns]
            yield np.column_stack(columns)


def _is_fixed(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_list(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(_is_fixed(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _numeric(field: pa.Field) -> np.dtype[Any]:
    kind = field.type.value_type if _is_list(field.type) else field.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise DecodeError(
            f"column {field.name[:100]!r} is of type {str(field.type)[:100]}, not numbers; "
            "leave it out with ?drop=NAME, or encode it"
        )
    dtype: np.dtype[Any] = np.dtype(kind.to_pandas_dtype())
    return dtype
