"""The API process: `python -m wdist_service.processes.api DESCRIPTOR` serves on a listening socket that it inherits."""

from __future__ import annotations

import os
import socket
import sys

from wdist_service.lifetime import die_with_parent
from wdist_service.processes.heartbeat import show_heartbeat

EX_CONFIG = 78


def main() -> None:
    # Before the imports, which take a second: if the supervisor is killed meanwhile, this process must free the port.
    die_with_parent()
    import uvicorn

    from wdist_service import logs
    from wdist_service.app import build_services, create_app
    from wdist_service.estimates.events import EventFeed
    from wdist_service.http.connections import MAX_HEADER_BYTES, GuardedProtocol
    from wdist_service.settings import SettingsError, load

    show_heartbeat()
    # A busy thread hands the interpreter to the event loop after 1 ms, not 5: the loop waits for each of them.
    sys.setswitchinterval(0.001)
    settings = load()
    logs.configure(settings.log_level)
    try:
        services = build_services(settings)
    except SettingsError as error:
        sys.stderr.write(f"wdist: {error}\n")
        raise SystemExit(EX_CONFIG) from None
    GuardedProtocol.header_seconds = settings.header_timeout_seconds
    config = uvicorn.Config(
        create_app(services), log_config=None, access_log=False, server_header=False, lifespan="on", loop="asyncio",
        timeout_graceful_shutdown=30, timeout_keep_alive=30, http=GuardedProtocol, ws="none", proxy_headers=False,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )  # fmt: skip
    server = uvicorn.Server(config)
    services[EventFeed].is_closing = lambda: server.should_exit
    server.run(sockets=[socket.socket(fileno=int(sys.argv[1]))])


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
