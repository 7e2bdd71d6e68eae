"""Which stored files the database's rows still name, and the removal of those that no row names."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from wdist_service.database import Database
from wdist_service.storage.files import Storage
from wdist_service.tables import ACTIVE, Artifact, Job, SampleSet, UploadPart

_AT_ONCE = 500  # SQLite limits the variables of a statement


def is_named(session: Session, sha256: str) -> bool:
    """Whether any row still names the file."""
    return any(
        session.execute(select(model.sha256).where(model.sha256 == sha256).limit(1)).first() is not None
        for model in (SampleSet, Artifact, UploadPart)
    )


def named(session: Session, hashes: list[str]) -> set[str]:
    """Which of these files a row still names."""
    found: set[str] = set()
    for start in range(0, len(hashes), _AT_ONCE):
        for model in (SampleSet, Artifact, UploadPart):
            query = select(model.sha256).where(model.sha256.in_(hashes[start : start + _AT_ONCE]))
            found.update(session.execute(query).scalars())
    return found


def active_jobs(session: Session, ids: list[str]) -> set[str]:
    """Which of these jobs are queued or running."""
    found: set[str] = set()
    for start in range(0, len(ids), _AT_ONCE):
        query = select(Job.id).where(Job.id.in_(ids[start : start + _AT_ONCE]), Job.status.in_(ACTIVE))
        found.update(session.execute(query).scalars())
    return found


def discard_unused(database: Database, storage: Storage, hashes: list[str]) -> None:
    """Remove files that no row names, once the deletion of the rows is committed; after a crash, the sweep does it."""
    if not hashes:
        return
    with database.write() as session:
        database.hold(session, *hashes)  # an upload of the same content must not name the file now
        for sha256 in hashes:
            if not is_named(session, sha256):
                storage.discard(sha256)
