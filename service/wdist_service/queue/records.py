"""What is written of jobs of every kind: their events, from which listeners learn, and the rows of new errands."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from wdist_service.database import clock_of
from wdist_service.tables import Event, Job, Status


def record(session: Session, job_id: str, type_: str, data: dict[str, Any]) -> None:
    """Append an event."""
    session.add(Event(job_id=job_id, type=type_, data=data, created_at=time.time()))


def record_status(session: Session, job_id: str, status: str, attempt: int) -> None:
    record(session, job_id, "status", {"status": str(Status(status)), "attempt": attempt})


def submit_errands(session: Session, jobs: Sequence[Job], after_seconds: float = 0.0) -> None:
    """Store new errands (queue/errands.py), due so many seconds from now unless they say when.

    Those of one lane wait for each other.
    """
    now = clock_of(session)
    for job in jobs:
        job.due_at = job.due_at or now + after_seconds
        job.dated_at, job.lane = now, job.lane or job.tenant_id
    session.add_all(jobs)
    session.flush()
    for job in jobs:
        record_status(session, job.id, job.status, job.attempt)
