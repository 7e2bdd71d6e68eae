"""What every process does for itself: it removes what dead processes left on its host, and watches its storage."""

from __future__ import annotations

from wdist_service.database import Database
from wdist_service.installation import watch_storage
from wdist_service.maintenance.schedule import Task
from wdist_service.storage.eviction import evict_deleted
from wdist_service.storage.files import Storage
from wdist_service.storage.references import active_jobs

_LISTING_INTERVALS = 10


def host_tasks(database: Database, storage: Storage, seconds: float) -> list[Task]:
    """The tasks of each process, API or worker: a host may have only one of them."""

    def active(ids: list[str]) -> set[str]:
        with database.read() as session:
            return active_jobs(session, ids)

    return [
        Task("binding", seconds, lambda: watch_storage(database, storage)),
        Task("eviction", seconds, lambda: evict_deleted(database, storage)),
        Task("unfinished files", seconds, storage.sweep_unfinished),
        Task("checkpoints", seconds, lambda: storage.checkpoints.sweep(active)),
        # The only one that is not for this host alone. It lists a bucket, for which some stores send a bill.
        Task(
            "shared checkpoints",
            _LISTING_INTERVALS * seconds,
            lambda: storage.checkpoints.sweep_shared(active),
            is_shared=True,
        ),
    ]
