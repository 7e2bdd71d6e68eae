"""In which order requests begin.

The event loop runs whatever is ready, and threads take what was given to them first. If a thousand requests that arrive
together began at once, everybody else would wait until all of them are answered. So a few begin at a time, by turns the
newest and the oldest: who comes in the middle of a flood does not wait for all of it, and nobody waits for ever.

Requests that a client sent before it had the answer to the one before (pipelining) are in a lane of their own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_TURN_SECONDS = 0.04  # after which the next may begin, though this one is not answered: it waits for something


class Lane:
    """Lets so many requests at a time begin."""

    def __init__(self, width: int) -> None:
        self._free = width
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_for_the_newest = True

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Around a request: entered when it may begin."""
        loop = asyncio.get_running_loop()
        if self._free:
            self._free -= 1
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
            waiting = self._waiting.pop() if self._is_for_the_newest else self._waiting.popleft()
            self._is_for_the_newest = not self._is_for_the_newest
            if not waiting.done():  # it is done if its request was canceled
                waiting.set_result(None)
                return
        self._free += 1
