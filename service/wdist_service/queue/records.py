"""Events of jobs of every kind, from which listeners learn what happens to them."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy.orm import Session

from wdist_service.tables import Event, Status


def record(session: Session, job_id: str, type_: str, data: dict[str, Any]) -> None:
    """Append an event."""
    session.add(Event(job_id=job_id, type=type_, data=data, created_at=time.time()))


def record_status(session: Session, job_id: str, status: str, attempt: int) -> None:
    record(session, job_id, "status", {"status": str(Status(status)), "attempt": attempt})
