"""What workers do with estimates: claim, report, finish, hand over. Every change carries `WHERE attempt = k`."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from wdist_service.database import Database
from wdist_service.queue.dispatch import Queue
from wdist_service.queue.fairness import virtual_time
from wdist_service.queue.liveness import Liveness
from wdist_service.queue.status import record_status
from wdist_service.storage.files import Storage
from wdist_service.tables import ACTIVE, Artifact, Estimate, Event, SampleSet, Status, Worker

_HELD = (Status.RUNNING, Status.CANCELING)
# Limits on estimates that are claimed together: seconds of each, seconds of all, bytes of all their sample sets.
_SMALL_SECONDS, _TOGETHER_SECONDS, _TOGETHER_BYTES = 10.0, 60.0, 64 << 20


@dataclass(frozen=True)
class Claim:
    """One attempt that this worker now holds."""

    estimate_id: str
    attempt: int
    source: str  # sha256 of the stored set
    target: str
    options: dict[str, Any]
    groups: tuple[str, str] | None = None  # one label for each row of source and of target
    cost_seconds: float = math.inf  # its estimated duration


@dataclass(frozen=True)
class Finished:
    """What a trainer produced: the result, its curve, and files by name."""

    result: dict[str, Any]
    curve: list[Any]
    files: Mapping[str, Path]


class Attempts:
    """A worker's view of the tables."""

    def __init__(self, database: Database, queue: Queue, storage: Storage, worker_id: str) -> None:
        self._database = database
        self._queue = queue
        self._storage = storage
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

    def claim(self, estimate_id: str, attempt: int, most: int) -> list[Claim]:
        """Claim a queued attempt and, if it is small, up to `most` - 1 more of its batch.

        The list is empty when the attempt was canceled, replaced, or delivered twice.

        Only first attempts share a trainer: a retried one may be what killed the trainer last time. The other attempts
        are withdrawn from the queue. If it delivers one all the same, the claim finds it taken.
        """
        with self._database.write() as session:
            if (first := self._claim(session, estimate_id, attempt)) is None:
                return []
            row = session.get_one(Estimate, estimate_id)
            others = [] if most == 1 or attempt > 1 else _companions(session, row, most)
            claims = [first, *(claim for each in others if (claim := self._claim(session, each, 1)) is not None)]
            if len(claims) > 1:
                taken = Estimate.id.in_([claim.estimate_id for claim in claims])
                session.execute(update(Estimate).where(taken).values(together=len(claims)))
        with contextlib.suppress(DatabaseError):
            self._queue.withdraw((claim.estimate_id, claim.attempt) for claim in claims[1:])
        return claims

    def _claim(self, session: Session, estimate_id: str, attempt: int) -> Claim | None:
        values = {"status": Status.RUNNING, "worker_id": self.worker_id, "progress": None, "together": None}
        if not _change(session, estimate_id, attempt, (Status.QUEUED,), **values):
            return None
        row = session.get_one(Estimate, estimate_id)
        if row.started_at is None:
            row.started_at = time.time()
        record_status(session, estimate_id, Status.RUNNING, attempt)
        options = dict(row.options)
        source, target = (_content(session, key) for key in (row.source_id, row.target_id))
        groups = None
        if (labels := options.pop("groups", None)) is not None:
            groups = _content(session, labels[row.source_id]), _content(session, labels[row.target_id])
        cost = math.inf if row.cost_seconds is None else row.cost_seconds
        return Claim(estimate_id, attempt, source, target, options, groups, cost)

    def watch(self) -> dict[str, tuple[int, str]]:
        """(attempt, status) of every estimate that this worker holds according to the tables."""
        with self._database.read() as session:
            query = select(Estimate.id, Estimate.attempt, Estimate.status).where(
                Estimate.worker_id == self.worker_id, Estimate.status.in_(_HELD)
            )
            return {row.id: (row.attempt, row.status) for row in session.execute(query)}

    def is_active(self, estimate_id: str) -> bool:
        """Whether an estimate is still queued or running."""
        with self._database.read() as session:
            query = select(Estimate.id).where(Estimate.id == estimate_id, Estimate.status.in_(ACTIVE))
            return session.execute(query).first() is not None

    def report(self, progress: Mapping[tuple[str, int], dict[str, Any]]) -> None:
        """Store the latest progress of running attempts, in one transaction."""
        if not progress:
            return
        with self._database.write() as session:
            for (estimate_id, attempt), data in sorted(progress.items()):  # every transaction locks rows in this order
                if _change(session, estimate_id, attempt, _HELD, progress=data):
                    session.add(Event(estimate_id=estimate_id, type="progress", data=data, created_at=time.time()))

    def succeed(self, estimate_id: str, attempt: int, finished: Finished) -> bool:
        """Store result and files; False when fenced. An estimate that is being canceled ends canceled all the same."""
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
                if _change(session, estimate_id, attempt, (Status.CANCELING,), **_end(Status.CANCELED)):
                    record_status(session, estimate_id, Status.CANCELED, attempt)
                    return True
                values = _end(Status.SUCCEEDED) | {"result": finished.result, "curve": finished.curve}
                if not _change(session, estimate_id, attempt, (Status.RUNNING,), **values):
                    return False
                self._database.hold(session, *(file.sha256 for file in incoming.values()))
                for name, file in incoming.items():
                    session.add(Artifact(estimate_id=estimate_id, name=name, sha256=file.sha256, bytes=file.bytes))
                    self._storage.place(file)
                record_status(session, estimate_id, Status.SUCCEEDED, attempt)
                return True

    def fail(self, estimate_id: str, attempt: int, error: dict[str, str]) -> bool:
        """End an estimate as failed, with an error message; False when fenced."""
        with self._database.write() as session:
            return _fail(session, estimate_id, attempt, error)

    def stopped(self, estimate_id: str, attempt: int) -> bool:
        """End a canceled estimate, once its trainer has stopped; False when fenced."""
        with self._database.write() as session:
            if not _change(session, estimate_id, attempt, (Status.CANCELING,), **_end(Status.CANCELED)):
                return False
            record_status(session, estimate_id, Status.CANCELED, attempt)
            return True

    def died(self, estimate_id: str, attempt: int, reason: str, cap: int, *, alone: bool = True) -> bool:
        """Retry an estimate whose trainer died, up to `cap` deaths in all; False when fenced.

        If it was not `alone` in the trainer, it may not be the cause: the death does not count and it is retried alone.
        """
        with self._database.write() as session:
            row = session.get(Estimate, estimate_id)
            if row is None or row.attempt != attempt:
                return False
            failures = row.failures + alone
            if not _change(session, estimate_id, attempt, _HELD, failures=failures):
                return False
            if alone and row.status == Status.RUNNING and failures >= cap:
                message = f"the trainer died {failures} times on this estimate; the last time: {reason}"
                return _fail(session, estimate_id, attempt, {"type": "trainer_died", "message": message})
            again = "is tried again" if alone else "is tried again, now alone"
            data = {"level": "warning", "message": f"the trainer died and the estimate {again}: {reason}"}
            session.add(Event(estimate_id=estimate_id, type="log", data=data, created_at=time.time()))
            return self._hand_over(session, row.id, attempt)

    def hand_over(self, estimate_id: str, attempt: int) -> bool:
        """Put an attempt k back without counting a failure: attempt k + 1 is queued; False when fenced."""
        with self._database.write() as session:
            return self._hand_over(session, estimate_id, attempt)

    def _hand_over(self, session: Session, estimate_id: str, attempt: int) -> bool:
        if _change(session, estimate_id, attempt, (Status.CANCELING,), **_end(Status.CANCELED)):
            record_status(session, estimate_id, Status.CANCELED, attempt)
            return True
        values = {"attempt": attempt + 1, "status": Status.QUEUED, "worker_id": None, "progress": None}
        if not _change(session, estimate_id, attempt, (Status.QUEUED, Status.RUNNING), **values):
            return False
        record_status(session, estimate_id, Status.QUEUED, attempt + 1)
        priority = session.get_one(Estimate, estimate_id).priority
        self._queue.enqueue(session, estimate_id, attempt + 1, virtual_time(priority, 0))
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
            held = select(Estimate.id, Estimate.attempt).where(Estimate.worker_id.in_(dead), Estimate.status.in_(_HELD))
            attempts = {(row.id, row.attempt) for row in session.execute(held)}
            # Delivered to a worker that died before it claimed them: their rows still say queued.
            attempts.update(_still_queued(session, delivered))
            moved = sum(self._hand_over(session, *attempt) for attempt in sorted(attempts))
            session.execute(delete(Worker).where(Worker.id.in_(dead)))
            return moved


