"""Blobs and checkpoints in an S3-compatible store that several hosts share, with a cache of files on each host.

Objects are named by their sha256 and appear as a whole (a multipart upload becomes visible when it is completed). So
nobody ever reads half of one, and writing one twice is harmless. Training reads memory-mapped local files only.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from wdist_service.errors import StorageUnavailableError
from wdist_service.settings import Settings
from wdist_service.storage import quarantine
from wdist_service.storage.bucket import Bucket, Version
from wdist_service.storage.checkpoints import Active, Checkpoints, number
from wdist_service.storage.damage import Checked, DamagedError
from wdist_service.storage.durable import close_folder, move_durably, remove, write_durably
from wdist_service.storage.files import Incoming, Storage, identity_in, is_sha256
from wdist_service.storage.quarantine import SetAside

log = logging.getLogger("wdist.storage")
_IN_USE_SECONDS = 60.0  # a path handed out more recently may not have been opened yet
_ORPHAN_SECONDS = 3600.0  # a younger object may belong to an upload that is not committed yet
_CHECKPOINT = re.compile(r"checkpoints/[a-z]+_[0-9a-z]+/\d+\.checkpoint")
_REMEMBERED = 4_000  # versions of objects, of about 300 bytes each


def open_storage(settings: Settings) -> Storage:
    """The storage that the settings name."""
    return Storage(settings) if settings.storage_url is None else ObjectStorage(settings)


class ObjectStorage(Storage):
    """Blobs in a bucket, with a cache of the files that this host used last."""

    kind = "objects"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._bucket = Bucket(settings)
        self._url = str(settings.storage_url)
        self._cache = close_folder(settings.data / "cache")
        self._cache_bytes = settings.cache_bytes
        self._fetching: dict[str, threading.Lock] = {}
        self._sound: dict[str, Version] = {}  # objects that this process wrote, or read through
        self._lock = threading.Lock()
        self._checked = Checked(are_linked=True)
        self.checkpoints = SharedCheckpoints(settings.data / "checkpoints", self._bucket)

    @property
    def where(self) -> str:
        return self._url

    def send(self, file: Incoming) -> None:
        """Upload a sealed file, unless the object is known to hold it: that of another host may be damaged."""
        key = _key(file.sha256)
        found = self._bucket.version(key)
        if found is None or found != self._sound.get(file.sha256):
            self._bucket.put(key, file.path)
            self._remember(file.sha256, self._bucket.version(key))

    def place(self, file: Incoming) -> None:
        self.send(file)  # again: another transaction may have discarded the content since `send`
        path = self._cached(file.sha256)
        with contextlib.suppress(FileNotFoundError):
            if self._is_sound(file.sha256, path):
                return
            remove(path)
        move_durably(file.path, path)
        self._checked.trust(file.sha256, path)
        self._evict_oldest()

    def path(self, sha256: str) -> Path:
        """A local file with this content, fetched if it is missing. Raises StorageUnavailableError and DamagedError."""
        path = self._cached(sha256)
        with self._lock:
            lock = self._fetching.setdefault(sha256, threading.Lock())
        try:
            with lock:
                self._bring(sha256, path)
        finally:
            with self._lock:
                self._fetching.pop(sha256, None)
        return path

    def _bring(self, sha256: str, path: Path) -> None:
        """Have the cache hold an object, and note its use."""
        with contextlib.suppress(FileNotFoundError):
            if self._is_sound(sha256, path):
                _touch(path)
                return
            log.error("a cached copy is damaged; fetching it again", extra={"sha256": sha256})
            remove(path)
        self._fetch(sha256, path)

    def keep(self, sha256: str, directory: Path) -> Path:
        """A hard link to the cached file: the cache may evict the file while a job still reads it."""
        kept = directory / sha256
        while not kept.exists():
            with contextlib.suppress(FileNotFoundError):  # evicted before it was linked: fetch it again
                kept.hardlink_to(self.path(sha256))
        return kept

    def has(self, sha256: str) -> bool:
        """Whether the object exists. Damage is met when a host fetches it, which sets the object aside."""
        return self._bucket.version(_key(sha256)) is not None

    def check(self, sha256: str) -> None:
        found = self._bucket.version(_key(sha256))
        if found is None:
            raise DamagedError(sha256, "missing")
        hasher = hashlib.sha256()
        for block in self._bucket.blocks(_key(sha256), found.size):
            hasher.update(block)
        if hasher.hexdigest() != sha256:
            raise DamagedError(sha256, "damaged")

    def discard(self, sha256: str) -> None:
        self._bucket.delete(_key(sha256))
        self.evict(sha256)

    def set_aside(self, sha256: str) -> None:
        self._move_object(quarantine.new_place(sha256))

    def _move_object(self, place: SetAside) -> None:
        with contextlib.suppress(FileNotFoundError):  # another process was first
            self._bucket.move(_key(place.sha256), f"{quarantine.FOLDER}/{place.key}")
        self._sound.pop(place.sha256, None)
        self.evict(place.sha256)

    def bring_back(self, sha256: str) -> bool:
        for place in self.quarantined():
            if place.sha256 == sha256 and not place.is_damaged:
                with contextlib.suppress(FileNotFoundError):
                    self._bucket.move(f"{quarantine.FOLDER}/{place.key}", _key(sha256))
                    return True
        return False

    def quarantined(self) -> Iterator[SetAside]:
        for key, _ in self._bucket.list(f"{quarantine.FOLDER}/"):
            yield SetAside(key.partition("/")[2])

    def drop(self, place: SetAside) -> None:
        self._bucket.delete(f"{quarantine.FOLDER}/{place.key}")

    def problem(self) -> str | None:
        try:
            self._bucket.probe()
        except StorageUnavailableError:
            return "the object storage does not answer"
        return super().problem()

    def stored(self) -> Iterator[str]:
        for sha256, age in self._objects():
            if age > _ORPHAN_SECONDS:
                yield sha256

    def sample(self, most: int) -> list[str]:
        return [sha256 for sha256, _ in itertools.islice(self._objects(), most)]

    def _objects(self) -> Iterator[tuple[str, float]]:
        """(sha256, age in seconds) of every object of content."""
        for key, age in self._bucket.list("blobs/"):
            if is_sha256(name := key.rpartition("/")[2]):
                yield name, age

    def cached(self) -> Iterator[str]:
        recent = time.time() - _IN_USE_SECONDS
        for path in self._cache.glob("??/*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_atime < recent:
                    yield path.name

    def evict(self, sha256: str) -> None:
        remove(self._cached(sha256))
        self._checked.forget(sha256)

    def read_identity(self) -> str | None:
        try:
            return identity_in(self._bucket.read("identity"))
        except FileNotFoundError:
            return None

    def write_identity(self, identity: str) -> None:
        self._bucket.put("identity", identity.encode())

    def _cached(self, sha256: str) -> Path:
        return self._cache / sha256[:2] / sha256

    def _fetch(self, sha256: str, path: Path) -> None:
        """Bring an object into the cache. One that is not what its name says is fetched twice, then set aside."""
        found = None
        for _ in range(2):
            found = self._bucket.version(_key(sha256))
            if found is None and not self.bring_back(sha256):
                raise DamagedError(sha256, "missing")
            found = found or self._bucket.version(_key(sha256))
            if found is not None and self._download(sha256, found, path):
                return self._evict_oldest()
        if self._bucket.version(_key(sha256)) == found:  # not repaired in the meantime
            log.error("an object is damaged and was set aside", extra={"sha256": sha256})
            self._move_object(quarantine.new_place(sha256, is_damaged=True))
        raise DamagedError(sha256, "damaged")

    def _download(self, sha256: str, found: Version, path: Path) -> bool:
        """Fetch an object of this version; False if its content is not what its name says."""
        with self.incoming() as file:
            for block in self._bucket.blocks(_key(sha256), found.size):
                file.write(block)
            file.seal()
            if file.sha256 != sha256:
                return False
            move_durably(file.path, path)
        self._checked.trust(sha256, path)
        self._remember(sha256, found)
        return True

    def _remember(self, sha256: str, version: Version | None) -> None:
        with self._lock:
            if version is not None:
                self._sound[sha256] = version
            while len(self._sound) > _REMEMBERED:
                del self._sound[next(iter(self._sound))]

    def _evict_oldest(self) -> None:
        """Evict the least recently used files until the cache is within its limit; files just handed out stay."""
        with self._lock:
            files = []
            for path in self._cache.glob("??/*"):
                with contextlib.suppress(FileNotFoundError):
                    found = path.stat()
                    files.append((found.st_atime, found.st_size, path))
            held = sum(size for _, size, _ in files)
            recent = time.time() - _IN_USE_SECONDS
            for used, size, path in sorted(files, key=lambda entry: entry[0]):
                if held <= self._cache_bytes or used > recent:
                    break
                remove(path)
                held -= size


class SharedCheckpoints(Checkpoints):
    """Checkpoints on this host, copied to the bucket so that an attempt on another host can go on from them."""

    def __init__(self, directory: Path, bucket: Bucket) -> None:
        super().__init__(directory)
        self._bucket = bucket
        self._published: dict[Path, int] = {}

    def prepare(self, estimate_id: str, attempt: int) -> Path:
        folder = self._folder(estimate_id)
        shared = {number(Path(key)): key for key, _ in self._bucket.list(f"checkpoints/{estimate_id}/")}
        earlier = sorted(k for k in shared if k < attempt)
        local = max((number(path) for path in folder.glob("*.checkpoint")), default=0)
        if earlier and earlier[-1] > local:
            write_durably(folder / f"{earlier[-1]}.checkpoint", self._bucket.read(shared[earlier[-1]]))
        self._bucket.delete(*(shared[k] for k in earlier[:-1]))
        return super().prepare(estimate_id, attempt)

    def publish(self, estimate_id: str, attempt: int) -> None:
        path = self._directory / estimate_id / f"{attempt}.checkpoint"
        try:
            changed = path.stat().st_mtime_ns
            if self._published.get(path) == changed:
                return
            data = path.read_bytes()  # consistent, because the trainer replaces the file as a whole
        except FileNotFoundError:
            return
        self._bucket.put(f"checkpoints/{estimate_id}/{attempt}.checkpoint", data)
        self._published[path] = changed

    def forget(self, estimate_id: str) -> None:
        super().forget(estimate_id)
        folder = self._directory / estimate_id
        self._published = {path: when for path, when in self._published.items() if path.parent != folder}
        self._bucket.delete(*(key for key, _ in self._bucket.list(f"checkpoints/{estimate_id}/")))

    def sweep(self, active: Active) -> int:
        self._published = {path: when for path, when in self._published.items() if path.exists()}
        return super().sweep(active)

    def sweep_shared(self, active: Active) -> int:
        # Another installation may have its prefix below this one's: what is not named as a checkpoint is not ours.
        keys = [key for key, _ in self._bucket.list("checkpoints/") if _CHECKPOINT.fullmatch(key)]
        found = sorted({_job_of(key) for key in keys})
        ended = set(found) - (active(found) if found else set())
        self._bucket.delete(*(key for key in keys if _job_of(key) in ended))
        return len(ended)


def _job_of(key: str) -> str:
    return key.split("/")[1]


def _touch(path: Path) -> None:
    """Note that a cached file is used: in its time of access, as another time of change would be another version."""
    os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))


def _key(sha256: str) -> str:
    return f"blobs/{sha256[:2]}/{sha256}"
