"""Where a client speaks to: the address and key of its arguments or of the environment, and what carries requests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from wdist_client.protocol import check_address

if TYPE_CHECKING:
    from wdist_client.local.asynchronous import AsyncLocalTransport
    from wdist_client.local.transport import LocalTransport
    from wdist_client.transport import AsyncTransport, Transport

LOCAL = ":local:"
DEFAULT_URL = "http://127.0.0.1:8000"


def settings(base_url: str | None, api_key: str | None) -> tuple[str, str | None]:
    """Address and key as given, or of the environment: WDIST_BASE_URL, WDIST_API_KEY."""
    address = base_url or os.environ.get("WDIST_BASE_URL") or DEFAULT_URL
    return (address if address == LOCAL else check_address(address)), api_key or os.environ.get("WDIST_API_KEY") or None


def connect(base_url: str | None, api_key: str | None, timeout: float) -> Transport | LocalTransport:
    """The transport of the sync client; httpx is loaded with the first one: 0.1 s."""
    address, key = settings(base_url, api_key)
    if address == LOCAL:
        from wdist_client.local.transport import LocalTransport

        return LocalTransport()
    from wdist_client.transport import Transport

    return Transport(address, key, timeout)


def connect_async(base_url: str | None, api_key: str | None, timeout: float) -> AsyncTransport | AsyncLocalTransport:
    """The transport of the async client."""
    address, key = settings(base_url, api_key)
    if address == LOCAL:
        from wdist_client.local.asynchronous import AsyncLocalTransport

        return AsyncLocalTransport()
    from wdist_client.transport import AsyncTransport

    return AsyncTransport(address, key, timeout)
