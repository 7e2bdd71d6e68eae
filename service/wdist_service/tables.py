"""The tables. `jobs` is the truth about work of every kind; times are seconds since the epoch."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

LOCAL_TENANT = "local"


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


class Base(DeclarativeBase):
    """Base of all tables; constraints are named so that migrations can change them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
        float: Float(53),
    }


class Tenant(Base):
    """Owner of data and quotas."""

    __tablename__ = "tenants"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_at: Mapped[float]


class OwnedRow(Base):
    """A row that belongs to a tenant. Its id is `prefix`, an underscore and a ULID; messages call it by its noun."""

    __abstract__ = True
    prefix: ClassVar[str]
    noun: ClassVar[str]

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"))


class ApiKey(OwnedRow):
    """A bearer key of a tenant; only its keyed hash is stored. Revoked keys stay, so that a server never reopens."""

    prefix, noun = "key", "API key"
    __tablename__ = "api_keys"

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"), index=True)
    name: Mapped[str | None] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(16))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[float]
    revoked_at: Mapped[float | None]
    quota: Mapped[dict[str, Any] | None]


class SampleSet(OwnedRow):
    """An uploaded array: immutable, stored under its sha256, which sets with other names or levels may share."""

    prefix, noun = "ss", "sample set"
    __tablename__ = "sample_sets"
    __table_args__ = (
        Index("ix_sample_sets_tenant", "tenant_id", "id"),
        Index("ix_sample_sets_stored", "tenant_id", "stored_bytes"),
    )

    name: Mapped[str | None] = mapped_column(String(200))
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    rows: Mapped[int] = mapped_column(BigInteger)
    shape: Mapped[list[Any]]
    dtype: Mapped[str] = mapped_column(String(16))
    statistics: Mapped[dict[str, Any]]
    column_names: Mapped[list[Any] | None]
    # Of a table that is not plain numbers: what its codes mean (wdist.data.tables.schema.TableSchema).
    table_schema: Mapped[dict[str, Any] | None]
    notes: Mapped[list[Any] | None]  # what was left out when the file was read; None: nothing
    reading: Mapped[dict[str, Any] | None]  # how the file was read, without defaults; None: by the defaults
    file_sha256: Mapped[str | None] = mapped_column(String(64))  # of the body as sent; None: sent to an earlier version
    identity: Mapped[str | None] = mapped_column(String(64), unique=True)  # sample_sets/identity.py
    stored_bytes: Mapped[int] = mapped_column(BigInteger, default=0)  # that count towards the quota of its owner
    created_at: Mapped[float]
    used_at: Mapped[float | None]  # when it was sent again, or a job that has since been deleted used it last


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
    payload: Mapped[dict[str, Any] | None]  # what a kind without a table of its own is about
    # Of its files and of a long request. They count towards the quota of its owner.
    stored_bytes: Mapped[int] = mapped_column(BigInteger, default=0)


