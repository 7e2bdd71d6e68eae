"""Whose turn it is, where clients compete.

Requests that a client sends before it has the answer to the one before (pipelining) begin one at a time.

A client with a thousand connections can have ten thousand of them ready at once. They would take all turns of
`middleware.Turns`, so they wait here, in a lane of their own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.datastructures import Headers
from starlette.types import Scope

_TURN_SECONDS = 0.04  # after which the next may begin, though this one is not answered: it waits for something


def caller_of(scope: Scope) -> str:
    """Who competes with others: the sender of one Authorization header, or without one, of one address."""
    return Headers(scope=scope).get("authorization") or str((scope.get("client") or [""])[0])


class Lane:
    """Lets one request at a time begin."""

    def __init__(self) -> None:
        self._is_free = True
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Around a request: entered when it may begin."""
        loop = asyncio.get_running_loop()
        if self._is_free:
            self._is_free = False
        else:
            waiting = loop.create_future()
            self._waiting.append(waiting)
            try:
                await waiting
            except asyncio.CancelledError:
                if not waiting.cancelled():  # its turn had come
                    self._pass_on()
                raise
        is_over = False

        def end() -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                self._pass_on()

        timer = loop.call_later(_TURN_SECONDS, end)
        try:
            yield
        finally:
            timer.cancel()
            end()

    def _pass_on(self) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():  # it is done if its request was canceled
                waiting.set_result(None)
                return
        self._is_free = True
