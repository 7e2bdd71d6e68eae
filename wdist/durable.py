"""Files that a power cut leaves whole: the old content or the new one, never half of it."""

from __future__ import annotations

import os
from pathlib import Path


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
        part.unlink(missing_ok=True)
        if error.filename is not None:  # messages name the file that was asked for
            error.filename, error.filename2 = str(path), None
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Put a folder's entries on the disk: after a power cut, a renamed file is found under its new name."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows cannot open a folder, so there is nothing to sync there
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
