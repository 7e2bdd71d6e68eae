"""One process at a time: a lock on a file, which the system ends with the process, however that ends."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from wdist.errors import WdistError

PATIENCE = 600.0  # seconds; a first update of a large table trains for minutes
_POLL = 0.05


@contextmanager
def locked(path: Path, seconds: float = PATIENCE) -> Iterator[None]:
    """Hold the lock of this file, which is made if it is missing.

    Waits while another process or thread holds it. Raises WdistError after `seconds`, with the process that holds it,
    and if the file cannot be written.
    """
    with _opened(path) as file:
        end = time.monotonic() + seconds
        while not _is_taken(file):
            if time.monotonic() >= end:
                raise WdistError(f"{path.parent} is being updated by {_holder(file)}: try again when that has ended")
            time.sleep(min(_POLL, seconds))
        try:
            _sign(file)
            yield
        finally:
            _release(file)


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("a+b")
    except OSError as error:
        raise WdistError(
            f"{path.parent} cannot be changed: {error.strerror or error}; give the right to write there, or copy it "
            "to where you have it"
        ) from error


def _sign(file: IO[bytes]) -> None:
    """Note who holds the lock; byte 0 is the one that is locked on Windows."""
    file.truncate(0)
    file.write(f"\n{os.getpid()} {socket.gethostname()}".encode())
    file.flush()


def _holder(file: IO[bytes]) -> str:
    file.seek(1)
    process, _, host = file.read().decode(errors="replace").partition(" ")
    return f"process {process} on {host}" if host else "another process"


if sys.platform == "win32":
    import msvcrt

    def _is_taken(file: IO[bytes]) -> bool:
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _release(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:

    def _is_taken(file: IO[bytes]) -> bool:
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _release(file: IO[bytes]) -> None:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_UN)
