"""A folder of images as the archive that a server reads."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from wdist_client.advice import asked
from wdist_client.errors import SampleError

IMAGES = (".png", ".jpg", ".jpeg")
_HIDDEN = (".", "__MACOSX")


def pack(folder: Path, archive: IO[bytes], *, subfolders: bool) -> list[str]:
    """Write the PNG and JPEG files of a folder as a zip archive, in the order of their names; returns notes.

    The names of other files go along without their contents, so that the server says which it left out. The notes are
    about what it does not see: subfolders that are not read. Raises SampleError if there are no images, or if one
    cannot be read: a set is never sent in part.
    """
    try:
        entries = [*_entries(folder, "", subfolders=subfolders)]
        notes = [] if subfolders else _left_out(entries)
        found = sorted((name, entry) for name, entry in entries if not entry.is_dir(follow_symlinks=False))
        if not any(_is_image(name) for name, _ in found):
            raise SampleError("; ".join([f"{folder} holds no {', '.join(IMAGES)} files", *notes]))
        # Stored, not deflated: images are already compressed.
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
            for name, entry in found:
                content = _content(folder, name, entry) if _is_image(name) else b""
                # One date for all: the same images give the same bytes. A name may not be UTF-8.
                packed.writestr(zipfile.ZipInfo(name.encode(errors="backslashreplace").decode()), content)
    except OSError as error:
        raise SampleError(f"{error.filename or folder} cannot be read: {error.strerror or error}") from error
    return notes


def _entries(folder: str | Path, prefix: str, *, subfolders: bool) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """What lies in a folder, with its path from the first folder; links to folders are not followed."""
    with os.scandir(folder) as entries:
        for entry in entries:
            yield prefix + entry.name, entry
            if subfolders and entry.is_dir(follow_symlinks=False) and not entry.name.startswith(_HIDDEN):
                yield from _entries(entry.path, f"{prefix}{entry.name}/", subfolders=True)


def _content(folder: Path, name: str, entry: os.DirEntry[str]) -> bytes:
    """The bytes of an image. Raises SampleError where it is no file."""
    try:
        mode = entry.stat().st_mode
    except FileNotFoundError:
        raise SampleError(f"{folder}: {name!r} is a link to a file that is not there; remove it or mend it") from None
    if not stat.S_ISREG(mode):
        raise SampleError(f"{folder}: {name!r} is no file of bytes but a folder, a pipe or a device; remove it")
    return Path(entry.path).read_bytes()


def _is_image(name: str) -> bool:
    last = name.rpartition("/")[2]
    return last.lower().endswith(IMAGES) and not last.startswith(_HIDDEN)


def _left_out(entries: Sequence[tuple[str, os.DirEntry[str]]]) -> list[str]:
    """What is said of subfolders that are not read."""
    folders = [entry for _, entry in entries if entry.is_dir(follow_symlinks=False)]
    count = {
        entry.name: sum(_is_image(name) for _, _, names in os.walk(entry.path) for name in names)
        for entry in folders
        if not entry.name.startswith(_HIDDEN)
    }
    holding = sorted(name for name, images in count.items() if images)
    if not holding:
        return []
    shown = ", ".join(map(repr, holding[:5])) + (f" and {len(holding) - 5:,} more" if len(holding) > 5 else "")
    total, where = sum(count.values()), f"{len(holding):,} subfolder{'s' if len(holding) > 1 else ''}"
    return [
        f"{total:,} image{'s' if total > 1 else ''} in {where} {'were' if total > 1 else 'was'} left out ({shown}): "
        f"take {'them' if total > 1 else 'it'} with {asked('subfolders', 'true')}"
    ]
