"""What the end of a job means to webhooks: events of estimates, batches and monitors.

Payloads carry ids, labels and figures. What may quote the data, such as unusual rows, figures of columns, warnings
and messages of errors, is for webhooks with include_rows only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wdist_service.http.schemas import maybe_rfc3339, rfc3339
from wdist_service.ids import new_id
from wdist_service.tables import ACTIVE, TERMINAL, Batch, Estimate, Job, Monitor, MonitorUpdate, Status
from wdist_service.webhooks.events import Occurrence, announce, listeners

_FIGURES = ("value", "lower_bound", "upper_bound", "confidence", "p_value", "units")
_UPDATE_FIGURES = (
    "value", "lower_bound", "upper_bound", "p_value", "series_lower_bound", "series_upper_bound", "evidence",
    "evidence_limit",
)  # fmt: skip


def follow(session: Session, job: Job) -> None:
    """Announce what the end of a job means, in its transaction."""
    if isinstance(job, Estimate):
        _follow_estimate(session, job)
    elif isinstance(job, MonitorUpdate):
        _follow_update(session, job)


def alarms_changed(session: Session, monitor: Monitor, before: Sequence[dict[str, Any]]) -> None:
    """Announce alarms that went on or off without an update, such as by other thresholds. before: that were on."""
    subject = new_id("change")
    raised, cleared = _without(monitor.alarms, before), _without(before, monitor.alarms)
    _announce_alarms(session, monitor, raised, cleared, subject, None)


def _follow_estimate(session: Session, job: Estimate) -> None:
    wanted = _wanted(session, job.tenant_id)
    if (type_ := f"estimate.{job.status}") in wanted:
        announce(session, job.tenant_id, Occurrence(type_, job.id, _estimate_data(job), _details(job), job.finished_at))
    if job.batch_id is not None and "batch.finished" in wanted:
        _follow_batch(session, job.batch_id)


def _wanted(session: Session, tenant_id: str) -> set[str]:
    return {type_ for webhook in listeners(session, tenant_id) for type_ in webhook.events}


def _estimate_data(job: Estimate) -> dict[str, Any]:
    result, error = job.result or {}, job.error or {}
    return {
        "id": job.id, "object": "estimate", "status": str(Status(job.status)), "source": job.source_id,
        "target": job.target_id, "batch": job.batch_id, "custom_id": job.custom_id, "metadata": job.labels,
        "created_at": rfc3339(job.created_at), "finished_at": maybe_rfc3339(job.finished_at),
        "result": {name: result.get(name) for name in _FIGURES} if job.result else None,
        "error": {"type": error.get("type")} if job.error else None,
    }  # fmt: skip


def _details(job: Estimate) -> dict[str, Any]:
    return {"result": job.result, "error": job.error}


def _follow_batch(session: Session, batch_id: str) -> None:
    """Announce a batch whose last estimate has ended."""
    session.flush()
    # Two estimates that end at once would each see the other one running: one waits here for the other's commit.
    lock = select(Batch).where(Batch.id == batch_id).with_for_update(key_share=True)
    batch = session.execute(lock).scalar_one_or_none()
    if batch is None or _has_active(session, batch):
        return
    query = select(Estimate.status, func.count()).where(Estimate.batch_id == batch_id).group_by(Estimate.status)
    counts = dict(session.execute(query).tuples().all())
    data = {
        "id": batch.id, "object": "batch", "status": "finished" if batch.canceled_at is None else "canceled",
        "kind": batch.kind, "metadata": batch.labels, "created_at": rfc3339(batch.created_at),
        "counts": {"total": batch.size, **{str(status): counts.get(status, 0) for status in TERMINAL}},
    }  # fmt: skip
    announce(session, batch.tenant_id, Occurrence("batch.finished", batch.id, data))


def _has_active(session: Session, batch: Batch) -> bool:
    if batch.first_id is None or batch.last_id is None:  # of an earlier version
        query = select(Estimate.id).where(Estimate.batch_id == batch.id, Estimate.status.in_(ACTIVE))
    else:  # an index has the answer
        owned = select(Job.id).where(Job.tenant_id == batch.tenant_id, Job.kind == "estimate", Job.status.in_(ACTIVE))
        query = owned.where(Job.id >= batch.first_id, Job.id <= batch.last_id)
    return session.execute(query.limit(1)).first() is not None


def _follow_update(session: Session, job: MonitorUpdate) -> None:
    if job.status not in {Status.SUCCEEDED, Status.FAILED} or not _wanted(session, job.tenant_id):
        return
    monitor = session.get_one(Monitor, job.monitor_id)
    update = _update_data(job)
    data = {"monitor": _monitor_data(monitor), "update": update}
    if job.status == Status.FAILED:
        details = {"update": update | {"error": job.error}}
        announce(session, job.tenant_id, Occurrence("monitor.update_failed", job.id, data, details, job.finished_at))
        return
    details = {"update": update | {"figures": job.figures}}
    announce(session, job.tenant_id, Occurrence("monitor.updated", job.id, data, details, job.finished_at))
    _announce_alarms(session, monitor, job.raised or [], job.cleared or [], job.id, update)


def _announce_alarms(
    session: Session, monitor: Monitor, raised: list[Any], cleared: list[Any], subject: str, update: object
) -> None:
    for type_, alarms in (("monitor.alarm_raised", raised), ("monitor.alarm_cleared", cleared)):
        if alarms:
            data = {"monitor": _monitor_data(monitor), "alarms": alarms, "update": update}
            announce(session, monitor.tenant_id, Occurrence(type_, subject, data))


def _monitor_data(monitor: Monitor) -> dict[str, Any]:
    """A monitor after what happened; its alarms are those that are on."""
    return {"id": monitor.id, "name": monitor.name, "metadata": monitor.labels, "alarms": monitor.alarms}


def _update_data(job: MonitorUpdate) -> dict[str, Any]:
    figures, error = job.figures or {}, job.error or {}
    return {
        "id": job.id, "object": "monitor_update", "status": str(Status(job.status)), "number": job.number,
        "epoch": job.epoch, "at": job.at, "batch": job.sample_set_id, "created_at": rfc3339(job.created_at),
        "finished_at": maybe_rfc3339(job.finished_at),
        "figures": {name: figures.get(name) for name in _UPDATE_FIGURES} if job.figures else None,
        "error": {"type": error.get("type")} if job.error else None,
    }  # fmt: skip


def _without(alarms: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the alarms that are not among the others."""
    known = {(each["kind"], each["column"]) for each in others}
    return [each for each in alarms if (each["kind"], each["column"]) not in known]
