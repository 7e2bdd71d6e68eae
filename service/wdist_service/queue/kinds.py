"""What the queue and its workers ask of a kind of job. `wdist_service/jobs.py` lists the kinds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy.orm import Session

from wdist_service.storage.files import Incoming
from wdist_service.tables import JobRow, Status

Row = TypeVar("Row", bound=JobRow)


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
    """One kind of job."""

    table: type[Row]
    runner: ClassVar[str]  # the module that does the work in a trainer process (worker/trainer.py says how)

    @abstractmethod
    def work(self, session: Session, job: Row) -> Work:
        """What the trainer needs to run a job."""

    @abstractmethod
    def record(self, session: Session, job_id: str, type_: str, data: dict[str, Any]) -> None:
        """Append an event, from which listeners learn what happens to the job."""

    @abstractmethod
    def keep(self, session: Session, job_id: str, name: str, file: Incoming) -> None:
        """Refer to a file that the job produced."""

    def companions(self, session: Session, first: Row, most: int) -> list[str]:
        """Queued jobs to run together with `first`, at most `most` in all; none unless a kind says otherwise."""
        return []

    def record_status(self, session: Session, job_id: str, status: Status, attempt: int) -> None:
        self.record(session, job_id, "status", {"status": str(status), "attempt": attempt})


class Kinds:
    """The kinds of jobs, found by the prefix of a job's id."""

    def __init__(self, *kinds: JobKind[Any]) -> None:
        self._by_prefix = {kind.table.prefix: kind for kind in kinds}

    def __iter__(self) -> Iterator[JobKind[Any]]:
        return iter(self._by_prefix.values())

    def of(self, job_id: str) -> JobKind[Any]:
        return self._by_prefix[job_id.partition("_")[0]]
