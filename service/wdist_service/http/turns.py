"""Requests take turns: few begin in each round of the event loop, and callers alternate.

asyncio runs everything that is ready before it looks at its sockets again. Of 1,000 requests that arrive together, each
takes about a millisecond to read, check and hand to a thread; whoever came after them would wait for all of it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from wdist_service.http.middleware import Middleware

_AT_ONCE = 4  # requests that begin in one round
_WITHOUT_TURNS = frozenset({"/livez"})


class Turns(Middleware):
    """Lets requests in, a few in each round of the event loop: of each caller in turn, and its GETs apart from others.

    A caller is who sends the same Authorization header, or without one, who has the same address.
    """

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app)
        self._lines: OrderedDict[tuple[str, bool], deque[asyncio.Future[None]]] = OrderedDict()
        self._begun = 0
        self._is_scheduled = False

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in _WITHOUT_TURNS:
            await self._turn(scope)
        await self.app(scope, receive, send)

    async def _turn(self, scope: Scope) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._next_round)
        if not self._lines and self._begun < _AT_ONCE:
            self._begun += 1
            return
        turn = asyncio.get_running_loop().create_future()
        caller = Headers(scope=scope).get("authorization") or str((scope.get("client") or [""])[0])
        self._lines.setdefault((caller, scope["method"] in {"GET", "HEAD"}), deque()).append(turn)
        await turn

    def _next_round(self) -> None:
        self._begun = 0
        while self._lines and self._begun < _AT_ONCE:
            line, turns = self._lines.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._lines[line] = turns  # at the end: others first
            if not turn.done():  # its request was not canceled
                turn.set_result(None)
                self._begun += 1
        self._is_scheduled = self._begun > 0
        if self._is_scheduled:
            asyncio.get_running_loop().call_soon(self._next_round)
