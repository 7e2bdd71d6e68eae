"""One decoded table as many arrays: the rows of each level of a column, in a child that maps nothing into memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wdist.data.readers.npy import NpyHeader, read_header
from wdist.data.tables.by import Partition, split_schema
from wdist.data.tables.found import DecodeError, Found
from wdist.data.tables.writer import npy_header

MAX_LEVELS = 200  # sets of one request: each is an open file and a row of one transaction
_BLOCK_BYTES = 4 << 20


def write_levels(
    codes: int, output: int, found: Found, by: str, levels: Sequence[str] | None
) -> tuple[Found, list[tuple[str, int]]]:
    """Write one .npy file for each level, one after the other; returns what they hold, and level and bytes of each.

    codes: descriptor of the decoded table, an .npy file with the column `by`. levels: those that are taken, in this
    order; None: all. Raises OptionError for a level that is not there, DecodeError for too many.
    """
    assert found.table is not None  # noqa: S101 - `by` is a category
    with open(codes, "rb", closefd=False) as file:
        file.seek(0)
        header = read_header(file, "the table")
    place = found.table.names.index(by)
    column = np.concatenate([rows[:, place] for _, rows in _blocks(codes, header)])
    names = found.table.columns[place].levels
    partition = Partition.of(by, column, names, chosen=levels, reference=True)
    if len(partition.levels) > MAX_LEVELS:
        raise DecodeError(
            f"column {by!r} has {len(partition.levels):,} levels, the limit is {MAX_LEVELS}: name those that are to be "
            "stored as levels"
        )
    kept, table = split_schema(found.table, by)
    sizes = _copy(codes, output, header, partition, kept)
    columns = [found.table.names[k] for k in kept]
    notes = [f"in the whole table, before it was split by {by!r}, {note}" for note in found.notes]
    return Found(columns, table=table, notes=notes), list(zip(partition.levels, sizes, strict=True))


def _copy(codes: int, output: int, header: NpyHeader, partition: Partition, kept: list[int]) -> list[int]:
    """Write the kept columns of each row to the place of its set; returns the bytes of each file."""
    counts = np.diff(partition.ends).tolist()
    heads = [npy_header(np.dtype(np.float64), (count, len(kept))) for count in counts]
    sizes = [len(head) + 8 * len(kept) * count for head, count in zip(heads, counts, strict=True)]
    places = []  # where the next row of each set goes
    start = 0
    for head, size in zip(heads, sizes, strict=True):
        _write(output, head, start)
        places.append(start + len(head))
        start += size
    belongs = np.full(header.shape[0], len(counts), dtype=np.int64)  # rows of other levels are in no set
    belongs[partition.order] = np.repeat(np.arange(len(counts)), counts)
    for row, rows in _blocks(codes, header):
        own = belongs[row : row + len(rows)]
        order = np.argsort(own, kind="stable")
        ordered, ends = rows[order][:, kept], np.cumsum(np.bincount(own, minlength=len(counts) + 1))
        for k in range(len(counts)):
            part = ordered[ends[k - 1] if k else 0 : ends[k]]
            if len(part):
                places[k] += _write(output, np.ascontiguousarray(part).tobytes(), places[k])
    return sizes


def _blocks(codes: int, header: NpyHeader) -> Iterator[tuple[int, NDArray[Any]]]:
    """The number of the first row, and the rows, of blocks of the table."""
    rows, width = header.shape
    step = max(1, _BLOCK_BYTES // (8 * width))
    for row in range(0, rows, step):
        size, at = 8 * width * min(step, rows - row), header.offset + 8 * width * row
        yield row, np.frombuffer(os.pread(codes, size, at), np.float64).reshape(-1, width)


def _write(output: int, data: bytes, place: int) -> int:
    view = memoryview(data)
    while view:
        done = os.pwrite(output, view, place)
        view, place = view[done:], place + done
    return len(data)
