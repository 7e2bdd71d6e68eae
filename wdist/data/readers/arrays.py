"""Arrays of .npy files: copied as they are, or coded where missing values are asked to be more than a refusal."""

from __future__ import annotations

from typing import IO

import numpy as np

from wdist.data.readers.npy import map_npy
from wdist.data.readers.tables import BLOCK_BYTES
from wdist.data.tables.coder import TableCoder
from wdist.data.tables.columns import Column, ColumnType
from wdist.data.tables.found import DecodeError, Found
from wdist.data.tables.writer import ArrayWriter
from wdist.definitions.reading import Selection
from wdist.errors import SampleError


def read(source: IO[bytes], writer: ArrayWriter, take: Selection) -> Found:
    """Copy an .npy file. With `missing` other than "error", NaN in a table (n, d) is a missing value."""
    if take.missing != "error":
        try:
            array = map_npy(source, "it", "the file")
        except SampleError as error:
            raise DecodeError(str(error)) from error
        if array.ndim <= 2 and array.dtype.kind == "f":
            return _code(array.reshape(len(array), -1), writer, take)
    source.seek(0)
    while block := source.read(1 << 20):
        writer.raw(block)
    return Found()


def _code(table: np.ndarray[tuple[int, ...], np.dtype[np.floating]], writer: ArrayWriter, take: Selection) -> Found:
    rows, width = table.shape
    if not width:
        raise DecodeError("the table holds no values")
    coder = TableCoder([ColumnType.of_matrix(table.dtype, width)], take, writer, has_names=False)
    step = max(1, BLOCK_BYTES // (width * table.dtype.itemsize))
    for start in range(0, rows, step):
        coder.append([Column(np.asarray(table[start : start + step]))])
    return coder.end()
