"""What owners do with jobs of every kind: submit, cancel, delete. The workers' side is in attempts.py.

Each function is part of the caller's transaction.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from wdist_service.database import clock_of
from wdist_service.queue.dispatch import Queue
from wdist_service.queue.ends import AT_ONCE, follow, still_active
from wdist_service.queue.fairness import add_turns, count_waiting
from wdist_service.queue.records import record_status
from wdist_service.tables import ACTIVE, DEVICE_SECONDS, Artifact, DeviceUse, Job, Status


def submit(session: Session, queue: Queue, jobs: Sequence[Job]) -> None:
    """Store and queue new jobs of one tenant. Their rows and turns are added together.

    A job with `waits_for` gets its turn when that job has ended: now if it has ended already, or is gone.
    """
    if not jobs:
        return
    tenant_id = jobs[0].tenant_id
    earlier = {job.waits_for for job in jobs if job.waits_for is not None} - {job.id for job in jobs}
    gone = earlier - still_active(session, earlier)
    for job in jobs:
        if job.waits_for in gone:
            job.waits_for = None
    waiting = count_waiting(session, tenant_id)
    session.add_all(jobs)
    session.flush()
    for job in jobs:
        record_status(session, job.id, job.status, job.attempt)
    ready = [(job.id, job.attempt) for job in jobs if job.waits_for is None]
    add_turns(session, queue, tenant_id, ready, waiting)


def hurry(session: Session, job: Job) -> None:
    """Have an errand that waits for its time tried now."""
    if job.status == Status.QUEUED:
        job.due_at = job.dated_at = clock_of(session)


def cancel(session: Session, queue: Queue, job: Job) -> bool:
    """Stop a job: at once when it is queued, within seconds when it is running. One that has ended is left as it is.

    The caller has locked the row. Returns whether the job had a turn: then the caller withdraws it from the queue once
    the transaction is committed.
    """
    return bool(cancel_all(session, queue, [job]))


def cancel_all(session: Session, queue: Queue, jobs: Sequence[Job]) -> list[tuple[str, int]]:
    """Stop jobs as `cancel` does. Returns the attempts whose turns the caller withdraws."""
    ended = [job for job in jobs if job.status == Status.QUEUED]
    turns = [(job.id, job.attempt) for job in ended if job.waits_for is None and job.due_at is None]
    for job in jobs:
        if job.status == Status.QUEUED:
            job.status, job.finished_at = Status.CANCELED, time.time()
        elif job.status == Status.RUNNING:
            job.status = Status.CANCELING
        else:
            continue
        record_status(session, job.id, job.status, job.attempt)
    follow(session, queue, ended)
    return turns


def delete_jobs(session: Session, queue: Queue, ids: Sequence[str]) -> list[str]:
    """Delete jobs with their events and files; the worker that runs one stops. Returns the sha256 of the files.

    Jobs that have not ended are canceled first. The caller discards those files that nothing else names, once the
    transaction is committed.
    """
    for start in range(0, len(ids), AT_ONCE):
        active = select(Job).where(Job.id.in_(ids[start : start + AT_ONCE]), Job.status.in_(ACTIVE))
        jobs = list(session.execute(active.order_by(Job.id).with_for_update(of=Job)).scalars())
        for job in jobs:
            job.status, job.finished_at, job.worker_id = Status.CANCELED, time.time(), None
        follow(session, queue, jobs)
    return delete_ended(session, ids)


def delete_ended(session: Session, ids: Sequence[str]) -> list[str]:
    """Delete jobs that have ended, as `delete_jobs` does."""
    hashes: list[str] = []
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        hashes += session.execute(select(Artifact.sha256).where(Artifact.job_id.in_(some))).scalars()
        used = select(Job.tenant_id, Job.finished_at, DEVICE_SECONDS).where(
            Job.id.in_(some), DEVICE_SECONDS.is_not(None)
        )
        for tenant_id, finished_at, seconds in session.execute(used):
            session.add(DeviceUse(tenant_id=tenant_id, finished_at=finished_at, seconds=seconds))
        session.execute(delete(Job).where(Job.id.in_(some)), execution_options={"synchronize_session": False})
    return hashes
