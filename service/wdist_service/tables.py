"""The tables. `estimates` is the truth about every job; times are seconds since the epoch."""

from __future__ import annotations

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
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

LOCAL_TENANT = "local"


class Status(StrEnum):
    """States of an estimate."""

    QUEUED = "queued"  # accepted and durable; no trainer has it yet
    RUNNING = "running"  # attempt `attempt` is being trained by `worker_id`
    CANCELING = "canceling"  # running, and told to stop
    SUCCEEDED = "succeeded"  # `result` is there
    FAILED = "failed"  # `error` says why, in words
    CANCELED = "canceled"  # stopped on request; no result


ACTIVE = (Status.QUEUED, Status.RUNNING, Status.CANCELING)
TERMINAL = (Status.SUCCEEDED, Status.FAILED, Status.CANCELED)


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
    __table_args__ = (Index("ix_sample_sets_tenant", "tenant_id", "id"),)

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
    created_at: Mapped[float]


class JobRow(OwnedRow):
    """A job of the queue. Every write of a worker carries `WHERE attempt = k`."""

    __abstract__ = True

    status: Mapped[str] = mapped_column(String(16))
    priority: Mapped[str] = mapped_column(String(8))
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    attempt: Mapped[int] = mapped_column(Integer, default=1)
    failures: Mapped[int] = mapped_column(Integer, default=0)  # deaths of a trainer that this job caused
    worker_id: Mapped[str | None] = mapped_column(String(40))
    progress: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    cost_seconds: Mapped[float | None]  # its expected duration when it was accepted
    finish_asked_at: Mapped[float | None]  # when its owner asked to end it with what it has
    together: Mapped[int | None]  # how many its trainer ran together, itself included; None: alone


class Estimate(JobRow):
    """A job comparing two sample sets, and its result."""

    prefix, noun = "est", "estimate"
    __tablename__ = "estimates"
    __table_args__ = (
        UniqueConstraint("tenant_id", "idempotency_key"),
        # Without these two, a page of 100,000 estimates took 500 ms: all of a tenant's rows were read and sorted.
        Index("ix_estimates_tenant", "tenant_id", "id"),
        Index("ix_estimates_tenant_status", "tenant_id", "status", "id"),
        # All columns that metrics.py aggregates, so that it does not read results, which are long.
        Index(
            "ix_estimates_figures",
            *("status", "attempt", "failures", "started_at", "finished_at", "created_at", "together"),
        ),
        Index("ix_estimates_worker", "worker_id", "status"),
        Index("ix_estimates_source", "source_id"),
        Index("ix_estimates_target", "target_id"),
        Index("ix_estimates_batch", "batch_id", "position"),
    )

    source_id: Mapped[str] = mapped_column(String(40))
    target_id: Mapped[str] = mapped_column(String(40))
    options: Mapped[dict[str, Any]]
    labels: Mapped[dict[str, Any]] = mapped_column("metadata")
    result: Mapped[dict[str, Any] | None]
    curve: Mapped[list[Any] | None] = mapped_column(deferred=True)
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    request_digest: Mapped[str | None] = mapped_column(String(64))
    batch_id: Mapped[str | None] = mapped_column(String(40))
    custom_id: Mapped[str | None] = mapped_column(String(64))
    position: Mapped[int | None]


# Device seconds of an ended estimate: those that a trainer ran together share the time.
DEVICE_SECONDS = (Estimate.finished_at - Estimate.started_at) / func.coalesce(Estimate.together, 1)


class Artifact(Base):
    """A file that an estimate produced, stored under its sha256."""

    __tablename__ = "artifacts"

    estimate_id: Mapped[str] = mapped_column(ForeignKey("estimates.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    bytes: Mapped[int] = mapped_column(BigInteger)


class Event(Base):
    """Something that happened to an estimate; a listener resumes after the id of the last one it saw."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_estimate", "estimate_id", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)
    estimate_id: Mapped[str] = mapped_column(ForeignKey("estimates.id", ondelete="CASCADE"))
    type: Mapped[str] = mapped_column(String(16))
    data: Mapped[dict[str, Any]]
    created_at: Mapped[float]


class Worker(Base):
    """A worker process. `beat_at` is on the database's clock; 0 means known to be dead."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(Text, index=True)
    slots: Mapped[int]
    devices: Mapped[list[Any]]
    started_at: Mapped[float]
    beat_at: Mapped[float]


class Batch(OwnedRow):
    """Estimates submitted together. Its state follows from theirs, except that a cancellation is recorded."""

    prefix, noun = "batch", "batch"
    __tablename__ = "batches"
    __table_args__ = (UniqueConstraint("tenant_id", "idempotency_key"),)

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

    # What each estimate of a matrix needs beside its own two sets.

    @property
    def first_set(self) -> str:
        return str((self.sets or [""])[0])

    @property
    def labels_of_all(self) -> list[str]:
        """The sets of group labels, in the order of `sets`; none without groups."""
        labels = self.options.get("groups") or {}
        return [labels[key] for key in self.sets or ()] if labels else []


class Upload(OwnedRow):
    """A resumable upload. `lock` names the request that may add to it, until `locked_until` (the database's clock)."""

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
    locked_until: Mapped[float]
    sample_set_id: Mapped[str | None] = mapped_column(String(40))  # once complete
    error: Mapped[str | None] = mapped_column(Text)  # why the upload cannot become a sample set


class UploadPart(Base):
    """Bytes of an upload that are safely on disk, stored under their sha256."""

    __tablename__ = "upload_parts"

    upload_id: Mapped[str] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True)
    offset: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64), index=True)


class Evaluation(OwnedRow):
    """A critic's values (or gradients) on every row of a stored set. `holder` works on it until `held_until`."""

    prefix, noun = "ev", "evaluation"
    __tablename__ = "evaluations"
    __table_args__ = (
        Index("ix_evaluations_estimate", "estimate_id", "id"),
        Index("ix_evaluations_status", "status", "id"),
        Index("ix_evaluations_tenant", "tenant_id"),
    )

    estimate_id: Mapped[str] = mapped_column(ForeignKey("estimates.id", ondelete="CASCADE"))
    sample_set_id: Mapped[str] = mapped_column(String(40))
    gradient: Mapped[bool]
    status: Mapped[str] = mapped_column(String(16))  # queued | running | succeeded | failed
    rows: Mapped[int] = mapped_column(BigInteger)
    done: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(String(64), index=True)  # of the .npy file, once there is one
    bytes: Mapped[int] = mapped_column(BigInteger)  # of that file, or its expected size before there is one
    error: Mapped[dict[str, Any] | None]
    created_at: Mapped[float]
    finished_at: Mapped[float | None]
    holder: Mapped[str | None] = mapped_column(String(40))
    held_until: Mapped[float]  # on the database's clock


class Property(Base):
    """Facts about this installation that every process checks when it starts."""

    __tablename__ = "properties"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class DeviceUse(Base):
    """Device seconds of deleted estimates: deleting a result does not refund its time."""

    __tablename__ = "device_use"
    __table_args__ = (Index("ix_device_use_tenant", "tenant_id", "finished_at"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    finished_at: Mapped[float]
    seconds: Mapped[float]
