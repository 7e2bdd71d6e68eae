"""Archives: every member's name and size is checked before any is unpacked."""

from __future__ import annotations

import stat
import zipfile
import zlib
from typing import IO

from wdist.data.tables.found import DecodeError, TooLargeError
from wdist.data.tables.writer import ArrayWriter

_ENCRYPTED = 0x1
_IGNORED = "__MACOSX/"


def open_archive(source: IO[bytes]) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(source)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, zlib.error) as error:
        raise DecodeError("it is not a complete zip archive; write it again") from error


def members(archive: zipfile.ZipFile, limit: int, writer: ArrayWriter) -> list[zipfile.ZipInfo]:
    """The files in the archive, checked against malicious members. No file is ever created under a member's name."""
    entries = [entry for entry in archive.infolist() if not entry.is_dir() and not entry.filename.startswith(_IGNORED)]
    if len(entries) > limit:
        raise TooLargeError(f"the archive has {len(entries):,} members, the limit is {limit:,}")
    if len({entry.filename for entry in entries}) != len(entries):
        raise DecodeError("the archive has two members with the same name; write it again")
    for entry in entries:
        name = entry.filename
        parts = name.split("/")
        if name.startswith("/") or "\\" in name or ".." in parts or ":" in parts[0] or "\0" in entry.orig_filename:
            raise DecodeError(f"the member {name[:100]!r} has a path that leads out of the archive; write it again")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise DecodeError(f"the member {name[:100]!r} is a link; put the file itself into the archive")
        if entry.flag_bits & _ENCRYPTED:
            raise DecodeError(f"the member {name[:100]!r} is encrypted; write the archive without a password")
        if entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise DecodeError(f"the member {name[:100]!r} is neither stored nor deflated; write the archive again")
    if sum(entry.file_size for entry in entries) > 4 * writer.max_bytes:
        raise TooLargeError("the archive's members declare far more bytes than a sample set may have")
    return entries
