"""Files named by their sha256 under the data directory: written aside, fsynced, then renamed into place."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import itertools
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from wdist_service.errors import StorageUnavailableError
from wdist_service.settings import Settings
from wdist_service.storage import quarantine
from wdist_service.storage.abandoned import Scratch, is_held, remove_abandoned, remove_parts
from wdist_service.storage.checkpoints import Checkpoints
from wdist_service.storage.damage import Checked, DamagedError, digest
from wdist_service.storage.durable import close_folder, make_folder, move_durably, remove, write_durably
from wdist_service.storage.quarantine import SetAside

log = logging.getLogger("wdist.storage")
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_SYNC_BYTES = 8 << 20
_SYNC_FILE_RANGE_WRITE = 2
_libc = ctypes.CDLL(None)
_syncer = ThreadPoolExecutor(4, "sync")
_sealer = ThreadPoolExecutor(4, "seal")  # a seal waits for what is being synced


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


def seal_all(files: Iterable[Incoming]) -> None:
    """Seal files, several at a time: a disk syncs three of them in little more than the time of one."""
    list(_sealer.map(Incoming.seal, files))


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

    Call `place`, `discard` and `set_aside` inside a database transaction that holds the content (`Database.hold`).
    Otherwise a file could be removed while a row that names it is being added.
    """

    kind = "files"

    def __init__(self, settings: Settings) -> None:
        self._data = make_folder(settings.data)
        self._blobs = close_folder(settings.data / "blobs")
        self._incoming = close_folder(settings.data / "incoming")
        self._quarantine = close_folder(settings.data / quarantine.FOLDER)
        self._identity = settings.data / "identity"
        self._scratches = close_folder(settings.data / "scratch")
        self._scratch = Scratch(self._scratches)
        self.checkpoints = Checkpoints(settings.data / "checkpoints")
        self._checked = Checked()
        self._min_free_bytes = settings.min_free_bytes
        self.refusal: str | None = None  # why nothing may be stored here any more (installation.watch_storage)

    @property
    def where(self) -> str:
        """What messages call this storage."""
        return str(self._data)

    # --- content comes

    def incoming(self) -> Incoming:
        """Begin a file. Raises DiskFullError if the disk is nearly full, and StorageUnavailableError at a `refusal`."""
        return self._begin(Incoming)

    def decoded(self) -> Decoded:
        """Begin a file that a decoder fills. Raises DiskFullError as `incoming` does."""
        return self._begin(Decoded)

    def _begin(self, kind: type[Kind]) -> Kind:
        if self.refusal is not None:
            raise StorageUnavailableError(f"{self.refusal}; its administrator must see to it", retry_after=60)
        if self.free_bytes() < self._min_free_bytes:
            raise DiskFullError(f"less than {self._min_free_bytes:,} bytes are free on the server's disk")
        return kind(self._incoming)

    def send(self, file: Incoming) -> None:
        """Do with a sealed file what takes long, before the transaction that calls `place`.

        A stored copy that is damaged is set aside here, and `place` then repairs it.
        """
        path = self._blob(file.sha256)
        with contextlib.suppress(FileNotFoundError):
            if not self._is_sound(file.sha256, path):
                self._set_damaged_aside(file.sha256, path)

    def place(self, file: Incoming) -> None:
        """Give a sealed file its final name; equal content is stored once."""
        path = self._blob(file.sha256)
        if path.exists():
            return
        move_durably(file.path, path)
        self._checked.trust(file.sha256, path)

    # --- content is used

    def path(self, sha256: str) -> Path:
        """A local file with this content, to be opened at once.

        The first time, the file is read through, so call it in a thread. Raises DamagedError if the content is missing
        or is not what its sha256 says; `damage_of` tells whose it is.
        """
        path = self._blob(sha256)
        try:
            if self._checked.holds(sha256, path):
                return path
            self._set_damaged_aside(sha256, path)
        except FileNotFoundError:
            if self.bring_back(sha256):
                return self.path(sha256)
            raise DamagedError(sha256, "missing") from None
        except PermissionError:  # it stays where it is: it may be whole
            raise DamagedError(sha256, "unreadable") from None
        raise DamagedError(sha256, "damaged")

    def keep(self, sha256: str, directory: Path) -> Path:
        """A local file with this content that lasts as long as `directory`, which the caller removes."""
        return self.path(sha256)

    def has(self, sha256: str) -> bool:
        """Whether this content is stored and sound, as far as can be told without a transfer."""
        try:
            return self._is_sound(sha256, self._blob(sha256))
        except FileNotFoundError:
            return False

    def _is_sound(self, sha256: str, path: Path) -> bool:
        """Whether a file can be read and has this content. Raises FileNotFoundError."""
        try:
            return self._checked.holds(sha256, path)
        except PermissionError:
            return False

    def check(self, sha256: str) -> None:
        """Read stored content through, whatever is remembered. Raises DamagedError; changes nothing."""
        try:
            found = digest(self._blob(sha256))
        except FileNotFoundError:
            raise DamagedError(sha256, "missing") from None
        except PermissionError:
            raise DamagedError(sha256, "unreadable") from None
        if found != sha256:
            raise DamagedError(sha256, "damaged")

    # --- content goes

    def discard(self, sha256: str) -> None:
        """Remove content for good: its owner deleted it."""
        remove(self._blob(sha256))
        self._checked.forget(sha256)

    def set_aside(self, sha256: str) -> None:
        """Move content that no row names into quarantine."""
        self._move_aside(self._blob(sha256), quarantine.new_place(sha256))

    def _set_damaged_aside(self, sha256: str, path: Path) -> None:
        place = quarantine.new_place(sha256, is_damaged=True)
        self._move_aside(path, place)
        with contextlib.suppress(FileNotFoundError, PermissionError):
            if digest(self._quarantine / place.key) == sha256:  # repaired in the meantime
                move_durably(self._quarantine / place.key, path)
                return
        log.error("stored content is damaged and was set aside", extra={"sha256": sha256})

    def _move_aside(self, path: Path, place: SetAside) -> None:
        with contextlib.suppress(FileNotFoundError):  # another process was first
            move_durably(path, self._quarantine / place.key)
        self._checked.forget(place.sha256)

    def bring_back(self, sha256: str) -> bool:
        """Bring content back from quarantine; False if it is not there."""
        found = [place for place in self.quarantined() if place.sha256 == sha256]
        for place in sorted(found, key=lambda place: place.is_damaged):
            path = self._quarantine / place.key
            with contextlib.suppress(FileNotFoundError, PermissionError):
                # What was repaired while it was found to be damaged is whole, if its process died at that moment.
                if not place.is_damaged or digest(path) == sha256:
                    move_durably(path, self._blob(sha256))
                    return True
        return False

    def quarantined(self) -> Iterator[SetAside]:
        """What lies in quarantine."""
        for path in self._quarantine.glob("*/*"):
            yield SetAside(f"{path.parent.name}/{path.name}")

    def drop(self, place: SetAside) -> None:
        """Delete a piece of the quarantine for good."""
        path = self._quarantine / place.key
        remove(path)
        with contextlib.suppress(OSError):  # it holds other pieces
            path.parent.rmdir()

    # --- the whole

    def _blob(self, sha256: str) -> Path:
        return self._blobs / sha256[:2] / sha256

    def free_bytes(self) -> int:
        return shutil.disk_usage(self._blobs).free

    def problem(self) -> str | None:
        """Why nothing can be stored now; None if the storage works."""
        if self.refusal is not None:
            return self.refusal
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
        parts = remove_parts(self._data) + remove_parts(self._data / "workers")
        return remove_abandoned(self._incoming) + remove_abandoned(self._scratches) + parts

    def stored(self) -> Iterator[str]:
        """Hashes of stored content that is old enough for a row to name it."""
        for path in self._blobs.glob("??/*"):
            if is_sha256(path.name):
                yield path.name

    def cached(self) -> Iterator[str]:
        """Hashes of content in this host's cache that was not used just now."""
        yield from ()

    def evict(self, sha256: str) -> None:
        """Remove this host's cached copy; never the stored content."""

    def sample(self, most: int) -> list[str]:
        """Hashes of some stored content, of any age; none only if there is none."""
        return list(itertools.islice(Storage.stored(self), most))

    def read_identity(self) -> str | None:
        """What `write_identity` wrote into this storage; None if it never did, or if a power cut took the text."""
        return identity_in(self._identity.read_bytes()) if self._identity.exists() else None

    def write_identity(self, identity: str) -> None:
        """Mark this storage as belonging to a database."""
        write_durably(self._identity, identity.encode() + b"\n")


def is_sha256(name: str) -> bool:
    """Whether a file's name is that of content."""
    return len(name) == 64 and set(name) <= set("0123456789abcdef")


def identity_in(data: bytes) -> str | None:
    """The identity in a file; None if a power cut left it empty, as it could with earlier versions."""
    return data.decode(errors="replace").strip("\0 \n") or None
