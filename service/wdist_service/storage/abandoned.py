"""Files and folders that a process holds by a lock: one that nobody has locked was left behind by a dead process.

The kernel ends a lock with the process, however that ends, and no clock is asked.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import threading
from pathlib import Path


def is_held(descriptor: int, path: Path) -> bool:
    """Lock a new file or folder for this process; False if a sweep removed it before that, so that it must be made
    again."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def remove_abandoned(folder: Path) -> int:
    """Remove the entries of a folder that no living process has locked; returns how many."""
    return sum(_remove_if_abandoned(path) for path in list(folder.iterdir()))


def _remove_if_abandoned(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # gone in the meantime, or nothing that this server made
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError:  # locked by a living process, or renamed into its place just now
        return False
    finally:
        os.close(descriptor)
    return True


class Scratch:
    """The folder for temporary files of this process, inside the one for those of all processes of the host."""

    def __init__(self, all_processes: Path) -> None:
        self._all = all_processes
        self._lock = threading.Lock()
        self._mine: Path | None = None
        self._descriptor = -1

    @property
    def folder(self) -> Path:
        """This process's own folder, which is made when it is first asked for."""
        with self._lock:
            while self._mine is None:
                path = self._all / secrets.token_hex(8)
                path.mkdir(mode=0o700)
                with contextlib.suppress(FileNotFoundError):
                    self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
                    if is_held(self._descriptor, path):
                        self._mine = path
                    else:
                        os.close(self._descriptor)
            return self._mine

    def close(self) -> None:
        """Remove the folder and what is in it."""
        with self._lock:
            if self._mine is not None:
                shutil.rmtree(self._mine, ignore_errors=True)
                os.close(self._descriptor)
                self._mine = None
