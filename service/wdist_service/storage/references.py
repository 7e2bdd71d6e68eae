"""Which stored files the database's rows still name, and the removal of those that no row names."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from wdist_service.database import Database
from wdist_service.storage.files import Storage
from wdist_service.tables import Artifact, Evaluation, OwnedRow, SampleSet, UploadPart

_NAMING = (SampleSet, Artifact, UploadPart, Evaluation)


def is_named(session: Session, sha256: str) -> bool:
    """Whether any row still names the file."""
    return any(
        session.execute(select(model.sha256).where(model.sha256 == sha256).limit(1)).first() is not None
        for model in _NAMING
    )


def named(session: Session, hashes: list[str]) -> set[str]:
    """Which of these files a row still names."""
    found: set[str] = set()
    for start in range(0, len(hashes), 500):  # SQLite limits the variables of a statement
        for model in _NAMING:
            query = select(model.sha256).where(model.sha256.in_(hashes[start : start + 500]))
            found.update(sha256 for sha256 in session.execute(query).scalars() if sha256 is not None)
    return found


def names_any(session: Session) -> bool:
    """Whether any row names a file."""
    return any(
        session.execute(select(model.sha256).where(model.sha256.is_not(None)).limit(1)).first() is not None
        for model in _NAMING
    )


def all_named(session: Session) -> set[str]:
    """Every file that a row names."""
    return {
        sha256
        for model in _NAMING
        for sha256 in session.scalars(select(model.sha256).where(model.sha256.is_not(None)).distinct())
        if sha256 is not None
    }


def names_of(session: Session, sha256: str) -> list[str]:
    """What an administrator calls the rows that name a file."""
    sets = session.scalars(select(SampleSet.id).where(SampleSet.sha256 == sha256))
    files = session.scalars(select(Artifact).where(Artifact.sha256 == sha256))
    parts = session.scalars(select(UploadPart.upload_id).where(UploadPart.sha256 == sha256))
    evaluations = session.scalars(select(Evaluation.id).where(Evaluation.sha256 == sha256))
    return [
        *(f"sample set {each}" for each in sets),
        *(f"{each.name} of {each.estimate_id}" for each in files),
        *(f"a part of {each}" for each in parts),
        *evaluations,
    ]


def name_of(session: Session, table: type[OwnedRow], row_id: str, sha256: str) -> str:
    """What a message to the owner of a row calls content that the row uses: by the newest set that has it."""
    owner = select(table.tenant_id).where(table.id == row_id).scalar_subquery()
    query = select(SampleSet.id).where(SampleSet.tenant_id == owner, SampleSet.sha256 == sha256)
    found = session.execute(query.order_by(SampleSet.id.desc()).limit(1)).scalar_one_or_none()
    return "a sample set" if found is None else f"sample set {found}"


def discard_unused(database: Database, storage: Storage, hashes: list[str]) -> None:
    """Remove files that no row names, once the deletion of the rows is committed; after a crash, the sweep does it."""
    if not hashes:
        return
    with database.write() as session:
        database.hold(session, *hashes)  # an upload of the same content must not name the file now
        for sha256 in hashes:
            if not is_named(session, sha256):
                storage.discard(sha256)
