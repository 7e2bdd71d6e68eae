"""What the queue and its workers ask of a kind of job. `wdist_service/jobs.py` lists the kinds."""

from __future__ import annotations

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import delete, inspect
from sqlalchemy.exc import DatabaseError, DataError, IntegrityError, ProgrammingError
from sqlalchemy.orm import Session

from wdist_service.ids import new_id
from wdist_service.queue.records import submit_errands
from wdist_service.settings import Settings
from wdist_service.tables import FollowUp, Job
from wdist_service.text import mended

log = logging.getLogger("wdist.queue")
Row = TypeVar("Row", bound=Job)
Follower = Callable[[Session, Sequence[Job]], None]
_FOLLOW_UP_SECONDS = 5.0
_REFUSALS = (IntegrityError, DataError, ProgrammingError)  # they say nothing of the rest of the transaction


class UnworkableError(Exception):
    """A job that no trainer can do, because what it needs is gone; the message says so in words."""


@dataclass(frozen=True)
class Work:
    """What a trainer needs for an attempt: options, as JSON, and the sha256 of stored files by the runner's names.

    described: what is known of a file beside its bytes, by the same names, as JSON. more: what else the runner is told,
    as JSON.
    """

    options: dict[str, Any]
    files: dict[str, str]
    described: dict[str, dict[str, Any]] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)


class JobKind(ABC, Generic[Row]):
    """One kind of job: what differs between kinds. The rest is the same for all of them."""

    table: type[Row]
    runner: ClassVar[str]  # the module that does the work in a trainer process (worker/trainer.py says how)

    @abstractmethod
    def work(self, session: Session, job: Row) -> Work:
        """What the trainer needs to run a job. Raises UnworkableError if it is not there any more."""

    def companions(self, session: Session, first: Row, most: int) -> list[str]:
        """Queued jobs to run together with `first`, at most `most` in all; none unless a kind says otherwise."""
        return []

    def reached(self, progress: dict[str, Any]) -> float:
        """How far a job has come, from what it reported: more is further."""
        return float(progress.get("step", progress.get("done", 0)))

    def succeed(self, session: Session, job: Row, values: dict[str, Any]) -> Sequence[str]:
        """Store what the runner returned; unless a kind says otherwise, it is values of the row's columns.

        Returns the sha256 of files that a row named until now and that are needed no more.
        """
        for name, value in values.items():
            setattr(job, name, value)
        return ()

    def ended(self, session: Session, job: Row) -> None:
        """Called once, in the transaction that ends a job, after `succeed`: `job.status` says how it ended.

        A job that is deleted before its end is canceled first. Nothing follows unless a kind says otherwise. What
        fails is tried again later, also when the job is gone by then.
        """

    def all_ended(self, session: Session, jobs: Sequence[Row]) -> None:
        """As `ended`, for several jobs."""
        for job in jobs:
            self.ended(session, job)


@dataclass(frozen=True)
class Errand:
    """One try of an errand: what a thread of the worker is given."""

    job_id: str
    attempt: int
    options: dict[str, Any]  # those of `Work`
    settings: Settings
    should_stop: Callable[[], bool]  # its owner canceled it, or the worker shuts down


@dataclass(frozen=True)
class Outcome:
    """How a try ended: it succeeded unless there is an error.

    values: for `succeed`, and for what `tried` notes. error: its `type` and `message`. again_after: seconds until the
    next try; None: there is none, so that an error is the end.
    """

    values: dict[str, Any] = field(default_factory=dict)
    error: dict[str, str] | None = None
    again_after: float | None = None


class ErrandKind(JobKind[Row]):
    """Jobs that a thread of a worker does at the time they name, and tries again later. No trainer sees them.

    most_crashes: after so many unexpected errors an errand fails; None: it is tried for ever.
    """

    runner: ClassVar[str] = ""
    most_crashes: ClassVar[int | None] = 10

    def obstacle(self, session: Session, settings: Settings) -> str | None:
        """Why this host cannot do errands of the kind, in words: it leaves them to others. None if it can."""
        return None

    @abstractmethod
    def run_here(self, errand: Errand) -> Outcome:
        """Try once, in seconds. It may be tried twice: the worker may die before it has stored the outcome."""

    def tried(self, session: Session, job: Row, outcome: Outcome) -> None:
        """Note a try, in the transaction that stores its outcome; nothing is noted unless a kind says otherwise."""


