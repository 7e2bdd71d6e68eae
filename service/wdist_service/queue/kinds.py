"""What the queue and its workers ask of a kind of job. `wdist_service/jobs.py` lists the kinds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy.orm import Session

from wdist_service.tables import Job

Row = TypeVar("Row", bound=Job)


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

    def succeed(self, session: Session, job: Row, values: dict[str, Any]) -> None:
        """Store what the runner returned; unless a kind says otherwise, it is values of the row's columns."""
        for name, value in values.items():
            setattr(job, name, value)


class Kinds:
    """The kinds of jobs, found by the prefix of a job's id."""

    def __init__(self, *kinds: JobKind[Any]) -> None:
        self._by_prefix = {kind.table.prefix: kind for kind in kinds}

    def __iter__(self) -> Iterator[JobKind[Any]]:
        return iter(self._by_prefix.values())

    def of(self, job_id: str) -> JobKind[Any]:
        return self._by_prefix[job_id.partition("_")[0]]
