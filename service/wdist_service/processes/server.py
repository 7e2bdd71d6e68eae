"""uvicorn's server, which looks after its connections and ends in time."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import socket
import threading
from types import FrameType
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from wdist_service.estimates.events import EventFeed
from wdist_service.http.connections.peers import Peers
from wdist_service.http.connections.protocol import MAX_HEADER_BYTES, GuardedProtocol
from wdist_service.http.dependencies import Services

log = logging.getLogger("wdist.api")
_KEEP_ALIVE_SECONDS = 30
_CANCEL_SECONDS = 1  # once its connection is gone, how long a request may go on before it is canceled
_LEAVE_SECONDS = 2.5  # after stop_seconds: for what is canceled, and to close the database
_TICKS_PER_SECOND = 10


class ApiServer(uvicorn.Server):
    """Serves the application.

    After SIGTERM, listeners to events are sent away and requests have `stop_seconds` to be answered. Then connections
    are cut, however slowly their peers read or send. Soon after, the process ends, whatever its threads do: what was
    acknowledged is stored, and what was not is as after a power cut.
    """

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._peers = services[Peers]
        self._stop_seconds = services.settings.stop_seconds
        protocol = functools.partial(GuardedProtocol, self._peers)
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="on",
                loop="asyncio",
                timeout_graceful_shutdown=int(self._stop_seconds) + _CANCEL_SECONDS,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                http=cast("type[asyncio.Protocol]", protocol),
                ws="none",
                proxy_headers=False,
                h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            )
        )
        services[EventFeed].is_closing = lambda: self.should_exit

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            end = threading.Timer(self._stop_seconds + _LEAVE_SECONDS, _end)
            end.daemon = True
            end.start()
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_PER_SECOND == 0:
            self._peers.tend()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        cut = asyncio.get_running_loop().call_later(self._stop_seconds, self._peers.cut_all)
        await super().shutdown(sockets)
        cut.cancel()


def _end() -> None:
    log.warning("a request, or what it waits for, does not end; leaving it")
    logging.shutdown()
    os._exit(0)
