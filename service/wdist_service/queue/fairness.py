"""The order in which jobs start: by priority, then fairly among tenants."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wdist_service.tables import Job, Status

PRIORITIES = {"high": 0, "normal": 1, "low": 2}
_CLASS_WIDTH = 500_000_000  # three classes fit DBOS's 31-bit priority


def virtual_time(priority: str, waiting: int) -> int:
    """DBOS priority (lower starts first) of a tenant's next job, when `waiting` of its jobs wait in that class.

    Start-time fair queueing with unit costs, fixed at submission: tenants interleave, and 10,000 jobs of one
    tenant do not delay the first job of another.
    """
    return PRIORITIES[priority] * _CLASS_WIDTH + min(waiting, _CLASS_WIDTH - 2) + 1


def count_waiting(session: Session, tenant_id: str, priority: str) -> int:
    query = select(func.count()).where(
        Job.tenant_id == tenant_id, Job.status == Status.QUEUED, Job.priority == priority
    )
    return session.execute(query).scalar_one()
