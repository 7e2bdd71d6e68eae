"""The requests of webhooks, shared by the sync and the async client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wdist_client import contract, requests
from wdist_client.models import NewWebhook, Page
from wdist_client.options import given
from wdist_client.requests import Request

WebhookPage = Page[contract.Webhook]
DeliveryPage = Page[contract.Delivery]
AnyWebhook = str | contract.Webhook | NewWebhook
AnyDelivery = str | contract.Delivery
ROOT = "/v1/webhooks"


def path_of(webhook: AnyWebhook) -> str:
    return f"{ROOT}/{requests.identifier(webhook, 'wh_')}"


def delivery_path(webhook: AnyWebhook, delivery: AnyDelivery) -> str:
    return f"{path_of(webhook)}/deliveries/{requests.identifier(delivery, 'dlv_')}"


def create(url: str, events: Sequence[str], description: str | None, include_rows: bool) -> Request:
    body = {"url": url, "events": list(events), "description": description, "include_rows": include_rows}
    return requests.once(ROOT, given(body))


def change(webhook: AnyWebhook, fields: Mapping[str, Any]) -> Request:
    return requests.patch(path_of(webhook), given(fields))
