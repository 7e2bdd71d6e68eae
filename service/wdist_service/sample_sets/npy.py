"""Check the header of an uploaded .npy body before reading the rest."""

from __future__ import annotations

import io
from dataclasses import replace

from wdist.data.readers.npy import HEADER_LIMIT, NpyHeader
from wdist.data.readers.npy import read_header as parse_header
from wdist.errors import SampleError

_BODY = "the body"
_MAGIC = b"\x93NUMPY"
_MAX_AXIS = 1 << 40  # rows or columns; keeps products far below 64 bits


def read_header(start: bytes) -> NpyHeader | None:
    """Parse the header at the start of a body; None while `start` does not hold all of it.

    An array of shape (rows,) becomes a table of one column. Raises SampleError unless the header declares numbers of
    shape (rows,), (rows, columns), or images of shape (rows, h, w[, channels]).
    """
    if start.startswith(_MAGIC[: len(start)]) and len(start) < _needed(start):
        return None
    header = parse_header(io.BytesIO(start), _BODY)
    if len(header.shape) == 1:
        header = replace(header, shape=(*header.shape, 1))
    if len(header.shape) not in (2, 3, 4):
        raise SampleError(
            f"{_BODY}: an array of shape {header.shape} is neither a table (rows, columns) nor images "
            "(rows, h, w[, channels]); reshape it"
        )
    if not all(0 < extent < _MAX_AXIS for extent in header.shape):
        raise SampleError(f"{_BODY}: an array of shape {header.shape} holds no values")
    return header


def total_bytes(header: NpyHeader) -> int:
    """The exact length of the file, as the header declares it."""
    return header.offset + header.data_bytes


def _needed(start: bytes) -> int:
    """Number of bytes needed to parse the header, or to reject one that is too long."""
    width = 2 if start[6:7] == b"\x01" else 4
    if len(start) < 8 + width:
        return 8 + width
    return 8 + width + min(int.from_bytes(start[8 : 8 + width], "little"), HEADER_LIMIT)
