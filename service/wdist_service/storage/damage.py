"""Content is what its name says: a file is read through once for each of its versions before it is used or served.

Everything that is stored is named by its sha256. A disk or a person may change a file afterwards, and what is then
computed from it would carry the digest of other rows.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from wdist_service.errors import RequestError

AGAIN = "upload the same file again"  # which repairs it
_REMEMBERED = 4_000  # file versions, of about 300 bytes each: with 20,000 a worker grew for days
_STRIPES = 64
# Inode, size in bytes, and the times of the last change of the content and of anything, in ns.
Version = tuple[int, int, int, int]
State = Literal["damaged", "missing", "unreadable"]
_IN_WORDS: dict[State, str] = {
    "damaged": "is damaged on this server",
    "missing": "is missing from this server's storage",
    "unreadable": "cannot be read on this server",  # by the user that it runs as; the content may be whole
}
# What the disk says of content that is lost: it cannot be read, or it is a folder, a loop of links, a socket.
_LOST = frozenset({errno.EIO, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.EUCLEAN, errno.ENODATA})


class DamagedError(RequestError):
    """Stored content is not what its sha256 says, or it is missing. `damage_of` says whose it is."""

    status, type, title = 409, "damaged", "Stored content is damaged"

    def __init__(self, sha256: str, state: State, *, what: str = "", remedy: str = "send it again") -> None:
        self.sha256 = sha256
        self.state = state
        super().__init__(f"{what or f'content {sha256[:12]}'} {self.in_words}: {remedy}")

    @property
    def in_words(self) -> str:
        """What is wrong, as the end of a sentence."""
        return _IN_WORDS[self.state]

    def of(self, what: str, remedy: str) -> DamagedError:
        """The same, said by name and with what to do."""
        return DamagedError(self.sha256, self.state, what=what, remedy=remedy)


@contextmanager
def damage_of(what: str, remedy: str = AGAIN) -> Iterator[None]:
    """Have damage that is met in the block said by name: "sample set ss_... is damaged on this server: ..."."""
    try:
        yield
    except DamagedError as error:
        raise error.of(what, remedy) from error


class Checked:
    """The versions of files that this process has found to be what they should be. Safe in threads.

    are_linked: whether links to the files come and go. Each one changes the time of the last change of anything, which
    is then left out of versions. No program can set that time, so that it shows a change that was made look old.
    """

    def __init__(self, *, are_linked: bool = False) -> None:
        self._are_linked = are_linked
        self._known: dict[str, Version] = {}
        self._lock = threading.Lock()
        self._stripes = [threading.Lock() for _ in range(_STRIPES)]  # one thread at a time reads a file through

    def holds(self, sha256: str, path: Path) -> bool:
        """Whether the file has this content. Raises FileNotFoundError, and PermissionError if it cannot be opened."""
        with self._stripes[int(sha256[:8], 16) % _STRIPES]:
            version = self._version(path)
            if version is not None and self._known.get(sha256) == version:
                return True
            if version is None or digest(path) != sha256:
                self.forget(sha256)
                return False
            if self._version(path) == version:
                self._remember(sha256, version)
            return True

    def trust(self, sha256: str, path: Path) -> None:
        """Remember a file whose content was hashed while this process wrote it."""
        if (version := self._version(path)) is not None:
            self._remember(sha256, version)

    def forget(self, sha256: str) -> None:
        with self._lock:
            self._known.pop(sha256, None)

    def _remember(self, sha256: str, version: Version) -> None:
        with self._lock:
            self._known.pop(sha256, None)  # to the end: the oldest are dropped
            self._known[sha256] = version
            while len(self._known) > _REMEMBERED:
                del self._known[next(iter(self._known))]

    def _version(self, path: Path) -> Version | None:
        """None if this is no file."""
        try:
            found = path.stat()
        except OSError as error:
            if error.errno not in _LOST:
                raise
            return None
        changed = 0 if self._are_linked else found.st_ctime_ns
        return (found.st_ino, found.st_size, found.st_mtime_ns, changed) if stat.S_ISREG(found.st_mode) else None


def digest(path: Path) -> str | None:
    """The sha256 of a file's content; None if this is no file, or one that the disk cannot read.

    Raises FileNotFoundError, and PermissionError if this process may not read it.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            is_file = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            return hashlib.file_digest(file, "sha256").hexdigest() if is_file else None
    except OSError as error:
        if error.errno not in _LOST:
            raise
        return None


def _open_at_once(path: str, flags: int) -> int:
    """A pipe would keep its opener waiting for somebody who writes."""
    return os.open(path, flags | os.O_NONBLOCK)
