"""uvicorn's HTTP/1.1 protocol, with limits on what a peer may hold and a fast path for large bodies.

uvicorn has a deadline only for idle connections. Its parser, h11, copies each byte of a body five times, which took as
long as everything else that the server does with an upload.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import Any, cast
from urllib.parse import unquote

import h11
from h11._readers import ContentLengthReader
from starlette.datastructures import MutableHeaders
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.h11_impl import H11Protocol

from wdist_service.http.connections.peers import Peers
from wdist_service.http.connections.turns import caller_of
from wdist_service.http.problems import problem
from wdist_service.ids import new_id

MAX_HEADER_BYTES = 32 << 10
_WRITE_BYTES = 16 << 10  # of an answer that wait here, beside the last block
_UNSENT_BYTES = 128 << 10  # of an answer that the kernel takes before they can be sent; otherwise 4 MB
_RETRY_SECONDS = 5
_LIVENESS = "/livez"


class GuardedProtocol(H11Protocol):
    """Closes connections that are slow with headers or slow to read, and answers malformed requests with a problem."""

    _deadline: asyncio.TimerHandle | None = None  # from the first byte of a request to the last one of its headers
    unwanted_since: float | None = None  # when a request was answered whose body still comes

    def __init__(self, peers: Peers, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._peers = peers
        self._application, self.app = self.app, self._answer
        self._is_admitted = True
        self._is_pipelined = False  # the latest request came before the answer to the one before it

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(_WRITE_BYTES)
        with contextlib.suppress(AttributeError, OSError):  # a system without the option, or a peer that has left
            connection: Any = transport.get_extra_info("socket")
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        self._arm()
        self._is_admitted = self._peers.admit(self)
        with contextlib.suppress(AttributeError):
            cast("Any", transport).max_size = min(cast("Any", transport).max_size, self._peers.read_bytes)

    def data_received(self, data: bytes) -> None:
        if self._pass_on(data):
            return
        # h11 itself limits only incomplete headers, and asyncio passes on 256 KiB at once.
        is_long = len(data) > MAX_HEADER_BYTES and b"\r\n\r\n" not in data[:MAX_HEADER_BYTES]
        if is_long and self.conn.their_state is h11.IDLE:
            self.send_400_response("Too many headers.")
            return
        if self.cycle is None or self.cycle.response_complete:
            self._is_pipelined = False
        super().data_received(data)
        self._note()
        if self.conn.their_state is h11.IDLE:
            self._arm()  # headers that are not complete yet
        else:
            self._disarm()

    def on_response_complete(self) -> None:
        self._is_pipelined = True
        super().on_response_complete()  # begins the next request, if its headers are here already
        self._note()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the application answer a request when its turn has come."""
        _use_origin_form(scope)
        if not self._is_admitted and scope["path"] != _LIVENESS:
            self._is_admitted = self._peers.welcome(self, caller_of(scope))
        if not self._is_admitted:
            await self._answer_surplus(scope, receive, send)
        elif self._is_pipelined:
            async with self._peers.pipelined.turn():
                await self._answer_in_turn(scope, receive, send)
        else:
            await self._answer_in_turn(scope, receive, send)

    async def _answer_in_turn(self, scope: Scope, receive: Receive, send: Send) -> None:
        cycle = self.cycle
        if not cycle.disconnected:
            scope["block_bytes"] = self._peers.block_bytes
            self._peers.belongs(self, caller_of(scope))
            scope["is_gone"] = lambda: cycle.disconnected
            try:
                await self._application(scope, receive, send)
            except asyncio.CancelledError:  # the server ends, and has cut the connection: nobody is left to tell
                if not cycle.disconnected:
                    raise

    async def _answer_surplus(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a connection beyond the limit: that the server lives, and 503 to everything else."""

        async def send_last(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        if scope["path"] == _LIVENESS:
            await self._application(scope, receive, send_last)
            return
        self._peers.count("refused")
        request_id = new_id("req")
        headers = {"Retry-After": str(_RETRY_SECONDS), "X-Content-Type-Options": "nosniff", "X-Request-Id": request_id}
        detail = "all connections of this server are in use; try again"
        answer = problem(request_id, 503, "unavailable", "The server is busy", detail, (), headers)
        await answer(scope, receive, send_last)

    def _note(self) -> None:
        is_busy = self.cycle is not None and not self.cycle.response_complete
        self._peers.note(self, is_busy=is_busy)
        if is_busy or self.conn.their_state is not h11.SEND_BODY:
            self.unwanted_since = None
        elif self.unwanted_since is None:
            self.unwanted_since = time.monotonic()

    def _pass_on(self, data: bytes) -> bool:
        """Pass bytes inside a body of known length straight to the application; returns whether that was possible.

        The last bytes go through h11, so that it sees the body end where it expects.
        """
        reader: Any = getattr(self.conn, "_reader", None)
        if self.conn.their_state is not h11.SEND_BODY or not isinstance(reader, ContentLengthReader):
            return False
        is_wanted = self.conn.our_state is not h11.DONE and not self.cycle.response_complete
        if len(data) >= reader._remaining or self.conn.trailing_data[0] or not is_wanted:
            return False
        reader._remaining -= len(data)
        self.cycle.body = bytes(self.cycle.body) + data if self.cycle.body else data  # type: ignore[assignment]
        if len(self.cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
            cast("Any", self.transport).max_size = self._peers.read_bytes
        self.cycle.message_event.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._peers.leave(self)
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer a request that cannot be parsed, or whose headers are too long."""
        self._disarm()
        self._peers.count("malformed")
        answer = problem(
            new_id("req"), 400, "bad_request", "Bad request", f"{msg} Headers: {MAX_HEADER_BYTES:,} bytes."
        )
        headers = [*answer.raw_headers, (b"connection", b"close"), (b"x-content-type-options", b"nosniff")]
        try:
            events: list[Any] = [
                h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
                h11.Data(data=bytes(answer.body)),
                h11.EndOfMessage(),
            ]
            for event in events:
                self.transport.write(cast("bytes", self.conn.send(event)))
        except h11.LocalProtocolError:  # a response has already been started
            pass
        self.transport.close()

    def _arm(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self._peers.header_seconds, self._peers.cut, self, "headers")

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _use_origin_form(scope: Scope) -> None:
    """Take `GET http://host/path`, as proxies are asked, for `GET /path`: every server has to (RFC 9112, 3.2.2)."""
    given: bytes = scope["raw_path"]
    if given.lower().startswith((b"http://", b"https://")):
        path = b"/" + given.split(b"/", 3)[3] if given.count(b"/") > 2 else b"/"
        scope["raw_path"], scope["path"] = path, unquote(path.decode("ascii"))
