"""`wdist serve` and `wdist worker`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from wdist.cli.output import EX_CONFIG, Commands, fail

if TYPE_CHECKING:
    from wdist_service.settings import Settings


def add_server_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, metavar="DIR", help="data directory (WDIST_SERVER_DATA)")
    parser.add_argument("--database-url", metavar="URL", help="default: SQLite in the data directory")


def _add_worker_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--slots", type=int, help="jobs at once in each worker; default: GPUs, or cores / 4")
    parser.add_argument("--threads", type=int, help="threads of each trainer; default: cores / slots")


def add(commands: Commands) -> None:
    """Declare `wdist serve` and `wdist worker`."""
    _add_serve(commands)
    _add_worker(commands)


def _add_serve(commands: Commands) -> None:
    serve = commands.add_parser("serve", help="run the server: HTTP API and workers")
    serve.add_argument("--host", help="address to listen on (default: 127.0.0.1); others only with an API key")
    serve.add_argument("--port", type=int, help="TCP port (default: 8000; 0: any free one)")
    serve.add_argument("--workers", type=int, help="worker processes (default: 1; 0: an API alone)")
    add_server_options(serve)
    _add_worker_options(serve)
    serve.set_defaults(run=_serve)


def _add_worker(commands: Commands) -> None:
    worker = commands.add_parser("worker", help="run one more worker on the database of a server")
    add_server_options(worker)
    _add_worker_options(worker)
    worker.set_defaults(run=_worker)


def settings_of(options: argparse.Namespace, *names: str) -> Settings:
    from wdist_service.settings import load

    return load(**{name: getattr(options, name) for name in names})


def _serve(options: argparse.Namespace) -> int:
    from wdist_service.processes.supervisor import StartError, serve
    from wdist_service.settings import SettingsError

    try:
        names = ("host", "port", "data", "database_url", "workers", "slots", "threads")
        return serve(settings_of(options, *names))
    except SettingsError as error:
        return fail(str(error), EX_CONFIG)
    except StartError as error:
        return fail(str(error), error.code)


def _worker(options: argparse.Namespace) -> int:
    from wdist_service.database import file_of
    from wdist_service.processes.heartbeat import SUPERVISOR_VARIABLE, die_with_supervisor, show_heartbeat
    from wdist_service.settings import SettingsError

    die_with_supervisor()
    show_heartbeat()
    try:
        settings = settings_of(options, "data", "database_url", "slots", "threads")
    except SettingsError as error:
        return fail(str(error), EX_CONFIG)
    file = file_of(settings)
    if file is not None and not file.exists() and SUPERVISOR_VARIABLE not in os.environ:
        return fail(f"no server has worked in {settings.data}: start `wdist serve`, or name its --data", EX_CONFIG)
    from wdist_service import logs
    from wdist_service.worker.trainer_pool import TrainerPool

    logs.configure(settings.log_level)
    pool = TrainerPool(settings)
    pool.tend()  # trainers import torch while this process imports the rest
    from wdist_service.worker import worker

    worker.main(settings, pool)
    return 0
