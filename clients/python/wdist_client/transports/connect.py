"""Choose the transport for an address: HTTP, or the library in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wdist_client.transports.address import LOCAL, settings

if TYPE_CHECKING:
    from wdist_client.transports.http import AsyncTransport, Transport
    from wdist_client.transports.local.asynchronous import AsyncLocalTransport
    from wdist_client.transports.local.transport import LocalTransport


def connect(base_url: str | None, api_key: str | None, timeout: float) -> Transport | LocalTransport:
    """The transport of the sync client; httpx is imported on first use, as that takes 0.1 s."""
    address, key = settings(base_url, api_key)
    if address == LOCAL:
        from wdist_client.transports.local.transport import LocalTransport

        return LocalTransport()
    from wdist_client.transports.http import Transport

    return Transport(address, key, timeout)


def connect_async(base_url: str | None, api_key: str | None, timeout: float) -> AsyncTransport | AsyncLocalTransport:
    """The transport of the async client."""
    address, key = settings(base_url, api_key)
    if address == LOCAL:
        from wdist_client.transports.local.asynchronous import AsyncLocalTransport

        return AsyncLocalTransport()
    from wdist_client.transports.http import AsyncTransport

    return AsyncTransport(address, key, timeout)
