"""What workers do with jobs of every kind: claim, report, finish, hand over. All changes carry `WHERE attempt = k`."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import delete, select, update
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from wdist_service.database import Database
from wdist_service.queue.dispatch import Queue
from wdist_service.queue.fairness import virtual_time
from wdist_service.queue.kinds import Kinds, UnworkableError, Work
from wdist_service.queue.liveness import Liveness
from wdist_service.queue.records import record, record_status
from wdist_service.storage.files import Storage
from wdist_service.tables import ACTIVE, Artifact, Job, Status, Worker

_HELD = (Status.RUNNING, Status.CANCELING)


@dataclass(frozen=True)
class Claim:
    """One attempt that this worker now holds."""

    job_id: str
    attempt: int
    runner: str  # the module that does the work
    work: Work
    cost_seconds: float  # its estimated duration
    is_to_finish: bool = False  # its owner wanted it to end with what it has before it began


class Held(NamedTuple):
    """What the tables say of a job that a worker holds; is_to_finish: its owner wants it to end with what it has."""

    attempt: int
    status: str
    is_to_finish: bool


@dataclass(frozen=True)
class Finished:
    """What a trainer produced: values, as the kind of its job stores them, and files by name."""

    values: dict[str, Any]
    files: Mapping[str, Path]


class Attempts:
    """A worker's view of the tables."""

    def __init__(self, database: Database, queue: Queue, storage: Storage, kinds: Kinds, worker_id: str) -> None:
        self._database = database
        self._queue = queue
        self._storage = storage
        self._kinds = kinds
        self.worker_id = worker_id
        self.liveness = Liveness()

    def declare(self, name: str, slots: int, devices: list[str]) -> None:
        """Register this worker. It alone holds its name, so earlier workers of that name are dead, lease or not."""
        with self._database.write() as session:
            now = self._database.now(session)
            session.execute(update(Worker).where(Worker.name == name).values(beat_at=0.0))
            session.add(Worker(id=self.worker_id, name=name, slots=slots, devices=devices, started_at=now, beat_at=now))

    def beat(self) -> bool:
        """Renew the lease; False when others have declared this worker dead, and it has to register again."""
        with self._database.write() as session:
            now = self._database.now(session)
            statement = update(Worker).where(Worker.id == self.worker_id).values(beat_at=now).returning(Worker.id)
            return session.execute(statement).first() is not None

    def leave(self) -> None:
        """Mark this worker as gone, so that nobody waits for its lease to expire."""
        with self._database.write() as session:
            session.execute(update(Worker).where(Worker.id == self.worker_id).values(beat_at=0.0))

    def claim(self, job_id: str, attempt: int, most: int) -> list[Claim]:
        """Claim a queued attempt and up to `most` - 1 more that its kind runs together with it.

        The list is empty when the attempt was canceled, replaced, or delivered twice.

        Only first attempts share a trainer: a retried one may be what killed the trainer last time. The other attempts
        are withdrawn from the queue. If it delivers one all the same, the claim finds it taken.
        """
        with self._database.write() as session:
            if (first := self._claim(session, job_id, attempt)) is None:
                return []
            kind = self._kinds.of(job_id)
            row = session.get_one(kind.table, job_id)
            others = [] if most == 1 or attempt > 1 else kind.companions(session, row, most)
            claims = [first, *(claim for each in others if (claim := self._claim(session, each, 1)) is not None)]
            if len(claims) > 1:
                taken = Job.id.in_([claim.job_id for claim in claims])
                session.execute(update(Job).where(taken).values(together=len(claims)))
        with contextlib.suppress(DatabaseError):
            self._queue.withdraw((claim.job_id, claim.attempt) for claim in claims[1:])
        return claims

    def _claim(self, session: Session, job_id: str, attempt: int) -> Claim | None:
        values = {"status": Status.RUNNING, "worker_id": self.worker_id, "progress": None, "together": None}
        if not self._change(session, job_id, attempt, (Status.QUEUED,), **values):
            return None
        kind = self._kinds.of(job_id)
        row = session.get_one(kind.table, job_id)
        if row.started_at is None:
            row.started_at = time.time()
        record_status(session, job_id, Status.RUNNING, attempt)
        try:
            work = kind.work(session, row)
        except UnworkableError as error:
            self._fail(session, job_id, attempt, {"type": "invalid", "message": str(error)})
            return None
        cost = math.inf if row.cost_seconds is None else row.cost_seconds
        return Claim(job_id, attempt, kind.runner, work, cost, row.finish_asked_at is not None)

    def watch(self) -> dict[str, Held]:
        """Every job that this worker holds according to the tables, by its id."""
        with self._database.read() as session:
            query = select(Job.id, Job.attempt, Job.status, Job.finish_asked_at)
            rows = session.execute(query.where(Job.worker_id == self.worker_id, Job.status.in_(_HELD)))
            return {row.id: Held(row.attempt, row.status, row.finish_asked_at is not None) for row in rows}

    def is_active(self, job_id: str) -> bool:
        """Whether a job is still queued or running."""
        with self._database.read() as session:
            query = select(Job.id).where(Job.id == job_id, Job.status.in_(ACTIVE))
            return session.execute(query).first() is not None

    def report(self, progress: Mapping[tuple[str, int], dict[str, Any]]) -> None:
        """Store the latest progress of running attempts, in one transaction."""
        if not progress:
            return
        with self._database.write() as session:
            for (job_id, attempt), data in sorted(progress.items()):  # every transaction locks rows in this order
                if self._change(session, job_id, attempt, _HELD, progress=data):
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
                file.seal()
                self._storage.send(file)
            with self._database.write() as session:
                if self._end_canceled(session, job_id, attempt):
                    return True
                if not self._end_as(session, job_id, attempt, Status.RUNNING, Status.SUCCEEDED):
                    return False
                kind = self._kinds.of(job_id)
                kind.succeed(session, session.get_one(kind.table, job_id), finished.values)
                self._database.hold(session, *(file.sha256 for file in incoming.values()))
                for name, file in incoming.items():
                    session.add(Artifact(job_id=job_id, name=name, sha256=file.sha256, bytes=file.bytes))
                    self._storage.place(file)
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
            if not self._change(session, job_id, attempt, _HELD, failures=failures):
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

    def _hand_over(self, session: Session, job_id: str, attempt: int) -> bool:
        if self._end_canceled(session, job_id, attempt):
            return True
        values = {"attempt": attempt + 1, "status": Status.QUEUED, "worker_id": None, "progress": None}
        if not self._change(session, job_id, attempt, (Status.QUEUED, Status.RUNNING), **values):
            return False
        record_status(session, job_id, Status.QUEUED, attempt + 1)
        priority = session.execute(select(Job.priority).where(Job.id == job_id)).scalar_one()
        self._queue.enqueue(session, job_id, attempt + 1, virtual_time(priority, 0))
        return True

    def take_over(self, lease_seconds: float, still_seconds: float = 0.0) -> int:
        """Hand over every attempt of dead workers; returns how many.

        A worker is dead if it said so, or if another holds its name. It is also dead if its lease has expired on the
        database's clock and this process has seen no beat of it for `still_seconds`.
        """
        with self._database.read() as session:
            now = self._database.now(session)
            query = select(Worker.id, Worker.beat_at).where(Worker.id != self.worker_id)
            beats = {row.id: row.beat_at for row in session.execute(query)}
        still = self.liveness.look(beats.items())
        suspects = {
            worker: beat
            for worker, beat in beats.items()
            # `abs`: a beat far in the future was written before the clock was set back.
            if beat == 0.0 or (abs(now - beat) > lease_seconds and still[worker] >= still_seconds)
        }
        if not suspects:
            return 0
        delivered = self._queue.delivered_to(suspects)
        with self._database.write() as session:
            query = select(Worker.id, Worker.beat_at).where(Worker.id.in_(suspects)).with_for_update()
            if {row.id: row.beat_at for row in session.execute(query)} != suspects:
                return 0  # one of them came back in the meantime; check again next time
            dead = list(suspects)
            held = select(Job.id, Job.attempt).where(Job.worker_id.in_(dead), Job.status.in_(_HELD))
            attempts = {(row.id, row.attempt) for row in session.execute(held)}
            # Delivered to a worker that died before it claimed them: their rows still say queued.
            attempts.update(self._still_queued(session, delivered))
            moved = sum(self._hand_over(session, *attempt) for attempt in sorted(attempts))
            session.execute(delete(Worker).where(Worker.id.in_(dead)))
            return moved

    def _change(
        self, session: Session, job_id: str, attempt: int, statuses: Iterable[Status], /, **values: Any
    ) -> bool:
        """UPDATE an attempt if it is in one of these states; False (fenced) if it is not."""
        held = Job.id == job_id, Job.attempt == attempt, Job.status.in_(list(statuses))
        return session.execute(update(Job).where(*held).values(**values).returning(Job.id)).first() is not None

    def _end_as(self, session: Session, job_id: str, attempt: int, held: Status, status: Status, **values: Any) -> bool:
        """End an attempt that is in the state `held`; False (fenced) if it is not."""
        if not self._change(session, job_id, attempt, (held,), **_end(status), **values):
            return False
        record_status(session, job_id, status, attempt)
        return True

    def _end_canceled(self, session: Session, job_id: str, attempt: int) -> bool:
        return self._end_as(session, job_id, attempt, Status.CANCELING, Status.CANCELED)

    def _fail(self, session: Session, job_id: str, attempt: int, error: dict[str, str]) -> bool:
        return self._end_canceled(session, job_id, attempt) or self._end_as(
            session, job_id, attempt, Status.RUNNING, Status.FAILED, error=error
        )

    def _still_queued(self, session: Session, attempts: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
        found: set[tuple[str, int]] = set()
        for start in range(0, len(attempts), 500):  # SQLite limits the variables of a statement
            ids = [job_id for job_id, _ in attempts[start : start + 500]]
            query = select(Job.id, Job.attempt).where(Job.id.in_(ids), Job.status == Status.QUEUED)
            found.update((row.id, row.attempt) for row in session.execute(query))
        return found.intersection(attempts)


def _end(status: Status) -> dict[str, Any]:
    return {"status": status, "finished_at": time.time(), "worker_id": None}
