"""What webhooks are told: an event becomes one delivery for each webhook of the tenant that wants it.

Events are made in the transaction that ends the job they are about, so that none is lost. Their ids follow from what
they are about, so that none is sent twice under two ids.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from wdist_service.http.schemas import rfc3339
from wdist_service.ids import new_id
from wdist_service.queue.records import record_status
from wdist_service.tables import Delivery, Status, Webhook
from wdist_service.text import mended

MOST_BYTES = 256 * 1024  # of a body with rows; without them it is a few kilobytes


@dataclass(frozen=True)
class Occurrence:
    """Something that happened to one of a tenant's things. `rows`: what only webhooks with include_rows are told."""

    type: str
    subject: str  # id of the thing that it happened to, once in its life
    data: dict[str, Any]
    rows: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The same whenever and wherever it is made."""
        digest = hashlib.sha256(f"{self.type} {self.subject}".encode()).digest()
        return "evt_" + base64.b32encode(digest).decode().lower()[:26]


def listeners(session: Session, tenant_id: str, types: Sequence[str]) -> list[Webhook]:
    """The tenant's webhooks that want events of one of these types."""
    found = session.execute(
        select(Webhook).where(Webhook.tenant_id == tenant_id, Webhook.disabled_at.is_(None)).order_by(Webhook.id)
    )
    return [webhook for webhook in found.scalars() if not set(types).isdisjoint(webhook.events)]


def announce(session: Session, webhooks: Sequence[Webhook], occurrence: Occurrence, now: float) -> None:
    """Make a delivery of it for each of these webhooks that wants it. now: on the database's clock."""
    happened_at = time.time()
    for webhook in webhooks:
        if occurrence.type not in webhook.events or _has(session, webhook, occurrence.id):
            continue
        body = body_of(occurrence.type, happened_at, occurrence.data)
        if webhook.include_rows:
            full = body_of(occurrence.type, happened_at, occurrence.data | occurrence.rows)
            body = full if len(full) <= MOST_BYTES else body
        deliver(session, webhook, occurrence.id, occurrence.type, body, now)


def body_of(type_: str, seconds: float, data: dict[str, Any]) -> str:
    """The body of an event, as it is signed and sent. It is ASCII."""
    event = {"type": type_, "timestamp": rfc3339(seconds), "data": data}
    return json.dumps(mended(event), separators=(",", ":"), allow_nan=False)


def deliver(session: Session, webhook: Webhook, event_id: str, type_: str, body: str, now: float) -> Delivery:
    """Queue one event for one webhook."""
    row = Delivery(
        id=new_id(Delivery.prefix), tenant_id=webhook.tenant_id, webhook_id=webhook.id, event_id=event_id,
        event_type=type_, body=body, place=0, requests=0, log=[], status=Status.QUEUED, due_at=now,
    )  # fmt: skip
    session.add(row)
    session.flush()
    record_status(session, row.id, row.status, 1)
    return row


def _has(session: Session, webhook: Webhook, event_id: str) -> bool:
    query = select(Delivery.job_id).where(Delivery.webhook_id == webhook.id, Delivery.event_id == event_id)
    return session.execute(query).first() is not None
