"""Whose turn it is, where clients compete.

Requests that a client sends before it has the answer to the one before (pipelining) begin one at a time.

A client with a thousand connections can have ten thousand of them ready at once. They would take all turns of
`middleware.Turns`, so they wait here, in a lane of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from starlette.datastructures import Headers
from starlette.types import Scope

_TURN_SECONDS = 0.04  # after which the next may begin, though this one is not answered: it waits for something


def caller_of(scope: Scope) -> str:
    """Who competes with others: the sender of one Authorization header, or without one, of one address."""
    return Headers(scope=scope).get("authorization") or str((scope.get("client") or [""])[0])


class Lane:
    """Lets one request at a time begin."""

    def __init__(self) -> None:
        self._place = asyncio.Semaphore()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Around a request: entered when it may begin."""
        await self._place.acquire()
        with ExitStack() as held:
            held.callback(self._place.release)
            timer = asyncio.get_running_loop().call_later(_TURN_SECONDS, held.close)
            held.callback(timer.cancel)
            yield
