"""What owners do with jobs of every kind: submit, cancel, delete. The workers' side is in attempts.py.

Each function is part of the caller's transaction.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from wdist_service.queue.dispatch import Queue
from wdist_service.queue.fairness import add_turns, count_waiting
from wdist_service.queue.records import record_status
from wdist_service.tables import DEVICE_SECONDS, Artifact, DeviceUse, Job, Status


def submit(session: Session, queue: Queue, jobs: Sequence[Job]) -> None:
    """Store and queue new jobs of one tenant. Their rows and turns are added together."""
    if not jobs:
        return
    tenant_id = jobs[0].tenant_id
    waiting = count_waiting(session, tenant_id)
    session.add_all(jobs)
    session.flush()
    for job in jobs:
        record_status(session, job.id, job.status, job.attempt)
    add_turns(session, queue, tenant_id, [(job.id, job.attempt) for job in jobs], waiting)


def cancel(session: Session, job: Job) -> bool:
    """Stop a job: at once when it is queued, within seconds when it is running. One that has ended is left as it is.

    Returns whether it was queued: then the caller withdraws it from the queue once the transaction is committed.
    """
    was = job.status
    if was == Status.QUEUED:
        job.status, job.finished_at = Status.CANCELED, time.time()
    elif was == Status.RUNNING:
        job.status = Status.CANCELING
    if job.status != was:
        record_status(session, job.id, job.status, job.attempt)
    return was == Status.QUEUED


def delete_jobs(session: Session, ids: Sequence[str]) -> list[str]:
    """Delete jobs with their events and files; the worker that runs one stops. Returns the sha256 of the files.

    The caller discards those that nothing else names, once the transaction is committed.
    """
    hashes: list[str] = []
    for start in range(0, len(ids), 500):  # SQLite limits the variables of a statement
        some = ids[start : start + 500]
        hashes += session.execute(select(Artifact.sha256).where(Artifact.job_id.in_(some))).scalars()
        used = select(Job.tenant_id, Job.finished_at, DEVICE_SECONDS).where(
            Job.id.in_(some), DEVICE_SECONDS.is_not(None)
        )
        for tenant_id, finished_at, seconds in session.execute(used):
            session.add(DeviceUse(tenant_id=tenant_id, finished_at=finished_at, seconds=seconds))
        session.execute(delete(Job).where(Job.id.in_(some)), execution_options={"synchronize_session": False})
    return hashes
