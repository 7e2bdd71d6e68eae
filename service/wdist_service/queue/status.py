"""Status events, from which listeners learn what happens to a job."""

from __future__ import annotations

import time

from sqlalchemy.orm import Session

from wdist_service.tables import Event, Status


def record_status(session: Session, estimate_id: str, status: Status, attempt: int) -> None:
    """Append a status event."""
    data = {"status": str(status), "attempt": attempt}
    session.add(Event(estimate_id=estimate_id, type="status", data=data, created_at=time.time()))
