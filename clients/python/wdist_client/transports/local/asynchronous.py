"""The local transport for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from wdist_client.requests import Request, Response
from wdist_client.transports.address import LOCAL
from wdist_client.transports.local.transport import LocalTransport


class AsyncLocalTransport:
    """The local transport for the async client. It answers in a thread because opening a set reads all of it."""

    base_url = LOCAL

    def __init__(self) -> None:
        self._local = LocalTransport()

    async def perform(self, request: Request) -> Response:
        return await asyncio.to_thread(self._local.perform, request)

    async def lines(self, request: Request) -> AsyncIterator[str]:
        lines = self._local.lines(request)
        while (line := await asyncio.to_thread(next, lines, None)) is not None:
            yield line

    async def close(self) -> None:
        await asyncio.to_thread(self._local.close)
