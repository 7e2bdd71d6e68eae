"""Eviction from this host's cache of content that was deleted, perhaps through another host."""

from __future__ import annotations

import logging
import threading

from sqlalchemy.exc import DatabaseError

from wdist_service.database import Database
from wdist_service.storage.files import Storage
from wdist_service.storage.references import named

log = logging.getLogger("wdist.storage")
EVICTION_SECONDS = 60.0


def evict_deleted(database: Database, storage: Storage) -> int:
    """Remove cached copies of content that no row names any more; returns how many.

    This may remove a copy whose row is not committed yet. It is fetched again when it is needed.
    """
    if not (copies := list(storage.cached())):
        return 0
    with database.read() as session:
        deleted = set(copies) - named(session, copies)
    for sha256 in deleted:
        storage.evict(sha256)
    return len(deleted)


def start_evicting_deleted(
    database: Database, storage: Storage, stopping: threading.Event, seconds: float = EVICTION_SECONDS
) -> None:
    """Call `evict_deleted` every `seconds` seconds in a thread, until `stopping` is set."""

    def loop() -> None:
        while not stopping.wait(seconds):
            try:
                evict_deleted(database, storage)
            except (DatabaseError, OSError) as error:
                log.warning("deleted content could not be evicted from the cache, trying again: %s", error)

    threading.Thread(target=loop, name="eviction", daemon=True).start()
