"""Content is what its name says: a file is read through once for each of its versions before it is used or served.

Everything that is stored is named by its sha256. A disk or a person may change a file afterwards, and what is then
computed from it would carry the digest of other rows.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wdist_service.errors import RequestError

AGAIN = "upload the same file again"  # which repairs it
_REMEMBERED = 20_000  # file versions, of about 200 bytes each
_STRIPES = 64
Version = tuple[int, int, int]  # inode, size in bytes, time of the last change in ns


class DamagedError(RequestError):
    """Stored content is not what its sha256 says, or it is missing. `damage_of` says whose it is."""

    status, type, title = 409, "damaged", "Stored content is damaged"

    def __init__(self, sha256: str, *, is_missing: bool, what: str = "", remedy: str = "send it again") -> None:
        self.sha256 = sha256
        self.is_missing = is_missing
        state = "is missing from this server's storage" if is_missing else "is damaged on this server"
        super().__init__(f"{what or f'content {sha256[:12]}'} {state}: {remedy}")

    def of(self, what: str, remedy: str) -> DamagedError:
        """The same, said by name and with what to do."""
        return DamagedError(self.sha256, is_missing=self.is_missing, what=what, remedy=remedy)


@contextmanager
def damage_of(what: str, remedy: str = AGAIN) -> Iterator[None]:
    """Have damage that is met in the block said by name: "sample set ss_... is damaged on this server: ..."."""
    try:
        yield
    except DamagedError as error:
        raise error.of(what, remedy) from error


class Checked:
    """The versions of files that this process has found to be what they should be. Safe in threads."""

    def __init__(self) -> None:
        self._known: dict[str, Version] = {}
        self._lock = threading.Lock()
        self._stripes = [threading.Lock() for _ in range(_STRIPES)]  # one thread at a time reads a file through

    def holds(self, sha256: str, path: Path) -> bool:
        """Whether the file has this content. Raises FileNotFoundError."""
        with self._stripes[int(sha256[:8], 16) % _STRIPES]:
            version = _version(path)
            if self._known.get(sha256) == version:
                return True
            if digest(path) != sha256:
                self.forget(sha256)
                return False
            if _version(path) == version:
                self._remember(sha256, version)
            return True

    def trust(self, sha256: str, path: Path) -> None:
        """Remember a file whose content was hashed while this process wrote it."""
        self._remember(sha256, _version(path))

    def forget(self, sha256: str) -> None:
        with self._lock:
            self._known.pop(sha256, None)

    def _remember(self, sha256: str, version: Version) -> None:
        with self._lock:
            self._known.pop(sha256, None)  # to the end: the oldest are dropped
            self._known[sha256] = version
            while len(self._known) > _REMEMBERED:
                del self._known[next(iter(self._known))]


def digest(path: Path) -> str:
    """The sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _version(path: Path) -> Version:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