def _companions(session: Session, first: Estimate, most: int) -> list[str]:
    """Small estimates that wait behind `first` in its batch, at most its slot's share of them.

    Guided self-scheduling (Polychronopoulos and Kuck, 1987): a slot takes the remaining work divided by the slots.
    """
    if not _is_small(first):
        return []
    slots = int(session.execute(select(func.sum(Worker.slots)).where(Worker.beat_at > 0)).scalar_one() or 1)
    waiting = (
        select(Estimate)
        .where(
            Estimate.batch_id == first.batch_id, Estimate.position > first.position, Estimate.attempt == 1,
            Estimate.status == Status.QUEUED,
        )
        .order_by(Estimate.position)
    )  # fmt: skip
    count = len(session.execute(waiting.with_only_columns(Estimate.id).limit(slots * most)).all())
    part = min(most, math.ceil((1 + count) / slots)) - 1
    seconds, taken, held = first.cost_seconds or 0.0, [], _bytes(session, first)
    # Skip rows that another transaction has locked: waiting for them would require locking in the order of ids.
    for row in session.execute(waiting.limit(part).with_for_update(skip_locked=True)).scalars() if part else ():
        seconds, held = seconds + (row.cost_seconds or 0.0), held + _bytes(session, row)
        if not _is_small(row) or seconds > _TOGETHER_SECONDS or held > _TOGETHER_BYTES:
            break
        taken.append(row.id)
    return taken


