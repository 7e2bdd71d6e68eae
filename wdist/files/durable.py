"""Files that a power cut leaves whole: the old content or the new one, never half of it."""

from __future__ import annotations

import os
from pathlib import Path

from wdist.files.outputs import no_folder


def replace_file(path: Path, data: bytes) -> None:
    """Replace `path` atomically and durably: after a crash, the disk holds either the old file or the new one."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        if not path.parent.is_dir():
            raise no_folder(path) from error
        part.unlink(missing_ok=True)
        if error.filename is None:
            raise
        # Messages name the file that was asked for, and this one alone: a second name, even None, is printed.
        raise OSError(error.errno, error.strerror, str(path)) from error
    sync_folder(path.parent)


def write_file(path: Path, data: bytes) -> None:
    """Write a report or another file that can be made again. Raises OSError that names a lacking folder."""
    if not path.parent.is_dir():
        raise no_folder(path)
    path.write_bytes(data)


def sync_folder(path: Path) -> None:
    """Put a folder's entries on the disk: after a power cut, a renamed file is found under its new name."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows cannot open a folder, so there is nothing to sync there
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
