"""Errands: jobs that a worker does itself, at a time, such as telling somebody of an event. Any worker may do any.

An errand has no turn. It waits for `due_at`, on the database's clock, and a thread of a worker claims what is due
(worker/errands.py). Attempts, leases and the takeover from dead workers are those of every job. After a failed try, the
next attempt is due later.

If the clock is set back by an hour, `due_at` is an hour further away than it was meant to be. `dated_at` shows it: no
time can have been decided in the future. `redate` moves such errands by as much, so that they keep their order and the
time between them, and none comes twice. If the clock is set forward, what would be due within that time is tried once,
early, and dated anew by the new clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy import ColumnElement, Select, func, inspect, select, update

from wdist_service.database import Database, clock_in
from wdist_service.queue.dispatch import Queue
from wdist_service.queue.fairness import QUEUED
from wdist_service.queue.kinds import ErrandKind, Outcome
from wdist_service.queue.records import record
from wdist_service.queue.transitions import HELD, UNSEEN, Claim, Transitions
from wdist_service.settings import Settings
from wdist_service.tables import Holder, Job, Status

LANE_AT_ONCE = 2  # errands of one lane that a worker runs at a time: a receiver that does not answer delays its own
_CLOCK_SECONDS = 1.0  # a time this far in the future was decided before the clock was set back
_CRASH_SECONDS, _LONGEST_SECONDS = 5.0, 3600.0  # after the first crash, twice as much after each further one, at most


class Due(NamedTuple):
    """What a look finds: the database's clock, and whether an errand is due."""

    now: float
    is_any: bool


class Errands(Transitions):
    """A worker's view of the errands."""

    def __init__(self, database: Database, queue: Queue, worker_id: str) -> None:
        super().__init__(database, queue, worker_id)
        self._left: list[str] = []  # kinds that are left to other hosts

    def look_around(self, settings: Settings) -> list[str]:
        """Find what this host cannot do, leave it to others, and say so beside the lease. Returns it in words."""
        with self._database.read() as session:
            found = {kind: kind.obstacle(session, settings) for kind in self._kinds.errands()}
            problems = [reason for reason in found.values() if reason is not None]
            self._left = [_identity(kind) for kind, reason in found.items() if reason is not None]
            row = session.get(Holder, self.worker_id)
            is_said = row is None or (row.problems or []) == problems
        if not is_said:
            with self._database.write() as session:
                said = update(Holder).where(Holder.id == self.worker_id).values(problems=problems)
                session.execute(said, execution_options=UNSEEN)
        return problems

    def look(self, running: Mapping[str, int]) -> Due:
        """Whether anything is due in a lane that has room; `running`: how many of each lane run here."""
        with self._database.read() as session:
            now = clock_in(session)
            first = _due(now, _full(running), self._left).with_only_columns(Job.id).order_by(Job.due_at).limit(1)
            return Due(*session.execute(select(now, first.scalar_subquery().is_not(None))).one())

    def claim(self, most: int, running: Mapping[str, int]) -> list[tuple[Claim, str]]:
        """Claim what is due, the oldest first, in one transaction; returns each with its lane."""
        claims: list[tuple[Claim, str]] = []
        counts = Counter(running)
        with self._database.write() as session, session.no_autoflush:
            now = self._database.now(session)
            while len(claims) < most:
                first = _due(now, _full(counts), self._left).order_by(Job.due_at, Job.id).limit(1)
                if (row := session.execute(first.with_for_update(skip_locked=True)).first()) is None:
                    break
                if (claim := self._claim(session, row.id, row.attempt, is_errand=True)) is not None:
                    claims.append((claim, lane := row.lane or ""))
                    counts[lane] += 1
        return claims

    def store(self, job_id: str, attempt: int, outcome: Outcome) -> bool:
        """Store how a try ended; False when fenced. One that is being canceled ends canceled all the same."""
        with self._database.write() as session:
            if not self._change(session, job_id, attempt, HELD, worker_id=self.worker_id):
                return False
            kind = self.kind_of(job_id)
            kind.tried(session, self._row(session, job_id), outcome)
            session.flush()
            if outcome.error is None:
                if self._end_done(session, job_id, attempt) == Status.SUCCEEDED:
                    kind.succeed(session, self._row(session, job_id), outcome.values)
                    self._follow(session, job_id)
            elif outcome.again_after is None:
                self._fail(session, job_id, attempt, outcome.error)
            else:
                self._hand_over(session, job_id, attempt, outcome.again_after)
            return True

    def crashed(self, job_id: str, attempt: int, reason: str) -> bool:
        """Store that a try ended with an unexpected error: it is tried again, ever later, up to a limit."""
        with self._database.write() as session:
            if not self._change(session, job_id, attempt, HELD, failures=Job.failures + 1):
                return False
            failures = session.execute(select(Job.failures).where(Job.id == job_id)).scalar_one()
            record(session, job_id, "log", {"level": "error", "message": reason})
            most = self.kind_of(job_id).most_crashes
            if most is not None and failures >= most:
                return self._fail(session, job_id, attempt, {"type": "internal_error", "message": reason})
            after_seconds = min(_CRASH_SECONDS * 2.0 ** min(failures - 1, 20), _LONGEST_SECONDS)
            return self._hand_over(session, job_id, attempt, after_seconds)

    def hand_over(self, job_id: str, attempt: int) -> bool:
        """Give a try back that did not come to an end: any worker takes it up at once. False when fenced."""
        with self._database.write() as session:
            return self._hand_over(session, job_id, attempt)

    def redate(self, now: float) -> int:
        """Move errands that were dated before the clock was set back; returns how many."""
        future = QUEUED, Job.due_at.is_not(None), Job.dated_at > now + _CLOCK_SECONDS
        newest = select(func.max(Job.dated_at)).where(*future)
        with self._database.read() as session:
            if session.execute(newest).scalar_one() is None:
                return 0
        with self._database.write() as session:
            # The latest time that was decided is about when the clock was set back. In a second worker's turn, none is
            # in the future any more.
            if (latest := session.execute(newest).scalar_one()) is None:
                return 0
            step = latest - now
            moved = update(Job).where(*future).values(due_at=Job.due_at - step, dated_at=Job.dated_at - step)
            return len(session.execute(moved.returning(Job.id), execution_options=UNSEEN).all())

    def kind_of(self, job_id: str) -> ErrandKind[Job]:
        """The kind of an errand."""
        kind = self._kinds.of(job_id)
        assert isinstance(kind, ErrandKind)  # noqa: S101 - only errands have a time
        return kind


def _due(
    now: float | ColumnElement[float], full: Collection[str], left: Collection[str]
) -> Select[str, int, str | None]:  # fmt: skip
    query = select(Job.id, Job.attempt, Job.lane).where(QUEUED, Job.due_at.is_not(None), Job.due_at <= now)
    query = query.where(Job.kind.not_in(left)) if left else query
    return query.where(Job.lane.not_in(full)) if full else query


def _identity(kind: ErrandKind[Job]) -> str:
    return str(inspect(kind.table).polymorphic_identity)


def _full(running: Mapping[str, int]) -> list[str]:
    """Lanes in which as many errands run here as may."""
    return sorted(lane for lane, count in running.items() if count >= LANE_AT_ONCE)
