"""The sweep: stored content that no row names goes into quarantine, and some days later it is deleted.

A crash between storing a file and writing its row leaves such content. A wrong or damaged database makes everything
look like it. So the sweep runs only on a storage that is bound to this database, moves before it deletes, brings back
what a row names after all, and stops where it would take out more than a share of all.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from sqlalchemy.orm import Session

from wdist_service.database import Database
from wdist_service.installation import is_bound
from wdist_service.maintenance.schedule import Task
from wdist_service.settings import Settings
from wdist_service.storage.files import Storage
from wdist_service.storage.references import is_named, named
from wdist_service.tables import Property

log = logging.getLogger("wdist.maintenance")
HANDFUL = 20  # so many leftovers of crashes are taken out, whatever their share
_FILES_EVERY, _OBJECTS_EVERY = 10, 60  # intervals of maintenance; listing a bucket takes long and costs
_AT_ONCE = 500
_STATE = "sweep"


@dataclass(frozen=True)
class Swept:
    """What a sweep did. `stopped`: why it moved nothing, in words."""

    stored: int
    unnamed: int
    stopped: str | None = None
    set_aside: int = 0
    brought_back: int = 0
    deleted: int = 0


def content_task(database: Database, storage: Storage, settings: Settings) -> Task:
    """The sweep as a task of the whole installation."""
    every = _OBJECTS_EVERY if storage.kind == "objects" else _FILES_EVERY
    return Task(
        "content",
        every * settings.maintenance_seconds,
        lambda: sweep(database, storage, settings),
        is_shared=True,
        first_after=min(30.0, settings.maintenance_seconds),
    )


def sweep(database: Database, storage: Storage, settings: Settings) -> Swept:
    """Sweep once, and note the outcome where `sweep_problem` finds it."""
    swept = _sweep(database, storage, settings)
    if swept.stopped is not None:
        log.error("the sweep stopped: %s", swept.stopped)
    elif swept.set_aside or swept.brought_back or swept.deleted:
        log.info(
            "swept",
            extra={"set_aside": swept.set_aside, "brought_back": swept.brought_back, "deleted": swept.deleted},
        )
    with database.write() as session:
        session.merge(Property(name=_STATE, value=json.dumps({"stopped": swept.stopped})))
    return swept


def sweep_problem(session: Session) -> str | None:
    """Why the last sweep stopped; None if it did not."""
    row = session.get(Property, _STATE)
    stopped = None if row is None else json.loads(row.value)["stopped"]
    return None if stopped is None else str(stopped)


def _sweep(database: Database, storage: Storage, settings: Settings) -> Swept:
    if not is_bound(database, storage):
        return Swept(0, 0, f"the storage in {storage.where} no longer belongs to this database; nothing was moved")
    brought_back, deleted = _tend_quarantine(database, storage, settings.quarantine_seconds)
    stored, unnamed = 0, list[str]()
    for hashes in _chunks(storage.stored()):
        stored += len(hashes)
        with database.read() as session:
            unnamed += set(hashes) - named(session, hashes)
    if len(unnamed) > max(HANDFUL, settings.sweep_share * stored):
        reason = (
            f"no row of the database names {len(unnamed):,} of {stored:,} stored files, more than "
            f"{settings.sweep_share:.0%}; nothing was moved. If the database is the right one, set "
            "WDIST_SERVER_SWEEP_SHARE=1 for one start: they are kept in quarantine for "
            f"{settings.quarantine_seconds / 86_400:g} days"
        )
        return Swept(stored, len(unnamed), reason, 0, brought_back, deleted)
    set_aside = sum(_set_aside(database, storage, sha256) for sha256 in unnamed)
    return Swept(stored, len(unnamed), None, set_aside, brought_back, deleted)


def _set_aside(database: Database, storage: Storage, sha256: str) -> bool:
    with database.write() as session:
        database.hold(session, sha256)
        if is_named(session, sha256):  # by an upload since it was listed
            return False
        storage.set_aside(sha256)
        return True


def _tend_quarantine(database: Database, storage: Storage, seconds: float) -> tuple[int, int]:
    """Bring back what rows name, delete what is old enough; returns how many of each."""
    brought_back = deleted = 0
    places = list(storage.quarantined())
    with database.read() as session:
        wanted = named(session, sorted({place.sha256 for place in places if not place.is_damaged}))
    for place in places:
        if place.sha256 in wanted and not place.is_damaged and not storage.has(place.sha256):
            with database.write() as session:
                database.hold(session, place.sha256)
                brought_back += is_named(session, place.sha256) and storage.bring_back(place.sha256)
        elif place.age >= seconds:
            storage.drop(place)
            deleted += 1
    return brought_back, deleted


def _chunks(hashes: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(hashes)
    while chunk := list(islice(rest, _AT_ONCE)):
        yield chunk
