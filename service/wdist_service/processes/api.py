"""The API process: `python -m wdist_service.processes.api DESCRIPTOR` serves on a listening socket that it inherits."""

from __future__ import annotations

import gc
import os
import socket
import sys

from wdist_service.lifetime import die_with_parent
from wdist_service.processes.heartbeat import show_heartbeat


def main() -> None:
    # Before the imports, which take a second: if the supervisor is killed meanwhile, this process must free the port.
    die_with_parent()
    from wdist_service import logs
    from wdist_service.app import build_services, create_app
    from wdist_service.http.connections.peers import raise_descriptor_limit
    from wdist_service.installation import exit_statuses, start_errors
    from wdist_service.processes.server import ApiServer
    from wdist_service.settings import load
    from wdist_service.storage.durable import keep_private

    keep_private()
    show_heartbeat()
    # A busy thread hands the interpreter to the event loop after 1 ms, not 5: the loop waits for each of them.
    sys.setswitchinterval(0.001)
    settings = load()
    logs.configure(settings.log_level)
    raise_descriptor_limit()
    with exit_statuses(), start_errors(settings):
        services = build_services(settings)
    app = create_app(services)
    # What the imports made lives as long as the process. To look through all of it takes the collector a tenth of a
    # second, in which no request is answered.
    gc.collect()
    gc.freeze()
    ApiServer(app, services).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
