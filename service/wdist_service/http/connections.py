"""HTTP/1.1 as uvicorn speaks it, with a deadline for headers and a short way for large bodies.

uvicorn has a deadline for idle connections only; and its parser, h11, copies each byte of a body five times, which took
as long as everything else that the server does with an upload.
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
_READ_BYTES = 512 << 10  # of a body at once; asyncio reads 256 KiB


class GuardedProtocol(H11Protocol):
    """Closes connections whose request line and headers do not come; answers broken ones with a problem."""

    header_seconds = 10.0  # from the first byte of a request (or the connection) to the last byte of its headers
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        if self._pass_on(data):
            return
        # h11 itself limits only headers that are incomplete, and asyncio hands over 256 KiB at once.
        is_long = len(data) > MAX_HEADER_BYTES and b"\r\n\r\n" not in data[:MAX_HEADER_BYTES]
        if is_long and self.conn.their_state is h11.IDLE:
            self.send_400_response("Too many headers.")
            return
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._arm()  # headers that began and did not end
        else:
            self._disarm()

    def _pass_on(self, data: bytes) -> bool:
        """Give bytes from the midst of a body of known length to the application as they are; whether that was done.

        The last ones take the usual way, so that h11 sees the body end where it expects it to.
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
        """What cannot be parsed, or is longer than headers may be."""
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
        except h11.LocalProtocolError:  # an answer is under way already
            pass
        self.transport.close()

    def _arm(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.header_seconds, self.transport.close)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
