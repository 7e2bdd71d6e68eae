"""What the queue and its workers ask of a kind of job. `wdist_service/jobs.py` lists the kinds."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.orm import Session

from wdist_service.database import is_race
from wdist_service.settings import Settings
from wdist_service.tables import Job

log = logging.getLogger("wdist.queue")
Row = TypeVar("Row", bound=Job)
Follower = Callable[[Session, Job], None]


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

        A job that is deleted before its end is canceled first. Nothing follows unless a kind says otherwise.
        """


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
    """Jobs that a thread of a worker does at the time they name, and tries again later. No trainer sees them."""

    runner: ClassVar[str] = ""

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
        self._by_prefix = {kind.table.prefix: kind for kind in kinds}
        self.followers = tuple(followers)

    def __iter__(self) -> Iterator[JobKind[Any]]:
        return iter(self._by_prefix.values())

    def of(self, job_id: str) -> JobKind[Any]:
        return self._by_prefix[job_id.partition("_")[0]]

    def ended(self, session: Session, job: Job) -> None:
        """Tell the job's kind and the followers that it has ended.

        One that fails loses what it would have written, and is logged: with its error, the job could never end. Races
        and outages are raised, as the whole transaction is tried again after them.
        """
        kind = self._by_prefix.get(job.id.partition("_")[0])
        own = [] if kind is None or type(kind).ended is JobKind.ended else [kind.ended]
        for follow in (*own, *self.followers):
            try:
                with session.begin_nested():
                    follow(session, job)
            except Exception as error:
                if isinstance(error, DatabaseError) and (isinstance(error, OperationalError) or is_race(error)):
                    raise
                log.exception("what follows the end of a job failed", extra={"estimate": job.id})