class Estimate(Job):
    """A job comparing two sample sets, and its result."""

    prefix, noun = "est", "estimate"
    __tablename__ = "estimates"
    __mapper_args__ = {"polymorphic_identity": "estimate"}  # noqa: RUF012
    __table_args__ = (
        Index("ix_estimates_source", "source_id"),
        Index("ix_estimates_target", "target_id"),
        Index("ix_estimates_batch", "batch_id", "position"),
    )

    # Under a name of its own, so that `Estimate.id` is the column of `jobs`, by whose indexes lists are read.
    job_id: Mapped[str] = mapped_column("id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    source_id: Mapped[str] = mapped_column(String(40))
    target_id: Mapped[str] = mapped_column(String(40))
    # Empty in an estimate of a batch, which has them once for all of its estimates; an earlier version copied them.
    own_options: Mapped[dict[str, Any]] = mapped_column("options")
    own_labels: Mapped[dict[str, Any]] = mapped_column("metadata")
    result: Mapped[dict[str, Any] | None]
    curve: Mapped[list[Any] | None] = mapped_column(deferred=True)
    batch_id: Mapped[str | None] = mapped_column(String(40))
    custom_id: Mapped[str | None] = mapped_column(String(64))
    position: Mapped[int | None]
    batch: Mapped[Batch | None] = relationship(
        primaryjoin="foreign(Estimate.batch_id) == Batch.id", viewonly=True, lazy="selectin"
    )

    @property
    def options(self) -> dict[str, Any]:
        """What it was asked."""
        if self.own_options or self.batch_id is None or self.batch is None:
            return self.own_options
        return self.batch.options_of_pair(self.source_id, self.target_id)

    @property
    def labels(self) -> dict[str, Any]:
        """Its owner's labels, `metadata` in requests and answers."""
        if self.own_labels or self.batch_id is None or self.batch is None:
            return self.own_labels
        return self.batch.labels


class Evaluation(Job):
    """A job evaluating a critic, or its gradient, on every row of a stored set."""

    prefix, noun = "ev", "evaluation"
    __tablename__ = "evaluations"
    __mapper_args__ = {"polymorphic_identity": "evaluation"}  # noqa: RUF012
    __table_args__ = (
        Index("ix_evaluations_estimate", "estimate_id", "id"),
        Index("ix_evaluations_sample_set", "sample_set_id"),
    )

    job_id: Mapped[str] = mapped_column("id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    estimate_id: Mapped[str] = mapped_column(ForeignKey("estimates.id"))
    sample_set_id: Mapped[str] = mapped_column(String(40))
    gradient: Mapped[bool]
    rows: Mapped[int] = mapped_column(BigInteger)
    bytes: Mapped[int] = mapped_column(BigInteger)  # of the .npy file, or its expected size before there is one
    identity: Mapped[str | None] = mapped_column(String(100), unique=True)  # what it evaluates; None: it failed


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


_OF_BATCHES = frozenset({"simultaneous", "compare"})  # options that a single estimate does not have


class Batch(OwnedRow):
    """Estimates submitted together. Its state follows from theirs, except that a cancellation is recorded."""

    prefix, noun = "batch", "batch"
    __tablename__ = "batches"
    __table_args__ = (UniqueConstraint("tenant_id", "idempotency_key"), Index("ix_batches_tenant", "tenant_id", "id"))

    kind: Mapped[str] = mapped_column(String(16))  # pairs | matrix | reference
    sets: Mapped[list[Any] | None]  # of a matrix: all; of a reference batch: the reference, then the targets
    size: Mapped[int]
    options: Mapped[dict[str, Any]]
    priority: Mapped[str] = mapped_column(String(8))
    labels: Mapped[dict[str, Any]] = mapped_column("metadata")
    created_at: Mapped[float]
    canceled_at: Mapped[float | None]
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    request_digest: Mapped[str | None] = mapped_column(String(64))
    # Of a matrix: each set is split once for all its pairs, and the first one fixes the unit. None: another version's,
    # which split and scaled each pair by itself; what it has trained must not be taken up with another split.
    is_split_once: Mapped[bool | None]
    statements: Mapped[int | None]  # option of each estimate, if the batch's other options decide on it
    # Its estimates have the ids from the first to the last, and no others do; None: of a version that mixed them.
    first_id: Mapped[str | None] = mapped_column(String(40))
    last_id: Mapped[str | None] = mapped_column(String(40))
    stored_bytes: Mapped[int] = mapped_column(BigInteger, default=0)  # of a long request, as in `Job`

    def options_of_pair(self, source_id: str, target_id: str) -> dict[str, Any]:
        """The options of the estimate of two of its sets."""
        options = {name: value for name, value in self.options.items() if name not in _OF_BATCHES}
        if (groups := options.get("groups")) is not None:
            options["groups"] = {key: groups[key] for key in dict.fromkeys((source_id, target_id))}
        if self.statements is not None:
            options["statements"] = self.statements
        return options

    # What each estimate of a matrix needs beside its own two sets.

    @property
    def first_set(self) -> str:
        return str((self.sets or [""])[0])

    @property
    def labels_of_all(self) -> list[str]:
        """The sets of group labels, in the order of `sets`; none without groups."""
        labels = self.options.get("groups") or {}
        return [labels[key] for key in self.sets or ()] if labels else []


class JobLabel(Base):
    """A label by which estimates are found: of one, or of all those of a batch, whose ids are consecutive.

    No two entries of one label overlap, so that the entries in the order of `first_id` give estimates in the order of
    their ids.
    """

    __tablename__ = "job_labels"

    label: Mapped[str] = mapped_column(String(32), primary_key=True)  # estimates/labels.py: digest of owner, key, value
    first_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    last_id: Mapped[str] = mapped_column(String(40))
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    batch_id: Mapped[str | None] = mapped_column(ForeignKey("batches.id", ondelete="CASCADE"), index=True)


class Upload(OwnedRow):
    """A resumable upload. `lock` names the request that may add to it while its process, `holder_id`, lives."""

    prefix, noun = "up", "upload"
    __tablename__ = "uploads"
    __table_args__ = (Index("ix_uploads_tenant", "tenant_id"), Index("ix_uploads_expires", "expires_at"))

    length: Mapped[int] = mapped_column(BigInteger)
    offset: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str | None] = mapped_column(String(200))
    format: Mapped[str] = mapped_column(String(16))
    member: Mapped[str | None] = mapped_column(String(200))
    given: Mapped[str] = mapped_column("metadata", Text)  # the Upload-Metadata header, returned unchanged
    created_at: Mapped[float]
    expires_at: Mapped[float]
    lock: Mapped[str | None] = mapped_column(String(40))
    holder_id: Mapped[str | None] = mapped_column(String(40))
    sample_set_id: Mapped[str | None] = mapped_column(String(40))  # once complete
    error: Mapped[str | None] = mapped_column(Text)  # why the upload cannot become a sample set


class UploadPart(Base):
    """Bytes of an upload that are safely on disk, stored under their sha256."""

    __tablename__ = "upload_parts"

    upload_id: Mapped[str] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True)
    offset: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64), index=True)


class Property(Base):
    """Facts about this installation that every process checks when it starts."""

    __tablename__ = "properties"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class DeviceUse(Base):
    """Device seconds of deleted jobs: deleting a result does not refund its time."""

    __tablename__ = "device_use"
    __table_args__ = (Index("ix_device_use_tenant", "tenant_id", "finished_at"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    finished_at: Mapped[float]
    seconds: Mapped[float]
