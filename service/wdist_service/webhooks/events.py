"""What webhooks are told: an event becomes one delivery for each webhook of the tenant that wants it.

Events are made in the transaction that ends the job they are about, so that none is lost. Their ids follow from what
they are about, so that none is sent twice under two ids.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from wdist_service.database import clock_of
from wdist_service.http.schemas import rfc3339
from wdist_service.ids import new_id
from wdist_service.queue.records import submit_errands
from wdist_service.tables import Delivery, Webhook
from wdist_service.text import mended
from wdist_service.webhooks.resting import rest_of

MOST_BYTES = 256 * 1024  # of a body with rows; without them it is a few kilobytes


@dataclass(frozen=True)
class Occurrence:
    """Something that happened to one of a tenant's things. `rows`: what only webhooks with include_rows are told."""

    type: str
    subject: str  # id of the thing that it happened to, once in its life
    data: dict[str, Any]
    rows: dict[str, Any] = field(default_factory=dict)
    at: float | None = None  # when, on the host's clock; None: now

    @property
    def id(self) -> str:
        """The same whenever and wherever it is made."""
        digest = hashlib.sha256(f"{self.type} {self.subject}".encode()).digest()
        return "evt_" + base64.b32encode(digest).decode().lower()[:26]


def listeners(session: Session, tenant_id: str) -> list[Webhook]:
    """The tenant's webhooks that are enabled. Until the transaction ends, none of them is deleted.

    They are read once in a transaction, which may end thousands of jobs.
    """
    known: dict[str, list[Webhook]] = session.info.setdefault("webhooks", {})
    if tenant_id not in known:
        query = select(Webhook).where(Webhook.tenant_id == tenant_id, Webhook.disabled_at.is_(None))
        locked = query.order_by(Webhook.id).with_for_update(read=True, key_share=True)
        known[tenant_id] = list(session.execute(locked).scalars())
    return known[tenant_id]


def announce(session: Session, tenant_id: str, occurrence: Occurrence) -> None:
    """Make a delivery of it for each webhook of the tenant that wants it."""
    happened_at = occurrence.at or time.time()
    for webhook in listeners(session, tenant_id):
        if occurrence.type not in webhook.events or _has(session, webhook, occurrence.id):
            continue
        body = body_of(occurrence.type, happened_at, occurrence.data)
        if webhook.include_rows:
            full = body_of(occurrence.type, happened_at, occurrence.data | occurrence.rows)
            body = full if len(full) <= MOST_BYTES else body
        deliver(session, webhook, occurrence.id, occurrence.type, body)


def body_of(type_: str, seconds: float, data: dict[str, Any]) -> str:
    """The body of an event, as it is signed and sent. It is ASCII."""
    event = {"type": type_, "timestamp": rfc3339(seconds), "data": data}
    return json.dumps(mended(event), separators=(",", ":"), allow_nan=False)


def deliver(session: Session, webhook: Webhook, event_id: str, type_: str, body: str) -> Delivery:
    """Queue one event for one webhook, for now or for the end of its rest.

    One that answers slowly holds up no other: it has a lane of its own.
    """
    row = Delivery(
        id=new_id(Delivery.prefix), tenant_id=webhook.tenant_id, webhook_id=webhook.id, event_id=event_id,
        event_type=type_, body=body, place=0, requests=0, log=[], lane=webhook.id,
    )  # fmt: skip
    submit_errands(session, [row], rest_of(webhook, clock_of(session)))
    return row


def _has(session: Session, webhook: Webhook, event_id: str) -> bool:
    query = select(Delivery.job_id).where(Delivery.webhook_id == webhook.id, Delivery.event_id == event_id)
    return session.execute(query).first() is not None
