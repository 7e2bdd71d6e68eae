"""Webhooks of the synchronous client."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from wdist_client import requests
from wdist_client.contract import Delivery, DeliveryDetail, Webhook
from wdist_client.models import NewWebhook
from wdist_client.requests import Request
from wdist_client.webhooks import calls
from wdist_client.webhooks.calls import AnyDelivery, AnyWebhook

if TYPE_CHECKING:
    from wdist_client.client import Client


class Webhooks:
    """Where the server sends what happened. Needs the key of an admin; a server without keys takes all callers."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(
        self, url: str, events: Sequence[str], *, description: str | None = None, include_rows: bool = False
    ) -> NewWebhook:
        """Registers an address. Keep `secret` of the record, which is shown now and never again.

        Args:
            url: where events are sent: https, and a public address unless the server allows private ones.
            events: their types, such as monitor.alarm_raised; `docs/guides/webhooks.md` lists them.
            description: for people.
            include_rows: whether payloads may carry what stands in the data: unusual rows, names of columns and levels.

        Raises PermissionDenied without the key of an admin, InvalidRequest for an address that is refused.
        """
        return self._client._send(calls.create(url, events, description, include_rows)).read(NewWebhook)

    def get(self, webhook: AnyWebhook) -> Webhook:
        """The record of a webhook, without its secret; raises NotFound."""
        return self._client._send(Request("GET", calls.path_of(webhook))).read(Webhook)

    def list(self) -> Iterator[Webhook]:
        """All webhooks, newest first, fetched page by page as they are asked for."""
        return self._client._pages(calls.ROOT, calls.WebhookPage)

    def change(
        self,
        webhook: AnyWebhook,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        description: str | None = None,
        include_rows: bool | None = None,
        enabled: bool | None = None,
    ) -> Webhook:
        """Changes what is given. `enabled=False` stops sending, and cancels the deliveries that wait."""
        fields = {
            "url": url, "events": None if events is None else [*events], "description": description,
            "include_rows": include_rows, "enabled": enabled,
        }  # fmt: skip
        return self._client._send(calls.change(webhook, fields)).read(Webhook)

    def delete(self, webhook: AnyWebhook) -> None:
        """Deletes a webhook with its deliveries."""
        self._client._send(Request("DELETE", calls.path_of(webhook)))

    def rotate(self, webhook: AnyWebhook) -> NewWebhook:
        """Gives the webhook a new secret, which is shown now and never again.

        Until `previous_secret_until` each request carries the signature of the old one, too.
        """
        return self._client._send(requests.once(f"{calls.path_of(webhook)}/rotate")).read(NewWebhook)

    def test(self, webhook: AnyWebhook) -> Delivery:
        """Sends a ping; `delivery` tells what became of it."""
        return self._client._send(requests.once(f"{calls.path_of(webhook)}/test")).read(Delivery)

    def deliveries(self, webhook: AnyWebhook, *, status: str | None = None) -> Iterator[Delivery]:
        """What was sent, or waits to be; newest first, fetched page by page as it is asked for."""
        return self._client._pages(f"{calls.path_of(webhook)}/deliveries", calls.DeliveryPage, status=status)

    def delivery(self, webhook: AnyWebhook, delivery: AnyDelivery) -> DeliveryDetail:
        """One delivery with its payload, the last answer and all requests."""
        return self._client._send(Request("GET", calls.delivery_path(webhook, delivery))).read(DeliveryDetail)

    def retry(self, webhook: AnyWebhook, delivery: AnyDelivery) -> Delivery:
        """Sends a delivery now, also one that was given up."""
        return self._client._send(requests.once(f"{calls.delivery_path(webhook, delivery)}/retry")).read(Delivery)
