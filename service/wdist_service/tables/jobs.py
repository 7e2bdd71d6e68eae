"""Work of every kind: jobs, what they produce, who holds them. `jobs` is the truth about it."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, validates

from wdist_service.tables.base import Base, OwnedRow
from wdist_service.text import search_key


class Status(StrEnum):
    """States of a job."""

    QUEUED = "queued"  # accepted and durable; no trainer has it yet
    RUNNING = "running"  # attempt `attempt` is being trained by `worker_id`
    CANCELING = "canceling"  # running, and told to stop
    SUCCEEDED = "succeeded"  # its result is there
    FAILED = "failed"  # `error` says why, in words
    CANCELED = "canceled"  # stopped on request; no result


ACTIVE = (Status.QUEUED, Status.RUNNING, Status.CANCELING)


TERMINAL = (Status.SUCCEEDED, Status.FAILED, Status.CANCELED)


_READY = text("status = 'queued' AND waits_for IS NULL AND due_at IS NULL")


_TIMED = text("due_at IS NOT NULL")


_BEHIND = text("waits_for IS NOT NULL")


_NAMED = text("name_key IS NOT NULL")


class Job(OwnedRow):
    """Something that a worker does: what the queue, the workers and the metrics know of jobs of every kind.

    A kind is a subclass. What it alone has is in a table of its own, or in `payload` if it needs no columns. Every
    write of a worker carries `WHERE attempt = k`.
    """

    prefix, noun = "job", "job"
    __tablename__ = "jobs"
    __mapper_args__ = {"polymorphic_on": "kind"}  # noqa: RUF012
    __table_args__: Any = (
        UniqueConstraint("tenant_id", "kind", "idempotency_key"),
        # Without these two, a page of 100,000 estimates took 500 ms: all of a tenant's rows were read and sorted.
        Index("ix_jobs_list", "tenant_id", "kind", "id"),
        Index("ix_jobs_list_status", "tenant_id", "kind", "status", "id"),
        Index("ix_jobs_active", "tenant_id", "status", "due_at", "cost_seconds"),  # what quotas count
        Index(
            "ix_jobs_ready", "tenant_id", "priority", "created_at", "id", sqlite_where=_READY, postgresql_where=_READY
        ),
        Index("ix_jobs_due", "status", "due_at", "id", sqlite_where=_TIMED, postgresql_where=_TIMED),
        Index("ix_jobs_waits_for", "waits_for", sqlite_where=_BEHIND, postgresql_where=_BEHIND),
        Index("ix_jobs_worker", "worker_id", "status"),
        Index(  # so that a search reads the names there are, and no other job
            "ix_jobs_named", "tenant_id", "kind", "id", "name_key", sqlite_where=_NAMED, postgresql_where=_NAMED
        ),
        Index("ix_jobs_stored", "tenant_id", "stored_bytes"),
        Index("ix_jobs_finished", "finished_at", "id"),  # events of ended jobs are compacted in this order
        # All columns that metrics.py aggregates, so that it reads the index alone. The first one finds what is active.
        Index(
            "ix_jobs_figures",
            *("status", "kind", "attempt", "failures", "started_at", "finished_at", "created_at", "together"),
        ),
    )

    kind: Mapped[str] = mapped_column(String(32))
    status: Mapped[str] = mapped_column(String(16), default=Status.QUEUED)
    priority: Mapped[str] = mapped_column(String(8), default="normal")
    created_at: Mapped[float] = mapped_column(default=time.time)
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    attempt: Mapped[int] = mapped_column(Integer, default=1)
    failures: Mapped[int] = mapped_column(Integer, default=0)  # deaths of a trainer that this job caused
    worker_id: Mapped[str | None] = mapped_column(String(40))
    # Deaths of its worker since it last got further, and how far it got (JobKind.reached).
    worker_deaths: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    furthest: Mapped[float | None]
    progress: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    cost_seconds: Mapped[float | None]  # its expected duration when it was accepted
    waits_for: Mapped[str | None] = mapped_column(String(40))  # the job that must end before this one has a turn
    # Of an errand, on the database's clock: when its next try is due, and when that was decided. queue/errands.py
    due_at: Mapped[float | None]
    dated_at: Mapped[float | None]
    lane: Mapped[str | None] = mapped_column(String(64))  # few errands of one lane run at a time
    finish_asked_at: Mapped[float | None]  # when its owner asked to end it with what it has
    together: Mapped[int | None]  # how many its trainer ran together, itself included; None: alone
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    request_digest: Mapped[str | None] = mapped_column(String(64))
    own_name: Mapped[str | None] = mapped_column("name", String(200))  # its owner's name for it
    name_key: Mapped[str | None] = mapped_column(Text)  # that, as a search compares it
    payload: Mapped[dict[str, Any] | None]  # what a kind without a table of its own is about
    # Of its files and of a long request. They count towards the quota of its owner.
    stored_bytes: Mapped[int] = mapped_column(BigInteger, default=0)

    @validates("own_name")
    def _is_found_by(self, _: str, name: str | None) -> str | None:
        self.name_key = None if name is None else search_key(name)
        return name


class FollowUp(Job):
    """What was to follow the end of a job and failed, with the job as it was. It is tried until it succeeds."""

    prefix, noun = "fol", "follow-up"
    __mapper_args__ = {"polymorphic_identity": "follow_up"}  # noqa: RUF012


# Device seconds of an ended job: those that a trainer ran together share the time.
DEVICE_SECONDS = (Job.finished_at - Job.started_at) / func.coalesce(Job.together, 1)


class Artifact(Base):
    """A file that a job produced, stored under its sha256."""

    __tablename__ = "artifacts"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    bytes: Mapped[int] = mapped_column(BigInteger)


class Event(Base):
    """Something that happened to a job; a listener resumes after the id of the last one it saw."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_job", "job_id", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    type: Mapped[str] = mapped_column(String(16))
    data: Mapped[dict[str, Any]]
    created_at: Mapped[float]


class Role(StrEnum):
    """What a process holds: a worker its jobs, an API process the uploads that it receives."""

    WORKER = "worker"
    API = "api"


class Holder(Base):
    """A process that holds jobs or uploads. `beat_at` is on the database's clock; 0 means known to be dead."""

    __tablename__ = "workers"  # once, only workers had leases

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(Text, index=True)
    role: Mapped[str] = mapped_column(String(8), server_default=Role.WORKER)
    slots: Mapped[int]
    devices: Mapped[list[Any]]
    started_at: Mapped[float]
    beat_at: Mapped[float]
    problems: Mapped[list[Any] | None]  # what it leaves to others, and why, in words that anybody may read


class DeviceUse(Base):
    """Device seconds of deleted jobs: deleting a result does not refund its time."""

    __tablename__ = "device_use"
    __table_args__ = (Index("ix_device_use_tenant", "tenant_id", "finished_at"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    finished_at: Mapped[float]
    seconds: Mapped[float]
