"""The tables of webhooks and of their deliveries, which are jobs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from wdist_service.tables.base import OwnedRow
from wdist_service.tables.jobs import Job


class Webhook(OwnedRow):
    """An address that is told of its tenant's events. Its secret is derived (webhooks/secrets.py) and not stored."""

    prefix, noun = "wh", "webhook"
    __tablename__ = "webhooks"
    __table_args__ = (Index("ix_webhooks_tenant", "tenant_id", "id"),)

    url: Mapped[str] = mapped_column(Text)
    events: Mapped[list[Any]]
    description: Mapped[str | None] = mapped_column(String(200))
    include_rows: Mapped[bool]
    salt: Mapped[str] = mapped_column(String(64))  # what its secret is derived from, beside the server's own
    previous_salt: Mapped[str | None] = mapped_column(String(64))  # of the secret before, which signs, too
    previous_until: Mapped[float | None]
    created_at: Mapped[float]
    disabled_at: Mapped[float | None]
    disabled_reason: Mapped[str | None] = mapped_column(String(200))
    failing_since: Mapped[float | None]  # the first failure after its last success
    failures: Mapped[int] = mapped_column(Integer, default=0)  # in a row
    # Nothing is sent to it between these times. `resting_from` is when that was decided.
    resting_from: Mapped[float | None]
    resting_until: Mapped[float | None]
    succeeded_at: Mapped[float | None]


class Delivery(Job):
    """One event on its way to one webhook."""

    prefix, noun = "dlv", "delivery"
    __tablename__ = "deliveries"
    __mapper_args__ = {"polymorphic_identity": "delivery"}  # noqa: RUF012
    __table_args__ = (
        UniqueConstraint("webhook_id", "event_id"),
        Index("ix_deliveries_webhook", "webhook_id", "id"),
    )

    job_id: Mapped[str] = mapped_column("id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id"))
    event_id: Mapped[str] = mapped_column(String(40))  # the header webhook-id: the same in every request
    event_type: Mapped[str] = mapped_column(String(40))
    body: Mapped[str] = mapped_column(Text)  # as it is signed and sent
    place: Mapped[int] = mapped_column(Integer, default=0)  # in the schedule: requests that failed since it began
    requests: Mapped[int] = mapped_column(Integer, default=0)  # in all
    response_body: Mapped[str | None] = mapped_column(Text)  # how the last answer's body begins
    log: Mapped[list[Any]]  # of the last requests, oldest first
