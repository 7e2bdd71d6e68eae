"""Which sample sets are the same: the same values, under the same name, with the same columns, levels and notes."""

from __future__ import annotations

import json
import time
from hashlib import sha256
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from wdist.data.columns import kept_name
from wdist_service.sample_sets.columns import names_of
from wdist_service.tables import SampleSet
from wdist_service.text import as_line


def identity_of(row: SampleSet) -> str:
    """A digest of all that tells a set from others of its owner; a unique constraint keeps each identity once."""
    what = [row.tenant_id, row.sha256, row.name, row.column_names, row.table_schema, row.notes, *_origin(row)]
    return sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def stored_as(session: Session, row: SampleSet) -> SampleSet | None:
    """The stored set that one just received is; None if it is new. Without a name, it is the newest such set.

    It is locked until the transaction ends, so that nobody deletes it before the sender knows its id.
    """
    query = select(SampleSet).where(SampleSet.tenant_id == row.tenant_id, SampleSet.sha256 == row.sha256)
    if row.name is not None:
        query = query.where(SampleSet.name == row.name)
    found = session.scalars(query.order_by(SampleSet.id.desc()).with_for_update())
    return next((each for each in found if _meaning(each) == _meaning(row)), None)


def _meaning(row: SampleSet) -> tuple[Any, ...]:
    """What the values of a set mean."""
    return names_of(row), row.table_schema, row.notes or None, _origin(row)


def _origin(row: SampleSet) -> list[Any]:
    """The file and the reading of coded values, by which certificates tell how to get them; plain numbers need none."""
    return [] if row.table_schema is None else [row.file_sha256, row.reading]


def complete(stored: SampleSet, row: SampleSet) -> None:
    """Note of a stored set that it was sent again: a use, and the file and the reading by which it came last.

    Plain numbers are the same set however they were read, and what is scored later is read as they were.
    """
    stored.used_at = max(stored.used_at or 0.0, time.time())
    if row.file_sha256 is not None and (stored.file_sha256 is None or row.table_schema is None):
        stored.file_sha256, stored.reading = row.file_sha256, row.reading


def twin_of(session: Session, row: SampleSet) -> SampleSet | None:
    """Another set with the identity that a changed one now has."""
    return session.scalars(
        select(SampleSet).where(SampleSet.identity == identity_of(row), SampleSet.id != row.id)
    ).one_or_none()


def name_of_level(name: str | None, level: str) -> str:
    """What the set of one level is called, of the length and the characters that names have."""
    text = level if name is None else f"{name}: {level}"
    return kept_name(as_line(text))
