"""Which sample sets are the same: the same values, under the same name, with the same columns, levels and notes."""

from __future__ import annotations

import json
from hashlib import sha256

from sqlalchemy import select
from sqlalchemy.orm import Session

from wdist_service.sample_sets.columns import names_of
from wdist_service.tables import SampleSet


def identity_of(row: SampleSet) -> str:
    """A digest of all that tells a set from others of its owner; a unique constraint keeps each identity once."""
    what = [row.tenant_id, row.sha256, row.name, row.column_names, row.table_schema, row.notes]
    return sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def stored_as(session: Session, row: SampleSet) -> SampleSet | None:
    """The stored set that a set just received is; None if it is a new one.

    A set without a name is the newest one with its content; one without names of columns, like .npy files, is one with
    any names.
    """
    query = select(SampleSet).where(SampleSet.tenant_id == row.tenant_id, SampleSet.sha256 == row.sha256)
    found = [each for each in session.scalars(query.order_by(SampleSet.id.desc())) if _is_same(each, row)]
    found.sort(key=lambda each: names_of(each) != names_of(row))  # stable
    return found[0] if found else None


def _is_same(stored: SampleSet, row: SampleSet) -> bool:
    if row.name is not None and stored.name != row.name:
        return False
    names, known = names_of(row), names_of(stored)
    have_one = names is None or known is None or names == known
    return have_one and stored.table_schema == row.table_schema and (stored.notes or None) == (row.notes or None)
