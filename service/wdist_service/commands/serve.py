"""`wdist serve` and `wdist worker`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from wdist.cli.output import EX_CONFIG, fail

DataFolder = Annotated[Path | None, Parameter(metavar="DIR", help="data directory (WDIST_SERVER_DATA)")]
DatabaseUrl = Annotated[str | None, Parameter(metavar="URL", help="default: SQLite in the data directory")]
Slots = Annotated[int | None, Parameter(help="jobs at once in each worker; default: GPUs, or cores / 4")]
Threads = Annotated[int | None, Parameter(help="threads of each trainer; default: cores / slots")]


def serve(
    *,
    host: Annotated[str | None, Parameter(help="default: 127.0.0.1; others only with an API key")] = None,
    port: Annotated[int | None, Parameter(help="TCP port (default: 8000; 0: any free one)")] = None,
    workers: Annotated[int | None, Parameter(help="worker processes (default: 1; 0: an API alone)")] = None,
    data: DataFolder = None,
    database_url: DatabaseUrl = None,
    slots: Slots = None,
    threads: Threads = None,
) -> int:
    """Run the server until it is stopped; returns the exit status."""
    given = locals()
    from wdist_service.processes import supervisor
    from wdist_service.settings import SettingsError, load

    try:
        return supervisor.serve(load(**given))
    except SettingsError as error:
        return fail(str(error), EX_CONFIG)
    except supervisor.StartError as error:
        return fail(str(error), error.code)


def worker(
    *, data: DataFolder = None, database_url: DatabaseUrl = None, slots: Slots = None, threads: Threads = None
) -> int:
    """Run a worker until it is stopped; returns the exit status."""
    given = locals()
    from wdist_service.database import file_of
    from wdist_service.lifetime import PARENT_VARIABLE, die_with_parent
    from wdist_service.processes.heartbeat import show_heartbeat
    from wdist_service.settings import SettingsError, load

    die_with_parent()
    show_heartbeat()
    try:
        settings = load(**given)
    except SettingsError as error:
        return fail(str(error), EX_CONFIG)
    file = file_of(settings)
    if file is not None and not file.exists() and PARENT_VARIABLE not in os.environ:
        return fail(f"no server has worked in {settings.data}: start `wdist serve`, or name its --data", EX_CONFIG)
    from wdist_service import logs
    from wdist_service.worker.trainer_pool import TrainerPool

    logs.configure(settings.log_level)
    pool = TrainerPool(settings)
    pool.tend()  # trainers import torch while this process imports the rest
    from wdist_service.worker import worker as process

    process.main(settings, pool)
    return 0
