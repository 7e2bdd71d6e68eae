"""How one attempt of a job changes: claimed, handed over, ended. Every change carries `WHERE attempt = k`.

What workers do is made of these: attempts.py for jobs that trainers run, errands.py for those of the worker itself.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, func, select, update
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session, lazyload

from wdist_service.database import Database
from wdist_service.queue.dispatch import Queue
from wdist_service.queue.ends import follow
from wdist_service.queue.fairness import add_turns
from wdist_service.queue.kinds import UnworkableError, Work
from wdist_service.queue.records import record_status
from wdist_service.tables import Job, Status

log = logging.getLogger("wdist.queue")
HELD = (Status.RUNNING, Status.CANCELING)
# No row that a session has read is compared or read again: what these statements change is read after them, or not.
UNSEEN = {"synchronize_session": False}


@dataclass(frozen=True)
class Claim:
    """One attempt that this worker now holds."""

    job_id: str
    attempt: int
    runner: str  # the module that does the work; empty for an errand
    work: Work
    cost_seconds: float  # its estimated duration
    is_to_finish: bool = False  # its owner wanted it to end with what it has before it began


class Transitions:
    """The changes that a worker makes; each is part of a transaction, and changes nothing if the attempt is not its."""

    def __init__(self, database: Database, queue: Queue, worker_id: str) -> None:
        self._database = database
        self._queue = queue
        self._kinds = queue.kinds
        self.worker_id = worker_id

    def _claim(self, session: Session, job_id: str, attempt: int, *, is_errand: bool = False) -> Claim | None:
        """Claim an attempt whose row is locked; None if it is not queued, or fails because it cannot be run."""
        values: dict[str, Any] = {
            "status": Status.RUNNING,
            "worker_id": self.worker_id,
            "progress": None,
            "together": None,
        }
        if not is_errand:  # errands take no time of a device
            values["started_at"] = func.coalesce(Job.started_at, time.time())
        if not self._change(session, job_id, attempt, (Status.QUEUED,), **values):
            return None
        record_status(session, job_id, Status.RUNNING, attempt)
        try:
            kind = self._kinds.of(job_id)
            row = self._row(session, job_id)
            work = kind.work(session, row)
        except DatabaseError:
            raise
        except UnworkableError as error:
            self._fail(session, job_id, attempt, {"type": "invalid", "message": str(error)})
            return None
        except Exception as error:  # else it would stay the first of its tenant, and none of the others would start
            log.exception("the tables do not have what a job needs", extra={"estimate": job_id})
            message = f"what this server stored of it cannot be read ({type(error).__name__}): submit it again"
            self._fail(session, job_id, attempt, {"type": "internal_error", "message": message})
            return None
        cost = math.inf if row.cost_seconds is None else row.cost_seconds
        return Claim(job_id, attempt, kind.runner, work, cost, row.finish_asked_at is not None)

    def _row(self, session: Session, job_id: str) -> Job:
        """The row of a job as its kind has it, without what belongs to it: that is read when it is used.

        It is read anew, as statements have changed it since the session saw it.
        """
        table = self._kinds.of(job_id).table
        row: Job = session.get_one(table, job_id, options=[lazyload("*")], populate_existing=True)
        return row

    def _change(
        self, session: Session, job_id: str, attempt: int, statuses: Iterable[Status], /, **values: Any
    ) -> bool:
        """UPDATE an attempt if it is in one of these states; False (fenced) if it is not."""
        held = Job.id == job_id, Job.attempt == attempt, Job.status.in_(list(statuses))
        changed = update(Job).where(*held).values(**values).returning(Job.id)
        return session.execute(changed, execution_options=UNSEEN).first() is not None

    def _hand_over(self, session: Session, job_id: str, attempt: int, after_seconds: float = 0.0) -> bool:
        """Queue attempt k + 1, an errand's after some seconds; a job that is being canceled ends. False when fenced."""
        if self._end_canceled(session, job_id, attempt):
            return True
        values = {"attempt": attempt + 1, "status": Status.QUEUED, "worker_id": None, "progress": None}
        if not self._change(session, job_id, attempt, (Status.QUEUED, Status.RUNNING), **values):
            return False
        record_status(session, job_id, Status.QUEUED, attempt + 1)
        query = select(Job.tenant_id, Job.due_at).where(Job.id == job_id)
        tenant_id, due_at = session.execute(query).one()
        if due_at is None:
            add_turns(session, self._queue, tenant_id, [(job_id, attempt + 1)], waiting=0)
            return True
        now = self._database.now(session)
        return self._change(session, job_id, attempt + 1, (Status.QUEUED,), due_at=now + after_seconds, dated_at=now)

    def _end_done(self, session: Session, job_id: str, attempt: int, size: int = 0) -> Status | None:
        """End an attempt that did its work, in one statement; returns how, None if fenced. size: of its files.

        If it succeeded, the caller stores what came of it, and calls `_follow` then.
        """
        is_canceled = Job.status == Status.CANCELING
        values = {
            "status": case((is_canceled, Status.CANCELED), else_=Status.SUCCEEDED),
            "stored_bytes": case((is_canceled, Job.stored_bytes), else_=Job.stored_bytes + size),
        }
        held = Job.id == job_id, Job.attempt == attempt, Job.status.in_(HELD)
        ended = update(Job).where(*held).values(finished_at=time.time(), worker_id=None, **values)
        status = session.execute(ended.returning(Job.status), execution_options=UNSEEN).scalar()
        if status is None:
            return None
        record_status(session, job_id, status, attempt)
        if status == Status.CANCELED:
            self._follow(session, job_id)
        return Status(status)

    def _end_as(self, session: Session, job_id: str, attempt: int, held: Status, status: Status, **values: Any) -> bool:
        """End an attempt that is in the state `held`; False (fenced) if it is not."""
        values |= {"status": status, "finished_at": time.time(), "worker_id": None}
        if not self._change(session, job_id, attempt, (held,), **values):
            return False
        record_status(session, job_id, status, attempt)
        self._follow(session, job_id)
        return True

    def _end_canceled(self, session: Session, job_id: str, attempt: int) -> bool:
        return self._end_as(session, job_id, attempt, Status.CANCELING, Status.CANCELED)

    def _fail(self, session: Session, job_id: str, attempt: int, error: dict[str, str]) -> bool:
        return self._end_canceled(session, job_id, attempt) or self._end_as(
            session, job_id, attempt, Status.RUNNING, Status.FAILED, error=error
        )

    def _follow(self, session: Session, job_id: str) -> None:
        session.flush()
        follow(session, self._queue, [self._row(session, job_id)])
