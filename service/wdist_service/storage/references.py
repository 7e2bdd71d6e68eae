"""Which stored files the database's rows still name, and the removal of those that no row names."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from wdist_service.database import Database
from wdist_service.storage.files import Storage
from wdist_service.tables import Artifact, SampleSet, UploadPart


def is_named(session: Session, sha256: str) -> bool:
    """Whether any row still names the file."""
    return any(
        session.execute(select(model.sha256).where(model.sha256 == sha256).limit(1)).first() is not None
        for model in (SampleSet, Artifact, UploadPart)
    )


def named(session: Session, hashes: list[str]) -> set[str]:
    """Which of these files a row still names."""
    found: set[str] = set()
    for start in range(0, len(hashes), 500):  # SQLite limits the variables of a statement
        for model in (SampleSet, Artifact, UploadPart):
            query = select(model.sha256).where(model.sha256.in_(hashes[start : start + 500]))
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
