"""uvicorn's HTTP/1.1 protocol, with a deadline for headers and a fast path for large bodies.

uvicorn has a deadline only for idle connections. Its parser, h11, copies each byte of a body five times, which took as
long as everything else that the server does with an upload.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import h11
from h11._readers import ContentLengthReader
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.h11_impl import H11Protocol

from wdist_service.http.problems import problem
from wdist_service.ids import new_id

MAX_HEADER_BYTES = 32 << 10
_READ_BYTES = 512 << 10  # how much of a body is read at once; asyncio's default is 256 KiB


class GuardedProtocol(H11Protocol):
    """Closes connections whose headers do not arrive in time, and answers malformed requests with a problem."""

    header_seconds = 10.0  # from the first byte of a request (or the connection) to the last byte of its headers
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        if self._pass_on(data):
            return
        # h11 itself limits only incomplete headers, and asyncio passes on 256 KiB at once.
        is_long = len(data) > MAX_HEADER_BYTES and b"\r\n\r\n" not in data[:MAX_HEADER_BYTES]
        if is_long and self.conn.their_state is h11.IDLE:
            self.send_400_response("Too many headers.")
            return
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._arm()  # headers that are not complete yet
        else:
            self._disarm()

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
            cast("Any", self.transport).max_size = _READ_BYTES
        self.cycle.message_event.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer a request that cannot be parsed, or whose headers are too long."""
        self._disarm()
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
            self._deadline = self.loop.call_later(self.header_seconds, self.transport.close)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
