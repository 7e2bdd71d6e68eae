"""Webhooks of the asynchronous client: what `wdist_client.webhooks.synchronous` has, awaited."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from wdist_client import requests
from wdist_client.contract import Delivery, DeliveryDetail, Webhook
from wdist_client.models import NewWebhook
from wdist_client.requests import Request
from wdist_client.webhooks import calls
from wdist_client.webhooks.calls import AnyDelivery, AnyWebhook

if TYPE_CHECKING:
    from wdist_client.async_client import AsyncClient


class AsyncWebhooks:
    """Like `Webhooks`, but awaited."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def create(
        self, url: str, events: Sequence[str], *, description: str | None = None, include_rows: bool = False
    ) -> NewWebhook:
        """As `Webhooks.create`."""
        return (await self._client._send(calls.create(url, events, description, include_rows))).read(NewWebhook)

    async def get(self, webhook: AnyWebhook) -> Webhook:
        """As `Webhooks.get`."""
        return (await self._client._send(Request("GET", calls.path_of(webhook)))).read(Webhook)

    def list(self) -> AsyncIterator[Webhook]:
        """As `Webhooks.list`, for `async for`."""
        return self._client._pages(calls.ROOT, calls.WebhookPage)

    async def change(
        self,
        webhook: AnyWebhook,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        description: str | None = None,
        include_rows: bool | None = None,
        enabled: bool | None = None,
    ) -> Webhook:
        """As `Webhooks.change`."""
        fields = {
            "url": url, "events": None if events is None else [*events], "description": description,
            "include_rows": include_rows, "enabled": enabled,
        }  # fmt: skip
        return (await self._client._send(calls.change(webhook, fields))).read(Webhook)

    async def delete(self, webhook: AnyWebhook) -> None:
        """As `Webhooks.delete`."""
        await self._client._send(Request("DELETE", calls.path_of(webhook)))

    async def rotate(self, webhook: AnyWebhook) -> NewWebhook:
        """As `Webhooks.rotate`."""
        return (await self._client._send(requests.once(f"{calls.path_of(webhook)}/rotate"))).read(NewWebhook)

    async def test(self, webhook: AnyWebhook) -> Delivery:
        """As `Webhooks.test`."""
        return (await self._client._send(requests.once(f"{calls.path_of(webhook)}/test"))).read(Delivery)

    def deliveries(self, webhook: AnyWebhook, *, status: str | None = None) -> AsyncIterator[Delivery]:
        """As `Webhooks.deliveries`, for `async for`."""
        return self._client._pages(f"{calls.path_of(webhook)}/deliveries", calls.DeliveryPage, status=status)

    async def delivery(self, webhook: AnyWebhook, delivery: AnyDelivery) -> DeliveryDetail:
        """As `Webhooks.delivery`."""
        return (await self._client._send(Request("GET", calls.delivery_path(webhook, delivery)))).read(DeliveryDetail)

    async def retry(self, webhook: AnyWebhook, delivery: AnyDelivery) -> Delivery:
        """As `Webhooks.retry`."""
        return (await self._client._send(requests.once(f"{calls.delivery_path(webhook, delivery)}/retry"))).read(
            Delivery
        )