def _is_small(row: Estimate) -> bool:
    """Whether it may be taken with others of its batch; the clock of one that has seconds would run for all."""
    cost = math.inf if row.cost_seconds is None else row.cost_seconds
    return row.batch_id is not None and cost <= _SMALL_SECONDS and row.options.get("max_seconds") is None


def _bytes(session: Session, row: Estimate) -> int:
    return sum(session.get_one(SampleSet, key).bytes for key in (row.source_id, row.target_id))


def _content(session: Session, sample_set_id: str) -> str:
    return session.get_one(SampleSet, sample_set_id).sha256


def _change(session: Session, estimate_id: str, attempt: int, statuses: Iterable[Status], /, **values: Any) -> bool:
    """UPDATE an attempt if it is in one of these states; False (fenced) if it is not."""
    statement = (
        update(Estimate)
        .where(Estimate.id == estimate_id, Estimate.attempt == attempt, Estimate.status.in_(list(statuses)))
        .values(**values)
        .returning(Estimate.id)
    )
    return session.execute(statement).first() is not None


def _end(status: Status) -> dict[str, Any]:
    return {"status": status, "finished_at": time.time(), "worker_id": None}


def _fail(session: Session, estimate_id: str, attempt: int, error: dict[str, str]) -> bool:
    if _change(session, estimate_id, attempt, (Status.CANCELING,), **_end(Status.CANCELED)):
        record_status(session, estimate_id, Status.CANCELED, attempt)
        return True
    if not _change(session, estimate_id, attempt, (Status.RUNNING,), error=error, **_end(Status.FAILED)):
        return False
    record_status(session, estimate_id, Status.FAILED, attempt)
    return True


def _still_queued(session: Session, attempts: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return [
        (estimate_id, attempt)
        for estimate_id, attempt in attempts
        if (row := session.get(Estimate, estimate_id)) is not None
        and (row.attempt, row.status) == (attempt, Status.QUEUED)
    ]
