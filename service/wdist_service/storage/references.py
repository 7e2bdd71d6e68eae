"""Which stored files the database's rows still name, and the removal of those that no row names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from wdist_service.database import Database, retried_after_races
from wdist_service.storage.damage import AGAIN, DamagedError
from wdist_service.storage.files import Storage
from wdist_service.tables import ACTIVE, Artifact, Job, MonitorUpdate, SampleSet, UploadPart

_NAMING = (SampleSet, Artifact, UploadPart)
_AT_ONCE = 500  # SQLite limits the variables of a statement


def is_named(session: Session, sha256: str) -> bool:
    """Whether any row still names the file."""
    return any(
        session.execute(select(model.sha256).where(model.sha256 == sha256).limit(1)).first() is not None
        for model in _NAMING
    )


def named(session: Session, hashes: list[str]) -> set[str]:
    """Which of these files a row still names."""
    found: set[str] = set()
    for start in range(0, len(hashes), _AT_ONCE):
        for model in _NAMING:
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


def names_any(session: Session) -> bool:
    """Whether any row names a file."""
    return any(session.execute(select(model.sha256).limit(1)).first() is not None for model in _NAMING)


def all_named(session: Session) -> set[str]:
    """Every file that a row names."""
    return {sha256 for model in _NAMING for sha256 in session.scalars(select(model.sha256).distinct())}


def names_of(session: Session, sha256: str) -> list[str]:
    """What an administrator calls the rows that name a file."""
    sets = session.scalars(select(SampleSet.id).where(SampleSet.sha256 == sha256))
    files = session.scalars(select(Artifact).where(Artifact.sha256 == sha256))
    parts = session.scalars(select(UploadPart.upload_id).where(UploadPart.sha256 == sha256))
    return [
        *(f"sample set {each}" for each in sets),
        *(f"{each.name} of {each.job_id}" for each in files),
        *(f"a part of {each}" for each in parts),
    ]


def said_of(session: Session, job_id: str, error: DamagedError) -> str:
    """What the owner of a job is told of damaged content that the job uses."""
    owner = select(Job.tenant_id).where(Job.id == job_id).scalar_subquery()
    sets = select(SampleSet.id).where(SampleSet.tenant_id == owner, SampleSet.sha256 == error.sha256)
    if (sample_set := session.scalars(sets.order_by(SampleSet.id.desc()).limit(1)).first()) is not None:
        return error.of(f"sample set {sample_set}", f"{AGAIN}, then submit the job again").detail
    files = select(Artifact).join(Job, Job.id == Artifact.job_id).where(Artifact.sha256 == error.sha256)
    if (file := session.scalars(files.where(Job.tenant_id == owner).limit(1)).first()) is not None:
        again = (
            "create the monitor again"
            if file.job_id.startswith(f"{MonitorUpdate.prefix}_")
            else "run the estimate again"
        )
        return error.of(f"{file.name} of {file.job_id}", again).detail
    return error.detail


@retried_after_races
def discard_unused(database: Database, storage: Storage, hashes: list[str]) -> None:
    """Remove files that no row names, once the deletion of the rows is committed; after a crash, the sweep does it."""
    if not hashes:
        return
    with database.write() as session:
        database.hold(session, *hashes)  # an upload of the same content must not name the file now
        for sha256 in hashes:
            if not is_named(session, sha256):
                storage.discard(sha256)


def delete_with_files(database: Database, storage: Storage, delete: Callable[[Session], Sequence[str]]) -> None:
    """Delete rows in one transaction, then the files that no other row names. `delete` returns the sha256 of theirs.

    Each of the two is tried again by itself after a race: the rows are gone when the files' turn comes.
    """

    @retried_after_races
    def rows() -> list[str]:
        with database.write() as session:
            return list(delete(session))

    discard_unused(database, storage, rows())
