"""What follows the end of jobs, in the transaction that ends them: their kinds hear of it, and others go on.

A job may wait for another one (`Job.waits_for`). When that one ends, however it does, the waiting job is released: it
gets its turn. A job that ends while it waits itself leaves its place to those behind it: they wait for what it waited
for. So jobs in a chain run one after the other, in the order of their submission.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from wdist_service.queue.dispatch import Queue
from wdist_service.queue.fairness import add_turns, count_waiting
from wdist_service.tables import ACTIVE, Job, Status

_UNSEEN = {"synchronize_session": False}
AT_ONCE = 500  # SQLite limits the variables of a statement


def follow(session: Session, queue: Queue, jobs: Sequence[Job]) -> None:
    """Do what follows the end of these jobs, whose rows this transaction has locked and changed."""
    session.flush()
    queue.kinds.ended(session, jobs)
    session.flush()
    for start in range(0, len(jobs), AT_ONCE):
        _release(session, queue, [job.id for job in jobs[start : start + AT_ONCE]])


def still_active(session: Session, ids: Collection[str]) -> set[str]:
    """Those of the jobs that have not ended. They do not end before this transaction does."""
    if not ids:
        return set()
    query = select(Job.id).where(Job.id.in_(ids), Job.status.in_(ACTIVE)).order_by(Job.id)
    return set(session.execute(query.with_for_update(read=True)).scalars())


def last_in_chain(session: Session, members: Select[str]) -> str | None:
    """Of the jobs of a chain, the one for which a new member waits; None if all have ended.

    It is the one that no other waits for, not the one with the highest id: ids follow the clocks of hosts. `members`
    selects the ids. The caller holds a lock that keeps others from adding members; none ends before the transaction
    does.
    """
    active = select(Job.id, Job.waits_for).where(Job.id.in_(members), Job.status.in_(ACTIVE)).order_by(Job.id)
    rows = session.execute(active.with_for_update(read=True)).all()
    followed = {row.waits_for for row in rows}
    return max((row.id for row in rows if row.id not in followed), default=None)


def _release(session: Session, queue: Queue, ended: Sequence[str]) -> None:
    """Release the jobs that waited for these, or have them wait for what these waited for."""
    places = {row.id: row.waits_for for row in session.execute(select(Job.id, Job.waits_for).where(Job.id.in_(ended)))}
    if any(places.values()):
        session.execute(update(Job).where(Job.id.in_(ended)).values(waits_for=None), execution_options=_UNSEEN)
    released: dict[str, list[tuple[str, int]]] = defaultdict(list)
    # Until none is found: on PostgreSQL, a job that is being canceled at this moment may leave us those behind it.
    behind = select(Job.waits_for).where(Job.waits_for.in_(ended)).distinct()
    while waited_for := sorted(filter(None, session.execute(behind).scalars())):
        for job_id in waited_for:
            following = _place_of(job_id, places)
            moved = update(Job).where(Job.waits_for == job_id).values(waits_for=following)
            rows = session.execute(
                moved.returning(Job.tenant_id, Job.id, Job.attempt, Job.status), execution_options=_UNSEEN
            ).all()
            for row in rows:
                if following is None and row.status == Status.QUEUED:
                    released[row.tenant_id].append((row.id, row.attempt))
    for tenant_id, jobs in sorted(released.items()):
        # Behind the turns that the tenant has: it has no more of the workers because its jobs wait for each other.
        before = count_waiting(session, tenant_id) - len(jobs)
        add_turns(session, queue, tenant_id, jobs, before)


def _place_of(job_id: str, places: Mapping[str, str | None]) -> str | None:
    """What those behind an ended job wait for now."""
    place: str | None = job_id
    while place is not None and place in places:
        place = places[place]
    return place
