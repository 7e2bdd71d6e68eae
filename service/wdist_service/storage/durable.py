"""Files and folders that a power cut leaves whole: the old state or the new one, never half a file or an empty one.

A rename is atomic for the processes of a running machine. The disk, however, may have the new name before it has the
bytes, or neither. So a file is synced before it gets its name, and then the folder that holds the name; a new folder is
synced in its own parent.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from pathlib import Path

FILE_MODE, FOLDER_MODE = 0o600, 0o700


def keep_private() -> None:
    """Let nobody else read what this process creates: SQLite and libraries open files in their own way."""
    os.umask(0o077)


def write_durably(path: Path, data: bytes, mode: int = FILE_MODE) -> None:
    """Write or replace a file as a whole. When this returns, it is on the disk under its name."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            _give(file.fileno(), path.parent)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def move_durably(path: Path, to: Path) -> None:
    """Rename a synced file, perhaps into another folder, where it is on the disk when this returns."""
    make_folder(to.parent)
    path.rename(to)
    sync_folder(to.parent)


def remove(path: Path) -> None:
    """Remove what has this name, if there is anything: a file, or a folder that somebody put in its place."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        if path.is_symlink() or not path.is_dir():
            raise
        shutil.rmtree(path)


def make_folder(path: Path, mode: int = FOLDER_MODE) -> Path:
    """Make a folder and its parents if they are missing, each on the disk; returns it.

    Raises OSError, also where a file is in the way.
    """
    if not path.is_dir():
        if not path.parent.is_dir():
            make_folder(path.parent, mode)
        path.mkdir(mode, exist_ok=True)  # another process may have been first
        _give(path, path.parent)
        sync_folder(path.parent)
    return path


def close_folder(path: Path, mode: int = FOLDER_MODE) -> Path:
    """Make a folder that others cannot enter, or close one that an older version left open; returns it.

    Raises PermissionError unless this process can read and write there.
    """
    found = make_folder(path, mode).stat()
    if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & ~mode:
        path.chmod(mode)
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return path


def _give(made: Path | int, folder: Path) -> None:
    """Give what root made to the owner of the folder: a command of an administrator must not lock the server out."""
    if os.geteuid() == 0 and (owner := folder.stat()).st_uid != 0:
        os.chown(made, owner.st_uid, owner.st_gid)


def sync_folder(path: Path) -> None:
    """Put the names in a folder on the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
