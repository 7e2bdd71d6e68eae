"""Estimates found by their labels, through an index that holds those of a batch once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256

from sqlalchemy import ColumnElement, Select, exists, func, literal, select
from sqlalchemy.orm import Session, aliased

from wdist_service import tenancy
from wdist_service.tables import Batch, Estimate, Job, JobLabel

_FEW = 1_000  # entries whose number decides by which label, or by the states, a list is read


def digest_of(tenant_id: str, key: str, value: str) -> str:
    """What stands for a label in the index, where any text is of one length."""
    return sha256(json.dumps([tenant_id, key, value]).encode()).hexdigest()[:32]


def label_estimate(session: Session, row: Estimate) -> None:
    """Make an estimate that is in no batch known by its labels."""
    _add(session, row.tenant_id, row.own_labels, row.id, row.id, {"job_id": row.id})


def label_batch(session: Session, batch: Batch) -> None:
    """Make the estimates of a batch, whose ids are consecutive, known by its labels."""
    assert batch.first_id is not None and batch.last_id is not None  # noqa: S101, PT018 - it was made just now
    _add(session, batch.tenant_id, batch.labels, batch.first_id, batch.last_id, {"batch_id": batch.id})


def _add(
    session: Session, tenant_id: str, labels: Mapping[str, str], first: str, last: str, owner: dict[str, str]
) -> None:
    session.add_all(
        JobLabel(label=digest_of(tenant_id, key, value), first_id=first, last_id=last, **owner)
        for key, value in labels.items()
    )


def page(
    session: Session,
    tenant_id: str,
    labels: Sequence[tuple[str, str]],
    statuses: Sequence[str],
    limit: int,
    after: str | None,
    search: str | None = None,
) -> tuple[list[Estimate], str | None]:
    """A page of a tenant's estimates with all of these labels, in one of these states (none given: any).

    search: text by which they are found, as `tenancy.estimates_found` has it. Without labels and search, it is
    `tenancy.page`.
    """
    if not labels and search is None:
        query = tenancy.owned(Estimate, tenant_id)
        if statuses:
            query = query.where(Estimate.status.in_(statuses))
        return tenancy.page(session, query, Estimate, limit, after)
    tenancy.check_cursor(Estimate, after)
    jobs = select(Job.id).where(Job.tenant_id == tenant_id, Job.kind == "estimate")
    if statuses:
        jobs = jobs.where(Job.status.in_(statuses))
    if after is not None:
        jobs = jobs.where(Job.id < after)
    if search is not None:
        jobs = jobs.where(tenancy.estimates_found(session, tenant_id, search))
    digests = [digest_of(tenant_id, key, value) for key, value in dict.fromkeys(labels)]
    few = list(session.execute(jobs.limit(_FEW + 1)).scalars()) if statuses and labels else []
    if not labels:
        found = jobs.order_by(Job.id.desc())
    elif statuses and len(few) <= _FEW:
        found = jobs.where(Job.id.in_(few), *(_has(digest) for digest in digests)).order_by(Job.id.desc())
    else:
        found = _of_entries(jobs, _rarest(session, digests), after)
    ids = list(session.execute(found.limit(limit + 1)).scalars())
    rows = session.execute(tenancy.owned(Estimate, tenant_id).where(Estimate.id.in_(ids))).scalars()
    return sorted(rows, key=lambda row: row.id, reverse=True)[:limit], ids[limit - 1] if len(ids) > limit else None


def _has(digest: str) -> ColumnElement[bool]:
    """Whether a job has a label: the last entry that begins at or before the job reaches it."""
    before = select(JobLabel.last_id).where(JobLabel.label == digest, JobLabel.first_id <= Job.id)
    return before.order_by(JobLabel.first_id.desc()).limit(1).scalar_subquery() >= Job.id


def _of_entries(jobs: Select[str], digests: Sequence[str], after: str | None) -> Select[str]:
    """Those of `jobs` with all labels, newest first, read in the order of the entries of the first label.

    What has several labels has an entry of each that begins with the same job.
    """
    first, *others = digests
    found = jobs.join(JobLabel, Job.id.between(JobLabel.first_id, JobLabel.last_id)).where(JobLabel.label == first)
    if after is not None:
        found = found.where(JobLabel.first_id < after)
    for digest in others:
        other = aliased(JobLabel)
        found = found.where(exists().where(other.label == digest, other.first_id == JobLabel.first_id))
    return found.order_by(JobLabel.first_id.desc(), Job.id.desc())


def _rarest(session: Session, digests: Sequence[str]) -> list[str]:
    """The labels, the one with the fewest entries first."""
    if len(digests) == 1:
        return list(digests)

    def count(digest: str) -> int:
        some = select(literal(1)).where(JobLabel.label == digest).limit(_FEW).subquery()
        return session.execute(select(func.count()).select_from(some)).scalar_one()

    return sorted(digests, key=count)
