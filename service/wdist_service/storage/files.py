"""Files named by their sha256 under the data directory: written aside, fsynced, then renamed into place."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from wdist_service.settings import Settings
from wdist_service.storage.abandoned import Scratch, is_held, remove_abandoned
from wdist_service.storage.checkpoints import Checkpoints

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_SYNC_BYTES = 8 << 20
_SYNC_FILE_RANGE_WRITE = 2
_libc = ctypes.CDLL(None)
_syncer = ThreadPoolExecutor(4, "sync")


def _begin_writing(descriptor: int, start: int, size: int) -> None:
    """Have the kernel start writing a range to the disk; the final fsync reports any error."""
    if sys.platform == "linux":  # fdatasync would wait for the journal every time
        _libc.sync_file_range(descriptor, ctypes.c_int64(start), ctypes.c_int64(size), _SYNC_FILE_RANGE_WRITE)
    else:
        os.fsync(descriptor)


class DiskFullError(Exception):
    """The disk has no room for a file; nothing of it is kept."""


def is_disk_full(error: BaseException | None) -> bool:
    """Whether this is an OSError that says the disk is full."""
    return isinstance(error, OSError) and error.errno in _DISK_FULL


class Incoming:
    """A file being written. Leaving the block removes it, unless `Storage.place` has renamed it."""

    def __init__(self, directory: Path) -> None:
        while True:
            self._file = tempfile.NamedTemporaryFile(dir=directory, prefix="incoming-", delete=False)  # noqa: SIM115
            self.path = Path(self._file.name)
            if is_held(self._file.fileno(), self.path):
                break
            self._file.close()
        self.bytes = 0
        self._hash = hashlib.sha256()
        self._syncing: Future[None] | None = None
        self._synced, self._sync_at = 0, _SYNC_BYTES

    def write(self, data: bytes | memoryview) -> None:
        self._hash.update(data)
        self._file.write(data)
        self.bytes += len(data)
        if self.bytes >= self._sync_at and (self._syncing is None or self._syncing.done()):
            # Write to the disk while the rest arrives, which leaves little to do for the final fsync.
            self._syncing = _syncer.submit(_begin_writing, self._file.fileno(), self._synced, self.bytes - self._synced)
            self._synced, self._sync_at = self.bytes, self.bytes + _SYNC_BYTES

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def seal(self) -> None:
        """Make sure that everything written is on the disk."""
        if self._syncing is not None:
            self._syncing.result()
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._syncing is not None:
            wait([self._syncing])  # it uses the descriptor
        if not self._file.closed:
            try:
                self._file.close()
            except OSError:  # flushing to a full disk
                if kind is None:
                    raise
        self.path.unlink(missing_ok=True)
        if is_disk_full(error):
            raise DiskFullError(str(error)) from error


class Decoded(Incoming):
    """A file that a child process fills. `write` gets what is read back from it, and only hashes and counts."""

    def write(self, data: bytes | memoryview) -> None:
        self._hash.update(data)
        self.bytes += len(data)

    @property
    def descriptor(self) -> int:
        """The descriptor, open for writing, that the child inherits."""
        return self._file.fileno()


Kind = TypeVar("Kind", bound=Incoming)


class Storage:
    """Blobs as files in the data directory; objects.py has the storage that several hosts share.

    Call `place` and `discard` inside a database transaction that holds the content (`Database.hold`). Otherwise a file
    could be removed while a row that names it is being added.
    """

    kind = "files"

    def __init__(self, settings: Settings) -> None:
        self._blobs = settings.data / "blobs"
        self._incoming = settings.data / "incoming"
        self._identity = settings.data / "identity"
        self._scratches = settings.data / "scratch"
        self._scratch = Scratch(self._scratches)
        self.checkpoints = Checkpoints(settings.data / "checkpoints")
        self._min_free_bytes = settings.min_free_bytes
        for directory in (self._blobs, self._incoming, self._scratches):
            directory.mkdir(parents=True, exist_ok=True)

    def incoming(self) -> Incoming:
        """Begin a file. Raises DiskFullError if the disk is nearly full."""
        return self._begin(Incoming)

    def decoded(self) -> Decoded:
        """Begin a file that a decoder fills. Raises DiskFullError as `incoming` does."""
        return self._begin(Decoded)

    def _begin(self, kind: type[Kind]) -> Kind:
        if self.free_bytes() < self._min_free_bytes:
            raise DiskFullError(f"less than {self._min_free_bytes:,} bytes are free on the server's disk")
        return kind(self._incoming)

    def send(self, file: Incoming) -> None:
        """Upload a sealed file, if blobs are kept elsewhere. As this is slow, call it before the transaction."""

    def place(self, file: Incoming) -> None:
        """Give a sealed file its final name; equal content is stored once."""
        path = self._blob(file.sha256)
        if path.exists():
            return
        path.parent.mkdir(exist_ok=True)
        file.path.rename(path)
        _sync_directory(path.parent)

    def path(self, sha256: str) -> Path:
        """A local file with this content, to be opened at once."""
        return self._blob(sha256)

    def keep(self, sha256: str, directory: Path) -> Path:
        """A local file with this content that lasts as long as `directory`, which the caller removes."""
        return self._blob(sha256)

    def discard(self, sha256: str) -> None:
        self._blob(sha256).unlink(missing_ok=True)

    def _blob(self, sha256: str) -> Path:
        return self._blobs / sha256[:2] / sha256

    def free_bytes(self) -> int:
        return shutil.disk_usage(self._blobs).free

    def problem(self) -> str | None:
        """Why nothing can be stored now; None if the storage works."""
        try:
            with self.incoming() as file:
                file.write(b"wdist")
                file.seal()
        except (OSError, DiskFullError):
            return "not writable, or full"
        return None

    @property
    def scratch(self) -> Path:
        """A folder for temporary files of this process; another process removes it once this one has ended."""
        return self._scratch.folder

    def close(self) -> None:
        """Remove this process's temporary files."""
        self._scratch.close()

    def sweep_unfinished(self) -> int:
        """Remove files that dead processes left unfinished, and their temporary files; returns how many."""
        return remove_abandoned(self._incoming) + remove_abandoned(self._scratches)

    def stored(self) -> Iterator[str]:
        """Hashes of stored content that is old enough for a row to name it."""
        for path in self._blobs.glob("??/*"):
            yield path.name

    def cached(self) -> Iterator[str]:
        """Hashes of content in this host's cache that was not used just now."""
        yield from ()

    def evict(self, sha256: str) -> None:
        """Remove this host's cached copy; never the stored content."""

    def read_identity(self) -> str | None:
        """What `write_identity` wrote into this storage; None if it never did."""
        return self._identity.read_text().strip() if self._identity.exists() else None

    def write_identity(self, identity: str) -> None:
        """Mark this storage as belonging to a database."""
        self._identity.write_text(identity + "\n")


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
