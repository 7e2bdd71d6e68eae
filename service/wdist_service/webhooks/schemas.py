"""Request and response models of webhooks and their deliveries."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from wdist_service.http.schemas import Name, View, maybe_rfc3339, rfc3339
from wdist_service.tables import Delivery, Status, Webhook
from wdist_service.text import LINE

EventType = Literal[
    "monitor.updated",
    "monitor.alarm_raised",
    "monitor.alarm_cleared",
    "monitor.update_failed",
    "estimate.succeeded",
    "estimate.failed",
    "estimate.canceled",
    "batch.finished",
]
EVENT_TYPES: tuple[str, ...] = get_args(EventType)
PING = "webhook.ping"
DeliveryStatus = Literal["queued", "running", "canceling", "succeeded", "failed", "canceled"]

Address = Annotated[str, StringConstraints(min_length=8, max_length=2000, pattern=LINE)]
_ADDRESS = "Where events are sent: https, a public address, no user or password in it."
_EVENTS = "The types of events that are sent."
_ROWS = (
    "Whether payloads may carry what stands in the data: unusual rows, figures of columns, warnings, messages "
    "of errors."
)


class WebhookRequest(BaseModel):
    """A new webhook."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: Address = Field(description=_ADDRESS, examples=["https://example.org/hooks/wdist"])
    events: list[EventType] = Field(min_length=1, max_length=50, description=_EVENTS)
    description: Name | None = None
    include_rows: bool = Field(default=False, description=_ROWS)


class WebhookChange(BaseModel):
    """What changes about a webhook; what is not given, or null, stays."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: Address | None = Field(default=None, description=_ADDRESS)
    events: list[EventType] | None = Field(default=None, min_length=1, max_length=50, description=_EVENTS)
    description: Name | None = Field(default=None, description="null removes it.")
    include_rows: bool | None = Field(default=None, description=_ROWS)
    enabled: bool | None = Field(
        default=None, description="Whether events are sent. Deliveries that wait are canceled when it is disabled."
    )


class WebhookView(BaseModel):
    """A webhook, without its secret."""

    id: str
    object: Literal["webhook"] = "webhook"
    url: str
    events: list[str]
    description: str | None
    include_rows: bool
    status: Literal["enabled", "disabled"]
    disabled_at: str | None
    disabled_reason: str | None = Field(description="Why nothing is sent to it, in words.")
    failing_since: str | None = Field(description="The first failure since its last success; null: none.")
    failures: int = Field(description="Requests that failed since its last success.")
    last_success_at: str | None
    previous_secret_until: str | None = Field(description="Until when the old secret signs, too; null: no longer.")
    created_at: str


class NewWebhookView(WebhookView):
    """A webhook with its secret, which is shown when it is created or rotated, and never again."""

    secret: str = Field(description="Verifies signatures: whsec_ and 32 bytes in base64.")


class DeliveryAttempt(BaseModel):
    """One request of a delivery."""

    at: str
    response_status: int | None = Field(description="Of HTTP; null: there was no answer.")
    reason: str | None = Field(description="Why it failed, in words; null: it succeeded.")
    seconds: float


class DeliveryView(BaseModel):
    """One event on its way to one webhook."""

    id: str
    object: Literal["webhook_delivery"] = "webhook_delivery"
    webhook: str
    event: str = Field(description="The type of the event.")
    event_id: str = Field(description="The header webhook-id: the same in every request of this event.")
    status: DeliveryStatus = Field(description="queued: it waits for its next request.")
    attempts: int = Field(description="Requests that were made.")
    next_attempt_at: str | None
    response_status: int | None = Field(description="Of the last request.")
    reason: str | None = Field(description="Why the last request failed, in words.")
    created_at: str
    finished_at: str | None


class DeliveryDetailView(DeliveryView):
    """A delivery with its payload and its requests."""

    payload: dict[str, Any] = Field(description="What is sent: type, timestamp and data.")
    response_body: str | None = Field(description="The first 500 characters of the last answer's body.")
    log: list[DeliveryAttempt] = Field(description="The last 30 requests, oldest first.")


def _webhook_values(row: Webhook, now: float) -> dict[str, Any]:
    until = row.previous_until if row.previous_until is not None and row.previous_until > now else None
    return {
        "id": row.id, "url": row.url, "events": row.events, "description": row.description,
        "include_rows": row.include_rows, "status": "enabled" if row.disabled_at is None else "disabled",
        "disabled_at": maybe_rfc3339(row.disabled_at), "disabled_reason": row.disabled_reason,
        "failing_since": maybe_rfc3339(row.failing_since), "failures": row.failures,
        "last_success_at": maybe_rfc3339(row.succeeded_at), "previous_secret_until": maybe_rfc3339(until),
        "created_at": rfc3339(row.created_at),
    }  # fmt: skip


@View
def webhook_view(row: Webhook, now: float) -> WebhookView:
    return WebhookView(**_webhook_values(row, now))


def new_webhook_view(row: Webhook, now: float, secret: str) -> NewWebhookView:
    return NewWebhookView(**_webhook_values(row, now), secret=secret)


def _delivery_values(row: Delivery) -> dict[str, Any]:
    last = row.log[-1] if row.log else {}
    return {
        "id": row.id, "webhook": row.webhook_id, "event": row.event_type, "event_id": row.event_id,
        "status": row.status, "attempts": row.requests,
        "next_attempt_at": maybe_rfc3339(row.due_at) if row.status == Status.QUEUED else None,
        "response_status": last.get("status"),
        "reason": last.get("reason") or (row.error or {}).get("message"),
        "created_at": rfc3339(row.created_at), "finished_at": maybe_rfc3339(row.finished_at),
    }  # fmt: skip


@View
def delivery_view(row: Delivery) -> DeliveryView:
    return DeliveryView(**_delivery_values(row))


@View
def delivery_detail_view(row: Delivery) -> DeliveryDetailView:
    log = [
        DeliveryAttempt(
            at=rfc3339(entry["at"]), response_status=entry["status"], reason=entry["reason"], seconds=entry["seconds"]
        )
        for entry in row.log
    ]
    return DeliveryDetailView(
        **_delivery_values(row), payload=json.loads(row.body), log=log,
        response_body=row.response_body,
    )  # fmt: skip
