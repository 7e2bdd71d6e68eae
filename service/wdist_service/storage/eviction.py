"""What was deleted through another host leaves this one too: copies in its cache that no row names any more."""

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
    """Remove cached copies of content that is stored nowhere any more; returns how many.

    A copy whose row is still to be committed may go too: it is fetched again when it is needed.
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
    """`evict_deleted` now and then, in a thread of its own."""

    def loop() -> None:
        while not stopping.wait(seconds):
            try:
                evict_deleted(database, storage)
            except (DatabaseError, OSError) as error:
                log.warning("the cache could not be tidied, trying again: %s", error)

    threading.Thread(target=loop, name="eviction", daemon=True).start()
