"""What is stored, as the rules see it: when it ended or was last used, how large it is, whether it is in use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, case, cast, func, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from wdist_service.retention.rules import Entry
from wdist_service.sample_sets.service import is_in_use
from wdist_service.tables import ACTIVE, TERMINAL, Artifact, Batch, Estimate, Evaluation, Job, MonitorUpdate, SampleSet

AT_ONCE = 200  # ids in one statement: SQLite limits the variables, and a transaction holds its write lock


def estimates(session: Session) -> Iterator[Entry]:
    """The ended estimates that belong to no batch, with the evaluations that belong to them."""
    query = select(Estimate.id, Estimate.tenant_id, Estimate.finished_at, _bytes(), _active_evaluations())
    query = query.where(Estimate.batch_id.is_(None), Estimate.status.in_(TERMINAL))
    rows: Iterable[Any] = session.execute(query)
    for key, tenant_id, finished_at, size, active in rows:
        yield Entry("estimate", key, tenant_id, finished_at or 0.0, int(size), bool(active))


def batches(session: Session) -> Iterator[Entry]:
    """All batches with their estimates. One without estimates is as old as its creation."""
    is_active = func.sum(case((Estimate.status.in_(ACTIVE), 1), else_=0))
    query = (
        select(
            Batch.id, Batch.tenant_id, func.coalesce(func.max(Estimate.finished_at), Batch.created_at),
            func.coalesce(func.sum(_bytes()), 0),
            func.coalesce(is_active, 0) + func.coalesce(func.sum(_active_evaluations()), 0),
        )
        .outerjoin(Estimate, Estimate.batch_id == Batch.id)
        .group_by(Batch.id, Batch.tenant_id, Batch.created_at)
    )  # fmt: skip
    rows: Iterable[Any] = session.execute(query)
    for key, tenant_id, at, size, active in rows:
        yield Entry("batch", key, tenant_id, at, int(size), bool(active))


def sample_sets(session: Session) -> Iterator[Entry]:
    """All sample sets, by the latest end of what used them."""
    used = _last_uses(session)
    found = select(SampleSet.id, SampleSet.tenant_id, SampleSet.created_at, SampleSet.used_at, SampleSet.bytes)
    for key, tenant_id, created_at, used_at, size in session.execute(found):
        at = max(created_at, used_at or 0.0, used.get(key, 0.0))
        yield Entry("sample set", key, tenant_id, at, size)


def is_held(session: Session, entry: Entry) -> bool:
    """Whether an entry is in use. Of a set that takes several queries."""
    return entry.is_held or (entry.kind == "sample set" and is_in_use(session, entry.id))


def remember_uses(session: Session, ids: Sequence[str]) -> None:
    """Note on sample sets when these estimates and their evaluations used them: the jobs are about to be deleted."""
    used = _last_uses(session, Estimate.job_id.in_(ids), Evaluation.estimate_id.in_(ids))
    for key, at in sorted(used.items()):  # in one order, so that two transactions do not wait for each other
        later = SampleSet.id == key, func.coalesce(SampleSet.used_at, 0.0) < at
        session.execute(update(SampleSet).where(*later).values(used_at=at))


def _last_uses(session: Session, *only: ColumnElement[bool]) -> dict[str, float]:
    """The latest end of what used each sample set; `only` these estimates, and these evaluations."""
    used: dict[str, float] = {}
    queries = _uses(*only) if only else chain(_uses(), [_monitor_uses()])
    of_queries = (row for query in queries for row in session.execute(query))
    for key, at in chain(of_queries, _label_uses(session, *only[:1])):
        used[key] = max(at or 0.0, used.get(key, 0.0))
    return used


def _bytes() -> ColumnElement[int]:
    """Bytes of the files of an estimate and of its evaluations."""
    evaluation = Evaluation.__table__.alias()
    size = select(func.coalesce(func.sum(Artifact.bytes), 0))
    own = size.where(Artifact.job_id == Estimate.job_id)
    others = size.where(Artifact.job_id == evaluation.c.id, evaluation.c.estimate_id == Estimate.job_id)
    return own.correlate(Estimate.__table__).scalar_subquery() + others.correlate(Estimate.__table__).scalar_subquery()


def _active_evaluations() -> ColumnElement[int]:
    evaluation, job = Evaluation.__table__.alias(), Job.__table__.alias()
    query = select(func.count()).where(job.c.id == evaluation.c.id, job.c.status.in_(ACTIVE))
    query = query.where(evaluation.c.estimate_id == Estimate.job_id)
    return query.correlate(Estimate.__table__).scalar_subquery()


def _uses(*only: ColumnElement[bool]) -> Iterator[Select[str, float | None]]:
    """Queries of (sample set, latest end of a job that used it); `only` these estimates, and these evaluations."""
    of_estimates, of_evaluations = (only[:1], only[1:])
    for column in (Estimate.source_id, Estimate.target_id):
        query = select(column, func.max(Estimate.finished_at)).where(Estimate.finished_at.is_not(None), *of_estimates)
        yield query.group_by(column)
    query = select(Evaluation.sample_set_id, func.max(Evaluation.finished_at))
    yield query.where(Evaluation.finished_at.is_not(None), *of_evaluations).group_by(Evaluation.sample_set_id)


def _monitor_uses() -> Select[str, float | None]:
    query = select(MonitorUpdate.sample_set_id, func.max(MonitorUpdate.finished_at))
    return query.where(MonitorUpdate.finished_at.is_not(None)).group_by(MonitorUpdate.sample_set_id)


def _label_uses(session: Session, *only: ColumnElement[bool]) -> Iterable[tuple[str, float]]:
    """Sets of group labels, which only options name, and the ends of what used them."""
    ended = (Estimate.finished_at.is_not(None), *only)
    own = select(Estimate.own_options, Estimate.finished_at).where(_has_groups(Estimate.own_options), *ended)
    shared = select(Batch.options, func.max(Estimate.finished_at)).join(Estimate, Estimate.batch_id == Batch.id)
    shared = shared.where(_has_groups(Batch.options), *ended).group_by(Batch.id)
    for query in (own, shared):
        for options, at in session.execute(query):
            for key in (options.get("groups") or {}).values():
                yield key, at


def _has_groups(options: InstrumentedAttribute[dict[str, Any]]) -> ColumnElement[bool]:
    return cast(options, Text).contains('"groups": {')
