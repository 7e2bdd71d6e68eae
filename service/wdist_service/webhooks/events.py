"""What webhooks are told: an event becomes one delivery for each webhook of the tenant that wants it.

Events are made in the transaction that ends the job they are about, so that none is lost. Their ids follow from what
they are about, so that none is sent twice under two ids.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
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

AT_ONCE = 500  # SQLite limits the variables of a statement
MOST_BYTES = 256 * 1024  # of a body with rows; without them it is a few kilobytes


@dataclass(frozen=True)
class Occurrence:
    """Something that happened to one of a tenant's things. `rows`: what only webhooks with include_rows are told."""

    tenant_id: str
    type: str
    subject: str  # id of the thing that it happened to, once in its life
    data: dict[str, Any]
    rows: dict[str, Any] = field(default_factory=dict)
    at: float | None = None  # when; None: now

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


def announce(session: Session, occurrences: Sequence[Occurrence]) -> None:
    """Make deliveries of them for the webhooks of their tenants that want them.

    Thousands of jobs may end in one transaction, so all that is written is written together.
    """
    tenants = sorted({occurrence.tenant_id for occurrence in occurrences})
    if not (known := [webhook.id for tenant_id in tenants for webhook in listeners(session, tenant_id)]):
        return
    told = _told(session, known, [occurrence.id for occurrence in occurrences])
    now, deliveries = clock_of(session), []
    for occurrence in occurrences:
        wanting = [each for each in listeners(session, occurrence.tenant_id) if occurrence.type in each.events]
        wanting = [webhook for webhook in wanting if (webhook.id, occurrence.id) not in told]
        plain = full = body_of(occurrence.type, occurrence.at or now, occurrence.data)
        if any(webhook.include_rows for webhook in wanting):
            longer = body_of(occurrence.type, occurrence.at or now, occurrence.data | occurrence.rows)
            full = longer if len(longer) <= MOST_BYTES else plain
        deliveries += [
            new_delivery(webhook, occurrence.id, occurrence.type, full if webhook.include_rows else plain, now)
            for webhook in wanting
        ]
    submit_errands(session, deliveries)


def _told(session: Session, webhooks: Sequence[str], ids: Sequence[str]) -> set[tuple[str, str]]:
    """Which webhooks were told of which of these events before."""
    table, found = Delivery.__table__.c, set[tuple[str, str]]()  # without the rows of their jobs
    for start in range(0, len(ids), AT_ONCE):
        query = select(table.webhook_id, table.event_id).where(table.webhook_id.in_(webhooks))
        query = query.where(table.event_id.in_(ids[start : start + AT_ONCE]))
        found |= {(row.webhook_id, row.event_id) for row in session.execute(query)}
    return found


def body_of(type_: str, seconds: float, data: dict[str, Any]) -> str:
    """The body of an event, as it is signed and sent. It is ASCII."""
    event = {"type": type_, "timestamp": rfc3339(seconds), "data": data}
    return json.dumps(mended(event), separators=(",", ":"), allow_nan=False)


def new_delivery(webhook: Webhook, event_id: str, type_: str, body: str, now: float) -> Delivery:
    """One event for one webhook, due now or at the end of its rest.

    A webhook that answers slowly holds up no other: it has a lane of its own.
    """
    return Delivery(
        id=new_id(Delivery.prefix), tenant_id=webhook.tenant_id, webhook_id=webhook.id, event_id=event_id,
        event_type=type_, body=body, place=0, requests=0, log=[], lane=webhook.id, due_at=now + rest_of(webhook, now),
    )  # fmt: skip
