"""Blobs and checkpoints in an S3-compatible store that several hosts share, with a cache of files on each host.

Objects are named by their sha256 and appear as a whole (a multipart upload becomes visible when it is completed). So
nobody ever reads half of one, and writing one twice is harmless. Training reads memory-mapped local files only.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from wdist_service.errors import StorageUnavailableError
from wdist_service.settings import Settings
from wdist_service.storage.checkpoints import Active, Checkpoints, number
from wdist_service.storage.files import Incoming, Storage

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Store

log = logging.getLogger("wdist.storage")
_PART_BYTES = 16 << 20
_AT_ONCE = 4
_RETRY_SECONDS = 30
_PROBE_SECONDS = 3
_IN_USE_SECONDS = 60.0  # a path handed out more recently may not have been opened yet
_ORPHAN_SECONDS = 3600.0  # a younger object may belong to an upload that is not committed yet
_SHA256_LENGTH = 64
_downloads = ThreadPoolExecutor(2 * _AT_ONCE, "download")


def open_storage(settings: Settings) -> Storage:
    """The storage that the settings name."""
    return Storage(settings) if settings.storage_url is None else ObjectStorage(settings)


class Bucket:
    """The operations that we need of a bucket. Errors become StorageUnavailableError, except FileNotFoundError."""

    def __init__(self, settings: Settings) -> None:
        self._slow = _store(settings, _RETRY_SECONDS)
        self._quick = _store(settings, _PROBE_SECONDS)

    def put(self, key: str, file: Path | bytes, *, only_new: bool = False) -> None:
        """Write an object as a whole; `only_new` leaves an existing one as it is."""
        from obstore.exceptions import AlreadyExistsError

        with _translated(), contextlib.suppress(AlreadyExistsError):
            if only_new:
                self._slow.put(key, file, mode="create")
            else:
                self._slow.put(key, file, chunk_size=_PART_BYTES, max_concurrency=_AT_ONCE)

    def size(self, key: str) -> int | None:
        """Size of an object in bytes; None if it does not exist."""
        with _translated(), contextlib.suppress(FileNotFoundError):
            return int(self._slow.head(key)["size"])
        return None

    def read(self, key: str) -> bytes:
        """Read a small object. Raises FileNotFoundError."""
        with _translated():
            return bytes(self._slow.get(key).bytes())

    def blocks(self, key: str, size: int) -> Iterator[bytes]:
        """Read an object in ranges, several at a time: one long response would run into a timeout."""

        def fetch(start: int) -> bytes:
            with _translated():
                return bytes(self._slow.get_range(key, start=start, end=min(start + _PART_BYTES, size)))

        starts = iter(range(0, size, _PART_BYTES))
        waiting: list[Future[bytes]] = []
        while True:
            while len(waiting) < _AT_ONCE and (start := next(starts, None)) is not None:
                waiting.append(_downloads.submit(fetch, start))
            if not waiting:
                return
            yield waiting.pop(0).result()

    def list(self, prefix: str) -> Iterator[tuple[str, float]]:
        """(key, age in seconds) of all objects under a prefix."""
        with _translated():
            for page in self._slow.list(prefix, chunk_size=1000):
                now = datetime.now(UTC)
                for entry in page:
                    yield entry["path"], (now - entry["last_modified"]).total_seconds()

    def delete(self, *keys: str) -> None:
        if keys:
            with _translated(), contextlib.suppress(FileNotFoundError):
                self._slow.delete(list(keys))

    def probe(self) -> None:
        """Write a tiny object, with short timeouts."""
        with _translated():
            self._quick.put("probe", b"wdist")


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    from obstore.exceptions import AlreadyExistsError, BaseError

    try:
        yield
    except (FileNotFoundError, AlreadyExistsError):
        raise
    except BaseError as error:
        log.warning("object storage: %s", str(error)[:500])
        raise StorageUnavailableError("the object storage does not answer; try again", retry_after=5) from error


def _store(settings: Settings, seconds: int) -> S3Store:
    from obstore.store import S3Store

    assert settings.storage_url is not None  # noqa: S101 - see open_storage
    config: S3Config = {"region": settings.storage_region}
    if settings.storage_endpoint is not None:
        config["endpoint"] = settings.storage_endpoint
    if settings.storage_access_key is not None and settings.storage_secret_key is not None:
        config["access_key_id"] = settings.storage_access_key
        config["secret_access_key"] = settings.storage_secret_key.get_secret_value()
    return S3Store.from_url(
        settings.storage_url,
        config=config,
        client_options={
            "allow_http": (settings.storage_endpoint or "").startswith("http://"),
            "timeout": timedelta(seconds=2 * seconds), "connect_timeout": timedelta(seconds=min(5, seconds)),
        },
        retry_config={"max_retries": 10, "retry_timeout": timedelta(seconds=seconds)},
    )  # fmt: skip


class ObjectStorage(Storage):
    """Blobs in a bucket, with a cache of the files that this host used last."""

    kind = "objects"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._bucket = Bucket(settings)
        self._cache = settings.data / "cache"
        self._cache.mkdir(parents=True, exist_ok=True)
        self._cache_bytes = settings.cache_bytes
        self._fetching: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self.checkpoints = SharedCheckpoints(settings.data / "checkpoints", self._bucket)

    def send(self, file: Incoming) -> None:
        if self._bucket.size(_key(file.sha256)) != file.bytes:
            self._bucket.put(_key(file.sha256), file.path)

    def place(self, file: Incoming) -> None:
        self.send(file)  # again: another transaction may have discarded the content since `send`
        if not (path := self._cached(file.sha256)).exists():
            path.parent.mkdir(exist_ok=True)
            file.path.rename(path)
            self._evict_oldest()

    def path(self, sha256: str) -> Path:
        """A local file with this content, fetched if it is missing.

        Raises StorageUnavailableError, or FileNotFoundError if no such content is stored.
        """
        path = self._cached(sha256)
        with self._lock:
            lock = self._fetching.setdefault(sha256, threading.Lock())
        with lock:
            try:
                os.utime(path)
            except FileNotFoundError:
                self._fetch(sha256, path)
        with self._lock:
            self._fetching.pop(sha256, None)
        return path

    def keep(self, sha256: str, directory: Path) -> Path:
        """A hard link to the cached file: the cache may evict the file while a job still reads it."""
        kept = directory / sha256
        while not kept.exists():
            with contextlib.suppress(FileNotFoundError):  # evicted before it was linked: fetch it again
                kept.hardlink_to(self.path(sha256))
        return kept

    def discard(self, sha256: str) -> None:
        self._bucket.delete(_key(sha256))
        self._cached(sha256).unlink(missing_ok=True)

    def problem(self) -> str | None:
        try:
            self._bucket.probe()
        except StorageUnavailableError:
            return "the object storage does not answer"
        return super().problem()

    def stored(self) -> Iterator[str]:
        for path in self._cache.glob("??/*"):
            yield path.name  # it may have been deleted through another host
        for key, age in self._bucket.list("blobs/"):
            name = key.rpartition("/")[2]
            if age > _ORPHAN_SECONDS and len(name) == _SHA256_LENGTH:
                yield name

    def cached(self) -> Iterator[str]:
        recent = time.time() - _IN_USE_SECONDS
        for path in self._cache.glob("??/*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < recent:
                    yield path.name

    def evict(self, sha256: str) -> None:
        self._cached(sha256).unlink(missing_ok=True)

    def read_identity(self) -> str | None:
        try:
            return self._bucket.read("identity").decode().strip()
        except FileNotFoundError:
            return None

    def write_identity(self, identity: str) -> None:
        self._bucket.put("identity", identity.encode(), only_new=True)

    def _cached(self, sha256: str) -> Path:
        return self._cache / sha256[:2] / sha256

    def _fetch(self, sha256: str, path: Path) -> None:
        size = self._bucket.size(_key(sha256))
        if size is None:
            raise FileNotFoundError(f"the object storage has no {_key(sha256)}")
        with self.incoming() as file:
            for block in self._bucket.blocks(_key(sha256), size):
                file.write(block)
            file.seal()
            if file.sha256 != sha256:
                raise StorageUnavailableError(f"{_key(sha256)} was damaged in the object storage or on its way")
            path.parent.mkdir(exist_ok=True)
            file.path.rename(path)
        self._evict_oldest()

    def _evict_oldest(self) -> None:
        """Evict the least recently used files until the cache is within its limit; files just handed out stay."""
        with self._lock:
            files = []
            for path in self._cache.glob("??/*"):
                with contextlib.suppress(FileNotFoundError):
                    found = path.stat()
                    files.append((found.st_mtime, found.st_size, path))
            held = sum(size for _, size, _ in files)
            recent = time.time() - _IN_USE_SECONDS
            for used, size, path in sorted(files, key=lambda entry: entry[0]):
                if held <= self._cache_bytes or used > recent:
                    break
                path.unlink(missing_ok=True)
                held -= size


class SharedCheckpoints(Checkpoints):
    """Checkpoints on this host, copied to the bucket so that an attempt on another host can go on from them."""

    def __init__(self, directory: Path, bucket: Bucket) -> None:
        super().__init__(directory)
        self._bucket = bucket
        self._published: dict[Path, int] = {}

    def prepare(self, estimate_id: str, attempt: int) -> Path:
        folder = self._directory / estimate_id
        folder.mkdir(parents=True, exist_ok=True)
        shared = {number(Path(key)): key for key, _ in self._bucket.list(f"checkpoints/{estimate_id}/")}
        earlier = sorted(k for k in shared if k < attempt)
        local = max((number(path) for path in folder.glob("*.checkpoint")), default=0)
        if earlier and earlier[-1] > local:
            part = folder / f"{earlier[-1]}.fetched"
            part.write_bytes(self._bucket.read(shared[earlier[-1]]))
            part.replace(folder / f"{earlier[-1]}.checkpoint")
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
        keys = [key for key, _ in self._bucket.list("checkpoints/")]
        found = sorted({_job_of(key) for key in keys})
        ended = set(found) - (active(found) if found else set())
        self._bucket.delete(*(key for key in keys if _job_of(key) in ended))
        return len(ended)


def _job_of(key: str) -> str:
    return key.split("/")[1]


def _key(sha256: str) -> str:
    return f"blobs/{sha256[:2]}/{sha256}"
