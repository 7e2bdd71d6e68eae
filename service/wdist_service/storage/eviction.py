"""Eviction from this host's cache of content that was deleted, perhaps through another host."""

from __future__ import annotations

from wdist_service.database import Database
from wdist_service.storage.files import Storage
from wdist_service.storage.references import named


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