class Kinds:
    """The kinds of jobs, found by the prefix of a job's id. Followers hear of the end of every job, whatever its kind.

    A follower runs in the transaction that ends the job, after `JobKind.ended`.
    """

    def __init__(self, *kinds: JobKind[Any], followers: Sequence[Follower] = ()) -> None:
        self._by_prefix = {kind.table.prefix: kind for kind in (*kinds, FollowUpKind(self))}
        self.followers = tuple(followers)

    def __iter__(self) -> Iterator[JobKind[Any]]:
        return iter(self._by_prefix.values())

    def of(self, job_id: str) -> JobKind[Any]:
        return self._by_prefix[job_id.partition("_")[0]]

    def errands(self) -> list[ErrandKind[Any]]:
        return [kind for kind in self if isinstance(kind, ErrandKind)]

    def ended(self, session: Session, jobs: Sequence[Job]) -> None:
        """Tell the kinds of these jobs and the followers that they have ended.

        With the error of one of them, a job could never end. So it is logged, and a follow-up tries again. Deadlocks
        and outages are raised, as the whole transaction is tried again after them.
        """
        by_name: dict[str, tuple[Follower, list[Job]]] = {}
        for job in jobs:
            for name, follow in self._followers_of(job.id).items():
                by_name.setdefault(name, (follow, []))[1].append(job)
        for name, (follow, its) in by_name.items():
            if len(its) > 1 and _succeeds(session, follow, its):
                continue  # else those that fail are found one by one
            for job in its:
                if not _succeeds(session, follow, [job]):
                    given = {"job": job.id, "follower": name, "values": _values_of(job)}
                    follow_up = FollowUp(id=new_id(FollowUp.prefix), tenant_id=job.tenant_id, payload=given)
                    submit_errands(session, [follow_up], _FOLLOW_UP_SECONDS)

    def follow_up(self, session: Session, given: dict[str, Any]) -> None:
        """Do what failed before. The job may have been deleted since; then it is as it was when it ended."""
        table = self.of(given["job"]).table
        job = session.get(table, given["job"]) or table(**given["values"])
        if (follow := self._followers_of(job.id).get(given["follower"])) is not None:
            follow(session, [job])

    def _followers_of(self, job_id: str) -> dict[str, Follower]:
        """Who hears of the job's end, by names that stay the same from one process to the next."""
        kind = self._by_prefix.get(job_id.partition("_")[0])
        found: dict[str, Follower] = {}
        if kind is not None and type(kind).ended is not JobKind.ended:
            found[f"{type(kind).__module__}.{type(kind).__qualname__}"] = kind.all_ended
        if not isinstance(kind, FollowUpKind):
            found |= {f"{each.__module__}.{each.__qualname__}": each for each in self.followers}
        return found


class FollowUpKind(ErrandKind[FollowUp]):
    """Follow-ups: their work is done in the transaction that ends them."""

    table = FollowUp
    most_crashes: ClassVar[int | None] = None

    def __init__(self, kinds: Kinds) -> None:
        self._of = kinds

    def work(self, session: Session, job: FollowUp) -> Work:
        return Work({}, {})

    def run_here(self, errand: Errand) -> Outcome:
        return Outcome()

    def succeed(self, session: Session, job: FollowUp, values: dict[str, Any]) -> list[str]:
        try:
            with session.begin_nested():
                self._of.follow_up(session, job.payload or {})
        except _REFUSALS as error:  # the next try is later, not at once
            raise RuntimeError(f"the database refuses what follows the end of a job: {error.orig}") from error
        return []

    def ended(self, session: Session, job: FollowUp) -> None:
        """Nobody asks for it any more."""
        session.execute(delete(Job).where(Job.id == job.id), execution_options={"synchronize_session": False})


def _succeeds(session: Session, follow: Follower, jobs: Sequence[Job]) -> bool:
    """Do what follows the end of jobs; if it fails, nothing of it is written."""
    try:
        with session.begin_nested():
            follow(session, jobs)
    except Exception as error:
        if isinstance(error, DatabaseError) and not isinstance(error, _REFUSALS):
            raise
        log.exception("what follows the end of a job failed, trying again", extra={"estimate": jobs[0].id})
        return False
    return True


def _values_of(job: Job) -> dict[str, Any]:
    """The columns of a job, as JSON. What JSON has no word for, such as an infinite cost, is null."""
    values = {each.key: getattr(job, each.key) for each in inspect(type(job)).column_attrs}
    known: dict[str, Any] = json.loads(json.dumps(mended(values), default=str), parse_constant=lambda _: None)
    return known
