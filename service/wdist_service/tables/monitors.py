"""The tables of monitors: their epochs, their labels, and their updates, which are jobs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from wdist_service.tables.base import Base, OwnedRow
from wdist_service.tables.jobs import Job


class Monitor(OwnedRow):
    """Batches compared with one reference, one after the other.

    Its state, by which an update goes on from the one before, is a file of its last successful update, `last_id`.
    """

    prefix, noun = "mon", "monitor"
    __tablename__ = "monitors"
    __table_args__ = (UniqueConstraint("tenant_id", "idempotency_key"), Index("ix_monitors_tenant", "tenant_id", "id"))

    name: Mapped[str] = mapped_column(String(200))
    labels: Mapped[dict[str, Any]] = mapped_column("metadata")
    thresholds: Mapped[dict[str, Any]]
    epoch: Mapped[int]
    created_at: Mapped[float]
    paused_at: Mapped[float | None]
    paused_in: Mapped[int | None]  # the last epoch in which it was paused
    updates: Mapped[int] = mapped_column(default=0)  # that succeeded
    last_id: Mapped[str | None] = mapped_column(String(40))
    figures: Mapped[dict[str, Any] | None]  # of the last update
    alarms: Mapped[list[Any]] = mapped_column(default=list)
    # What the gauges show, so that a scrape reads no figures. `updated_at` is when the last update succeeded.
    alarms_on: Mapped[int] = mapped_column(default=0)
    series_lower_bound: Mapped[float | None]
    updated_at: Mapped[float | None]
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    request_digest: Mapped[str | None] = mapped_column(String(64))
    stored_bytes: Mapped[int] = mapped_column(BigInteger, default=0)  # of a long request, as in `Job`


class MonitorEpoch(Base):
    """What a monitor compares with from one new reference to the next."""

    __tablename__ = "monitor_epochs"
    __table_args__ = (Index("ix_monitor_epochs_reference", "reference_id"),)

    monitor_id: Mapped[str] = mapped_column(ForeignKey("monitors.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    reference_id: Mapped[str] = mapped_column(String(40))
    reference_name: Mapped[str] = mapped_column(String(200))
    reference_rows: Mapped[int] = mapped_column(BigInteger)
    content: Mapped[str] = mapped_column(String(64))  # of the reference (monitors/service.py)
    options: Mapped[dict[str, Any]]
    units: Mapped[str | None] = mapped_column(String(200))  # known from its first update on
    created_at: Mapped[float]


class MonitorLabel(Base):
    """A label by which monitors are found."""

    __tablename__ = "monitor_labels"

    label: Mapped[str] = mapped_column(String(32), primary_key=True)  # estimates/labels.py: digest of owner, key, value
    monitor_id: Mapped[str] = mapped_column(ForeignKey("monitors.id", ondelete="CASCADE"), primary_key=True, index=True)


class MonitorUpdate(Job):
    """A job that compares a batch with the reference of its monitor, and what it found."""

    prefix, noun = "mu", "update"
    __tablename__ = "monitor_updates"
    __mapper_args__ = {"polymorphic_identity": "monitor_update"}  # noqa: RUF012
    __table_args__ = (
        Index("ix_monitor_updates_monitor", "monitor_id", "id"),
        Index("ix_monitor_updates_content", "monitor_id", "content"),
        Index("ix_monitor_updates_outline", "monitor_id", "outline"),
        Index("ix_monitor_updates_sample_set", "sample_set_id"),
    )

    job_id: Mapped[str] = mapped_column("id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    monitor_id: Mapped[str] = mapped_column(ForeignKey("monitors.id"))
    epoch: Mapped[int]
    sample_set_id: Mapped[str] = mapped_column(String(40))
    name: Mapped[str | None] = mapped_column(String(200))  # of the batch
    content: Mapped[str] = mapped_column(String(64))  # of the batch: one that was accepted before is refused
    outline: Mapped[str] = mapped_column(String(64))  # of the batch (monitors/repeats.py)
    at: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)  # a number, ISO 8601 text, or None
    number: Mapped[int | None]  # once it has succeeded
    figures: Mapped[dict[str, Any] | None]
    raised: Mapped[list[Any] | None]  # alarms that are on since this update
    cleared: Mapped[list[Any] | None]  # alarms that were on until this update
