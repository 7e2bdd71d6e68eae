"""What every process does for its own host: it removes what dead processes left in the data directory."""

from __future__ import annotations

from wdist_service.database import Database
from wdist_service.maintenance.schedule import Task
from wdist_service.storage.eviction import evict_deleted
from wdist_service.storage.files import Storage


def host_tasks(database: Database, storage: Storage, seconds: float) -> list[Task]:
    """The tasks of each process, API or worker: a host may have only one of them."""
    return [
        Task("eviction", seconds, lambda: evict_deleted(database, storage)),
        Task("unfinished files", seconds, storage.sweep_unfinished),
    ]
