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


def follow(session: Session, jobs: Sequence[Job]) -> None:
    """Announce what the end of these jobs means, in its transaction."""
    found: list[Occurrence] = []
    batches: dict[str, None] = {}
    for job in jobs:
        wanted = _wanted(session, job.tenant_id)
        if isinstance(job, Estimate):
            if (type_ := f"estimate.{job.status}") in wanted:
                data, rows = _estimate_data(job), {"result": job.result, "error": job.error}
                found.append(Occurrence(job.tenant_id, type_, job.id, data, rows, job.finished_at))
            if job.batch_id is not None and "batch.finished" in wanted:
                batches[job.batch_id] = None
        elif isinstance(job, MonitorUpdate) and wanted:
            found += _of_update(session, job)
    announce(session, [*found, *(each for batch in sorted(batches) for each in _of_batch(session, batch))])


def alarms_changed(session: Session, monitor: Monitor, before: Sequence[dict[str, Any]]) -> None:
    """Announce alarms that went on or off without an update, such as by other thresholds. before: that were on."""
    subject = new_id("change")
    raised, cleared = _without(monitor.alarms, before), _without(before, monitor.alarms)
    announce(session, _of_alarms(monitor, raised, cleared, subject, None, None))


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


def _of_batch(session: Session, batch_id: str) -> list[Occurrence]:
    """The end of a batch, if its last estimate has ended."""
    session.flush()
    # Two estimates that end at once would each see the other one running: one waits here for the other's commit.
    lock = select(Batch).where(Batch.id == batch_id).with_for_update(key_share=True)
    batch = session.execute(lock).scalar_one_or_none()
    if batch is None or _has_active(session, batch):
        return []
    query = select(Estimate.status, func.count()).where(Estimate.batch_id == batch_id).group_by(Estimate.status)
    counts = {str(status): number for status, number in session.execute(query)}
    data = {
        "id": batch.id, "object": "batch", "status": "finished" if batch.canceled_at is None else "canceled",
        "kind": batch.kind, "metadata": batch.labels, "created_at": rfc3339(batch.created_at),
        "counts": {"total": batch.size, **{str(status): counts.get(status, 0) for status in TERMINAL}},
    }  # fmt: skip
    return [Occurrence(batch.tenant_id, "batch.finished", batch.id, data)]


def _has_active(session: Session, batch: Batch) -> bool:
    if batch.first_id is None or batch.last_id is None:  # of an earlier version
        query = select(Estimate.id).where(Estimate.batch_id == batch.id, Estimate.status.in_(ACTIVE))
    else:  # an index has the answer
        owned = select(Job.id).where(Job.tenant_id == batch.tenant_id, Job.kind == "estimate", Job.status.in_(ACTIVE))
        query = owned.where(Job.id >= batch.first_id, Job.id <= batch.last_id)
    return session.execute(query.limit(1)).first() is not None


def _of_update(session: Session, job: MonitorUpdate) -> list[Occurrence]:
    if job.status not in {Status.SUCCEEDED, Status.FAILED}:
        return []
    monitor = session.get_one(Monitor, job.monitor_id)
    update, at = _update_data(job), job.finished_at
    data = {"monitor": _monitor_data(monitor), "update": update}
    if job.status == Status.FAILED:
        details = {"update": update | {"error": job.error}}
        return [Occurrence(job.tenant_id, "monitor.update_failed", job.id, data, details, at)]
    details = {"update": update | {"figures": job.figures}}
    updated = Occurrence(job.tenant_id, "monitor.updated", job.id, data, details, at)
    return [updated, *_of_alarms(monitor, job.raised or [], job.cleared or [], job.id, update, at)]


def _of_alarms(
    monitor: Monitor, raised: list[Any], cleared: list[Any], subject: str, update: object, at: float | None
) -> list[Occurrence]:
    told = {"monitor": _monitor_data(monitor), "update": update}
    return [
        Occurrence(monitor.tenant_id, type_, subject, {**told, "alarms": alarms}, at=at)
        for type_, alarms in (("monitor.alarm_raised", raised), ("monitor.alarm_cleared", cleared))
        if alarms
    ]


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
