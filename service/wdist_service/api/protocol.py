"""HTTP/1.1 as uvicorn speaks it, with a deadline for headers: uvicorn has one for idle connections only."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from wdist_service.api.problems import problem
from wdist_service.ids import new_id

HEADER_SECONDS = 10.0  # from the first byte of a request (or the connection) to the last byte of its headers
MAX_HEADER_BYTES = 32 << 10


class GuardedProtocol(H11Protocol):
    """Closes connections whose request line and headers do not come; answers broken ones with a problem."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
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
            self._deadline = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
