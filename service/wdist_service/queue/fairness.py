"""Which job starts next: tenants take turns, and each tenant's jobs start by priority, then by age.

An entry of the queue is a *turn* of its tenant. Whatever job it was made for, the worker that gets it claims the job of
that tenant that is first by then. So a job of high priority overtakes those of its own tenant and nobody else's.

Invariant: each tenant has at least as many turns as jobs that are ready. A job that waits for another one (ends.py) or
for a time (errands.py) is not. A job and its turn are added in one transaction, and so is the turn of one that becomes
ready. A turn is used up by a claim, or where nothing is ready. A dead worker's turns are put back (attempts.py),
whether it had used them or not. One turn too many does no harm: it finds nothing to claim.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from sqlalchemy import and_, func, literal, select
from sqlalchemy.orm import Session

from wdist_service.database import Database
from wdist_service.queue.dispatch import Queue, Turn
from wdist_service.tables import Job, Status

PRIORITIES = ("high", "normal", "low")
# In the words of the index ix_jobs_ready: SQLite uses it only then.
QUEUED = Job.status == literal(str(Status.QUEUED), literal_execute=True)
READY = and_(QUEUED, Job.waits_for.is_(None), Job.due_at.is_(None))


def add_turns(session: Session, queue: Queue, tenant_id: str, jobs: Sequence[tuple[str, int]], waiting: int) -> None:
    """One turn of the tenant for each (job, attempt), behind its `waiting` turns.

    Start-time fair queueing with unit costs (Goyal, Vin and Cheng, 1996): the k-th turn of a tenant that waits gets the
    virtual time of now plus k, and the least goes first. Tenants alternate, and 10,000 jobs of one tenant do not delay
    the first job of another.
    """
    now = queue.virtual_time(session)
    for number, attempt in enumerate(jobs):
        queue.enqueue(session, tenant_id, attempt, now + waiting + number)


def count_waiting(session: Session, tenant_id: str) -> int:
    """How many jobs of a tenant are ready."""
    query = select(func.count()).where(Job.tenant_id == tenant_id, READY)
    return session.execute(query).scalar_one()


def next_job(session: Session, turn: Turn) -> tuple[str, int] | None:
    """The job and attempt that this turn is for, locked until the transaction ends; None if nothing waits."""
    tenant_id = turn.tenant_id or session.execute(select(Job.tenant_id).where(Job.id == turn.job_id)).scalar()
    if tenant_id is None:
        return None
    if (found := _first_waiting(session, tenant_id, skip_locked=True)) is not None:
        return found
    # What others have locked may be claimed by nobody in the end. The turn must not be given up before that is known.
    while count_waiting(session, tenant_id):
        if (found := _first_waiting(session, tenant_id, skip_locked=False)) is not None:
            return found
    return None


def _first_waiting(session: Session, tenant_id: str, *, skip_locked: bool) -> tuple[str, int] | None:
    for priority in PRIORITIES:  # one after the other, each from the index
        ready = Job.tenant_id == tenant_id, READY, Job.priority == priority
        query = select(Job.id, Job.attempt).where(*ready).order_by(Job.created_at, Job.id).limit(1)
        if (row := session.execute(query.with_for_update(skip_locked=skip_locked)).first()) is not None:
            return row.id, row.attempt
    return None


def requeue_stranded(database: Database, queue: Queue) -> int:
    """Give turns to tenants that have fewer than jobs that are ready; returns how many.

    The invariant says that there are none. But a queue may be restored from another moment than the jobs, and DBOS may
    mark an entry as delivered and never run it, as when the database goes away between the two.
    """
    with database.read() as session:
        if not _missing(session, queue):
            return 0
    with database.write() as session:
        missing = _missing(session, queue)
        for tenant_id, count in missing.items():
            ready = select(Job.id, Job.attempt).where(Job.tenant_id == tenant_id, READY)
            jobs = session.execute(ready.order_by(Job.created_at, Job.id).limit(count)).all()
            now = queue.virtual_time(session)
            for number, attempt in enumerate(jobs):
                queue.enqueue(session, tenant_id, attempt, now + number, suffix=f":{secrets.token_hex(4)}")
        return sum(missing.values())


def _missing(session: Session, queue: Queue) -> dict[str, int]:
    """How many turns each tenant lacks. Those in the hands of a worker do not count, as it may never use them."""
    query = select(Job.tenant_id, func.count()).where(READY).group_by(Job.tenant_id)
    turns = queue.count_turns(session)
    lacking = {tenant_id: count - turns.get(tenant_id, 0) for tenant_id, count in session.execute(query)}
    return {tenant_id: count for tenant_id, count in lacking.items() if count > 0}


def adopt_turns(database: Database, queue: Queue) -> None:
    """Make turns of the entries that versions before 0.2 made: they name no tenant, and have a class of priority."""
    with database.write() as session:
        entries = queue.without_tenant(session)
        for start in range(0, len(entries), 500):  # SQLite limits the variables of a statement
            part = entries[start : start + 500]
            query = select(Job.id, Job.tenant_id).where(Job.id.in_([turn.job_id for turn in part]))
            owners = dict(session.execute(query).all())
            queue.name_tenants(session, {turn: owners[turn.job_id] for turn in part if turn.job_id in owners})
