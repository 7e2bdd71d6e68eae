"""The server's kinds of jobs and those of the tests, and a follower that notes each end where a second one collides."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session
from toy_kind.errand import RING
from toy_kind.job import COUNT

from wdist_service.jobs import KINDS as OURS
from wdist_service.queue.kinds import Kinds
from wdist_service.tables import Job, Property

NOTE = "end:"


def note_end(session: Session, jobs: Sequence[Job]) -> None:
    session.add_all(Property(name=f"{NOTE}{job.id}", value=job.status) for job in jobs)


KINDS = Kinds(*OURS, COUNT, RING, followers=[note_end])
