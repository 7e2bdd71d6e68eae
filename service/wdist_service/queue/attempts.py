"""What workers do with jobs of every kind: claim, report, finish, hand over. All changes carry `WHERE attempt = k`."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import event, select, update
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from wdist_service.database import Database
from wdist_service.errors import StorageUnavailableError
from wdist_service.queue.dispatch import Queue, Turn
from wdist_service.queue.fairness import next_job
from wdist_service.queue.leases import Leases
from wdist_service.queue.records import record
from wdist_service.queue.transitions import HELD, UNSEEN, Claim, Transitions
from wdist_service.storage.files import Storage, seal_all
from wdist_service.storage.references import discard_unused
from wdist_service.tables import Artifact, Job, Role, Status

log = logging.getLogger("wdist.queue")
_CAP = 5
_AGAIN_SECONDS = 1.0  # until an errand whose worker died is tried again


class Held(NamedTuple):
    """What the tables say of a job that a worker holds; is_to_finish: its owner wants it to end with what it has."""

    attempt: int
    status: str
    is_to_finish: bool
    is_errand: bool


@dataclass(frozen=True)
class Finished:
    """What a trainer produced: values, as the kind of its job stores them, and files by name."""

    values: dict[str, Any]
    files: Mapping[str, Path]


class Attempts(Transitions):
    """A worker's view of the tables."""

    def __init__(self, database: Database, queue: Queue, storage: Storage, worker_id: str) -> None:
        super().__init__(database, queue, worker_id)
        self._storage = storage
        self.leases = Leases(database, worker_id, Role.WORKER)

    def claim(self, turn: Turn, most: int) -> list[Claim]:
        """Claim the job that this turn is for, and up to `most` - 1 more that its kind runs together with it.

        The list is empty when no job of the tenant waits: the turn's was canceled, or the turn was delivered twice.

        Only first attempts share a trainer: a retried one may be what killed the trainer last time. The turns of the
        others are withdrawn from the queue. If it delivers one all the same, the tenant has one more.
        """
        with self._database.write() as session, session.no_autoflush:  # the events are inserted together at the end
            # The session lets go of rows that nobody holds, and would read the sets of a batch again for each job.
            held: list[object] = []
            event.listen(session, "loaded_as_persistent", lambda _, row: held.append(row))
            while (found := next_job(session, turn)) is not None:
                if (first := self._claim(session, *found)) is not None:
                    break
            else:
                return []
            others = [] if most == 1 or first.attempt > 1 else self._companions(session, first.job_id, most)
            claims = [first, *(claim for each in others if (claim := self._claim(session, each, 1)) is not None)]
            if len(claims) > 1:
                taken = Job.id.in_([claim.job_id for claim in claims])
                session.execute(update(Job).where(taken).values(together=len(claims)), execution_options=UNSEEN)
        with contextlib.suppress(DatabaseError):
            self._queue.withdraw((claim.job_id, claim.attempt) for claim in claims[1:])
        return claims

    def _companions(self, session: Session, job_id: str, most: int) -> list[str]:
        """Jobs to run together with a claimed one; none if what is stored of one of them cannot be read."""
        kind = self._kinds.of(job_id)
        try:
            return kind.companions(session, self._row(session, job_id), most)
        except DatabaseError:
            raise
        except Exception:  # it will fail by itself when its turn comes
            log.exception("cannot tell what runs together with a job", extra={"estimate": job_id})
            return []

    def watch(self) -> dict[str, Held]:
        """Every job that this worker holds according to the tables, by its id."""
        with self._database.read() as session:
            query = select(Job.id, Job.attempt, Job.status, Job.finish_asked_at, Job.due_at)
            rows = session.execute(query.where(Job.worker_id == self.worker_id, Job.status.in_(HELD)))
            return {
                row.id: Held(row.attempt, row.status, row.finish_asked_at is not None, row.due_at is not None)
                for row in rows
            }

    def report(self, progress: Mapping[tuple[str, int], dict[str, Any]]) -> None:
        """Store the latest progress of running attempts, in one transaction."""
        if not progress:
            return
        with self._database.write() as session:
            for (job_id, attempt), data in sorted(progress.items()):  # every transaction locks rows in this order
                if self._change(session, job_id, attempt, HELD, progress=data):
                    record(session, job_id, "progress", data)

    def succeed(self, job_id: str, attempt: int, finished: Finished) -> bool:
        """Store result and files; False when fenced. A job that is being canceled ends canceled all the same."""
        with ExitStack() as opened:
            incoming = {}
            for name, path in finished.files.items():
                file = incoming[name] = opened.enter_context(self._storage.incoming())
                with path.open("rb") as stream:
                    while block := stream.read(1 << 20):
                        file.write(block)
            seal_all(incoming.values())
            for file in incoming.values():
                self._storage.send(file)
            with self._database.write() as session:
                size = sum(file.bytes for file in incoming.values())
                if (status := self._end_done(session, job_id, attempt, size)) != Status.SUCCEEDED:
                    return status is not None
                unused = self._kinds.of(job_id).succeed(session, self._row(session, job_id), finished.values)
                self._database.hold(session, *(file.sha256 for file in incoming.values()))
                for name, file in incoming.items():
                    session.add(Artifact(job_id=job_id, name=name, sha256=file.sha256, bytes=file.bytes))
                    self._storage.place(file)
                self._follow(session, job_id)
        with contextlib.suppress(DatabaseError, StorageUnavailableError):  # a sweep removes them
            discard_unused(self._database, self._storage, list(unused))
        return True

    def fail(self, job_id: str, attempt: int, error: dict[str, str]) -> bool:
        """End a job as failed, with an error message; False when fenced."""
        with self._database.write() as session:
            return self._fail(session, job_id, attempt, error)

    def stopped(self, job_id: str, attempt: int) -> bool:
        """End a canceled job, once its trainer has stopped; False when fenced."""
        with self._database.write() as session:
            return self._end_canceled(session, job_id, attempt)

    def died(self, job_id: str, attempt: int, reason: str, cap: int, *, alone: bool = True) -> bool:
        """Retry a job whose trainer died, up to `cap` deaths in all; False when fenced.

        If it was not `alone` in the trainer, it may not be the cause: the death does not count and it is retried alone.
        """
        with self._database.write() as session:
            held = select(Job.status, Job.failures).where(Job.id == job_id, Job.attempt == attempt)
            if (row := session.execute(held).first()) is None:
                return False
            failures = row.failures + alone
            if not self._change(session, job_id, attempt, HELD, failures=failures):
                return False
            noun = self._kinds.of(job_id).table.noun
            if alone and row.status == Status.RUNNING and failures >= cap:
                message = f"the trainer died {failures} times on this {noun}; the last time: {reason}"
                return self._fail(session, job_id, attempt, {"type": "trainer_died", "message": message})
            again = "is tried again" if alone else "is tried again, now alone"
            data = {"level": "warning", "message": f"the trainer died and the {noun} {again}: {reason}"}
            record(session, job_id, "log", data)
            return self._hand_over(session, job_id, attempt)

    def hand_over(self, job_id: str, attempt: int) -> bool:
        """Put an attempt k back without counting a failure: attempt k + 1 is queued; False when fenced."""
        with self._database.write() as session:
            return self._hand_over(session, job_id, attempt)

    def take_over(self, lease_seconds: float, still_seconds: float = 0.0, cap: int = _CAP) -> int:
        """Hand over every attempt of dead workers, and put back the turns that they had; returns how many attempts.

        A job whose worker died `cap` times without its getting any further fails: it may be what ended them.
        """
        if not (dead := self.leases.dead(lease_seconds, still_seconds)):
            return 0
        # First: if this process dies now, the next one to take over finds the workers still, and puts back the rest.
        self._queue.put_back(dead)
        with self._database.write() as session:
            if not self.leases.bury(session, dead):
                return 0  # one of them came back in the meantime; check again next time
            held = select(Job.id, Job.attempt).where(Job.worker_id.in_(dead), Job.status.in_(HELD)).order_by(Job.id)
            return sum(self._bereave(session, job_id, attempt, cap) for job_id, attempt in session.execute(held).all())

    def _bereave(self, session: Session, job_id: str, attempt: int, cap: int) -> bool:
        """Hand over an attempt whose worker died, or fail the job at the cap.

        Errands have no cap. What they are to tell somebody would be lost.
        """
        query = select(Job.progress, Job.furthest, Job.worker_deaths, Job.due_at).where(Job.id == job_id)
        progress, furthest, deaths, due_at = session.execute(query).one()
        if due_at is not None:
            return self._hand_over(session, job_id, attempt, _AGAIN_SECONDS)
        kind = self._kinds.of(job_id)
        reached = None if progress is None else kind.reached(progress)
        if reached is not None and (furthest is None or reached > furthest):
            deaths, furthest = 0, reached
        if not self._change(session, job_id, attempt, HELD, worker_deaths=deaths + 1, furthest=furthest):
            return False
        if deaths + 1 >= cap:
            message = (
                f"the worker died {deaths + 1} times while it ran this {kind.table.noun}, which got no further in "
                "between: it may need more memory than a host has"
            )
            return self._fail(session, job_id, attempt, {"type": "worker_died", "message": message})
        return self._hand_over(session, job_id, attempt)
