"""The one place that looks up rows of a tenant: other tenants' ids count as missing."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from wdist_service.errors import InvalidError, NotFoundError
from wdist_service.tables import ApiKey, Batch, Estimate, Evaluation, SampleSet, Upload

Owned = TypeVar("Owned", SampleSet, Estimate, Batch, Upload, Evaluation, ApiKey)
_NOUN = {
    SampleSet: "sample set", Estimate: "estimate", Batch: "batch", Upload: "upload", Evaluation: "evaluation",
    ApiKey: "API key",
}  # fmt: skip
_PREFIX = {
    SampleSet: "ss_", Estimate: "est_", Batch: "batch_", Upload: "up_", Evaluation: "ev_", ApiKey: "key_",
}  # fmt: skip


def owned(model: type[Owned], tenant_id: str) -> Select[Owned]:
    """SELECT of one tenant's rows."""
    return select(model).where(model.tenant_id == tenant_id)


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


def missing(model: type[Any], identifier: str, field: str | None = None) -> NotFoundError:
    """The error for an id that the tenant does not have."""
    return NotFoundError(f"there is no {_NOUN[model]} {identifier!r}", field=field)


def page(
    session: Session, query: Select[Owned], model: type[Owned], limit: int, after: str | None
) -> tuple[list[Owned], bool]:
    """Up to `limit` rows, newest first, that follow the cursor `after`; and whether there are more.

    Identifiers sort by time, so the cursor stays valid when the row itself is deleted.
    """
    if after is not None:
        if not after.startswith(_PREFIX[model]):
            raise InvalidError(f"{after!r} is not a cursor of this list; use `next` of the page before", field="after")
        query = query.where(model.id < after)
    rows: list[Any] = list(session.execute(query.order_by(model.id.desc()).limit(limit + 1)).scalars())
    return rows[:limit], len(rows) > limit
