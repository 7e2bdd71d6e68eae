"""A kind of job that the tests add: it counts, and keeps its particulars in `jobs.payload`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from wdist_service.queue.kinds import JobKind, UnworkableError, Work
from wdist_service.tables import Job


class Count(Job):
    """Counts to `to`, ten numbers a second."""

    prefix, noun = "cnt", "count"
    __mapper_args__ = {"polymorphic_identity": "count"}  # noqa: RUF012


class CountKind(JobKind[Count]):
    table = Count
    runner = "toy_kind.runner"

    def work(self, session: Session, job: Count) -> Work:
        payload = job.payload or {}
        if "to" not in payload:
            raise UnworkableError("nobody knows how far to count")
        return Work(payload, {})

    def succeed(self, session: Session, job: Count, values: dict[str, Any]) -> Sequence[str]:
        job.payload = {**(job.payload or {}), **values}
        return ()


COUNT = CountKind()
