"""The operations that we need of a bucket in an S3-compatible store."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from wdist_service.errors import StorageUnavailableError
from wdist_service.settings import Settings

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Store

log = logging.getLogger("wdist.storage")
_PART_BYTES = 16 << 20
_AT_ONCE = 4
_RETRY_SECONDS = 30
_PROBE_SECONDS = 3
_downloads = ThreadPoolExecutor(2 * _AT_ONCE, "download")


class Version(NamedTuple):
    """An object that is written again gets another tag, except with the same bytes."""

    size: int
    tag: str


class Bucket:
    """The operations that we need of a bucket. Errors become StorageUnavailableError, except FileNotFoundError."""

    def __init__(self, settings: Settings) -> None:
        self._slow = _store(settings, _RETRY_SECONDS)
        self._quick = _store(settings, _PROBE_SECONDS)

    def put(self, key: str, file: Path | bytes) -> None:
        """Write an object as a whole."""
        with _translated():
            self._slow.put(key, file, chunk_size=_PART_BYTES, max_concurrency=_AT_ONCE)

    def version(self, key: str) -> Version | None:
        """Size and version of an object; None if it does not exist."""
        with _translated(), contextlib.suppress(FileNotFoundError):
            found = self._slow.head(key)
            return Version(int(found["size"]), str(found.get("e_tag") or found["last_modified"]))
        return None

    def move(self, key: str, to: str) -> None:
        """Give an object another key. Raises FileNotFoundError."""
        with _translated():
            self._slow.copy(key, to)
            self._slow.delete(key)

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
