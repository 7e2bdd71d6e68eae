"""Archives of arrays, as numpy.savez writes them."""

from __future__ import annotations

import tempfile
import zipfile
from typing import IO

from wdist.data.readers import arrays
from wdist.data.readers.archives import members, open_archive
from wdist.data.tables.found import DecodeError, Found, TooLargeError
from wdist.data.tables.naming import asked
from wdist.data.tables.writer import ArrayWriter
from wdist.definitions.reading import Selection

MAX_ARRAYS = 64
_BLOCK_BYTES = 1 << 20


def read(source: IO[bytes], writer: ArrayWriter, take: Selection) -> Found:
    """Copy one array from an .npz file: the array named `take.member`, or the only one if that is None."""
    member = take.member
    with open_archive(source) as archive:
        entries = {entry.filename.removesuffix(".npy"): entry for entry in members(archive, MAX_ARRAYS, writer)}
        if any(not entry.filename.endswith(".npy") for entry in entries.values()):
            raise DecodeError("an .npz file holds .npy arrays only; write it with numpy.savez")
        if member is None and len(entries) != 1:
            names = ", ".join(sorted(entries))[:300] or "none"
            raise DecodeError(f"it holds {len(entries)} arrays ({names}); choose one with {asked('member', 'NAME')}")
        if (entry := entries.get(next(iter(entries)) if member is None else member)) is None:
            raise DecodeError(f"it holds no array {member!r}; there are {', '.join(sorted(entries))[:300]}")
        if take.missing == "error":
            _copy(archive, entry, writer)
            return Found()
        with tempfile.TemporaryFile() as unpacked:
            _copy(archive, entry, ArrayWriter(unpacked.fileno(), writer.max_bytes))
            return arrays.read(unpacked, writer, take)


def _copy(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, writer: ArrayWriter) -> None:
    if entry.file_size > writer.max_bytes:
        raise TooLargeError(f"{entry.filename!r} declares {entry.file_size:,} bytes, the limit is {writer.max_bytes:,}")
    with archive.open(entry) as stream:
        while block := stream.read(_BLOCK_BYTES):
            writer.raw(block)
