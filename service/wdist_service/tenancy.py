"""The one place that looks up rows of a tenant: other tenants' ids count as missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar

from sqlalchemy import ColumnElement, Select, exists, inspect, or_, select, union_all
from sqlalchemy.orm import Session

from wdist_service.errors import InvalidError, NotFoundError
from wdist_service.tables import Batch, Estimate, Job, Monitor, MonitorUpdate, OwnedRow, SampleSet
from wdist_service.text import search_key

Owned = TypeVar("Owned", bound=OwnedRow)
Accepted = TypeVar("Accepted", Estimate, Batch, Monitor, MonitorUpdate)
_FEW = 1_000  # rows found, whose number decides how a search goes on
_PAIRS = Estimate.__table__.c  # without the join that the class has with its jobs


def owned(model: type[Owned], tenant_id: str) -> Select[Owned]:
    """SELECT of one tenant's rows."""
    query = select(model).where(model.tenant_id == tenant_id)
    # Named although the join implies it: lists are read in the order of an index on tenant and kind.
    return query.where(model.kind == inspect(model).polymorphic_identity) if issubclass(model, Job) else query


def find(
    session: Session, model: type[Owned], tenant_id: str, identifier: str, field: str | None = None,
    lock: Literal["share", "update"] | None = None,
) -> Owned:  # fmt: skip
    """One row of a tenant. Raises NotFoundError, naming the request's field if one is given.

    `lock` keeps the row unchanged until the transaction ends; with "share", others may lock it too. It matters on
    PostgreSQL only, as SQLite has one writer at a time.
    """
    query = owned(model, tenant_id).where(model.id == identifier)
    if lock is not None:
        query = query.with_for_update(read=lock == "share")
    found = None if "\0" in identifier else session.execute(query).scalar_one_or_none()  # PostgreSQL refuses it
    if found is None:
        raise missing(model, identifier, field)
    return found


def missing(model: type[OwnedRow], identifier: str, field: str | None = None) -> NotFoundError:
    """The error for an id that the tenant does not have."""
    return NotFoundError(f"there is no {model.noun} {identifier!r}", field=field)


def page(
    session: Session, query: Select[Owned], model: type[Owned], limit: int, after: str | None
) -> tuple[list[Owned], str | None]:
    """Up to `limit` rows, newest first, that follow the cursor `after`; and the cursor of the next page, if any.

    Identifiers sort by time, so the cursor stays valid when the row itself is deleted.
    """
    check_cursor(model, after)
    if after is not None:
        query = query.where(model.id < after)
    rows = list(session.execute(query.order_by(model.id.desc()).limit(limit + 1)).scalars())
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


def check_cursor(model: type[OwnedRow], after: str | None) -> None:
    """Raise InvalidError for a cursor that no list of these rows gave."""
    if after is not None and not after.startswith(f"{model.prefix}_"):
        raise InvalidError(f"{after!r} is not a cursor of this list; use `next` of the page before", field="after")


def estimates_found(session: Session, tenant_id: str, text: str) -> ColumnElement[bool]:
    """Whether a job is an estimate whose name, or that of one of its sets, has this text, or whose id begins with it.

    Upper and lower case are the same. What few estimates have is looked up in the indexes of names and sets; what many
    have is met soon enough by looking at one estimate after the other.
    """
    key = search_key(text)
    jobs = select(Job.id).where(Job.tenant_id == tenant_id, Job.kind == "estimate")
    is_found = Job.name_key.contains(key, autoescape=True)
    ways = [jobs.where(Job.name_key.is_not(None), is_found)]
    if key.startswith("est_"):
        has_id = Job.id.startswith(key, autoescape=True)
        ways.append(jobs.where(has_id))
        is_found = or_(is_found, has_id)
    sets = _sets_named(session, tenant_id, key)
    of_source, of_target = (side.in_(sets) for side in (_PAIRS.source_id, _PAIRS.target_id))
    if sets != []:
        ways += [select(_PAIRS.id).where(of_side) for of_side in (of_source, of_target)]
    few = list(session.execute(union_all(*ways).limit(_FEW + 1)).scalars())
    if len(few) <= _FEW:
        return Job.id.in_(few)
    return or_(is_found, exists().where(_PAIRS.id == Job.id, or_(of_source, of_target)))


def batches_found(session: Session, tenant_id: str, text: str) -> ColumnElement[bool]:
    """As `estimates_found`, for batches: by their names, those of their sets, and the beginning of the id."""
    key = search_key(text)
    sets = _sets_named(session, tenant_id, key)
    of_sets = [
        select(_PAIRS.batch_id).where(side.in_(sets), _PAIRS.batch_id.is_not(None))
        for side in (_PAIRS.source_id, _PAIRS.target_id)
    ]
    found = or_(Batch.name_key.contains(key, autoescape=True), Batch.id.in_(union_all(*of_sets)))
    return or_(found, Batch.id.startswith(key, autoescape=True)) if key.startswith("batch_") else found


def _sets_named(session: Session, tenant_id: str, key: str) -> list[str] | Select[str]:
    """The ids of the sets with this in their names; the query for them if they are many."""
    query = select(SampleSet.id).where(
        SampleSet.tenant_id == tenant_id, SampleSet.name_key.contains(key, autoescape=True)
    )
    few = list(session.execute(query.limit(_FEW + 1)).scalars())
    return few if len(few) <= _FEW else query


def accepted_before(
    session: Session, model: type[Accepted], tenant_id: str, key: str | None, digests: Sequence[str]
) -> Accepted | None:
    """What this Idempotency-Key began. Raises InvalidError if that request had another body."""
    if key is None:
        return None
    query = owned(model, tenant_id).where(model.idempotency_key == key)
    earlier = session.execute(query).scalar_one_or_none()
    if earlier is not None and earlier.request_digest not in digests:
        raise InvalidError(
            f"this Idempotency-Key began {earlier.id} with another body; use a new key for a new request",
            field="Idempotency-Key",
        )
    return earlier
