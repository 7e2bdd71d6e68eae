"""Runs tasks at intervals in one thread of a process; a shared task runs in one process at a time."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.exc import DatabaseError

from wdist_service.database import Database, retried_after_races
from wdist_service.errors import StorageUnavailableError
from wdist_service.tables import Property

log = logging.getLogger("wdist.maintenance")
_TICK_SECONDS = 1.0


@dataclass(frozen=True)
class Task:
    """Something done every `seconds` seconds.

    is_shared: for the whole installation, so that one process does it in each interval; else every process does it.
    first_after: seconds from the start of the process to the first time.
    """

    name: str
    seconds: float
    run: Callable[[], object]
    is_shared: bool = False
    first_after: float = 5.0


class Schedule:
    """Starts the thread that runs the tasks; `stopping` ends it."""

    def __init__(self, database: Database, tasks: Sequence[Task], stopping: threading.Event) -> None:
        self._database = database
        self._stopping = stopping
        now = time.monotonic()
        self._due = {task: now + task.first_after for task in tasks}

    def start(self) -> None:
        threading.Thread(target=self._loop, name="maintenance", daemon=True).start()

    def _loop(self) -> None:
        while not self._stopping.wait(_TICK_SECONDS):
            for task in [task for task, due in self._due.items() if time.monotonic() >= due]:
                if self._stopping.is_set():
                    return
                # A little randomness: replicas that start together do not all ask the database at the same moment.
                self._due[task] = time.monotonic() + task.seconds * random.uniform(0.9, 1.1)
                self._run(task)

    def _run(self, task: Task) -> None:
        try:
            if not task.is_shared or self._take_turn(task):
                task.run()
        except (DatabaseError, StorageUnavailableError, OSError) as error:
            log.warning("%s could not be done, trying again later: %s", task.name, error)
        except Exception:  # the other tasks must go on
            log.exception("%s failed", task.name)

    @retried_after_races
    def _take_turn(self, task: Task) -> bool:
        """Whether this process does a shared task now: no other one began it within half of its interval."""
        name = f"last:{task.name}"[:40]
        with self._database.write() as session:
            now = self._database.now(session)
            row = session.get(Property, name, with_for_update=True)
            if row is None:
                session.add(Property(name=name, value=repr(now)))
                return True
            # A time in the future was written before the clock was set back.
            if 0 <= now - float(row.value) < task.seconds / 2:
                return False
            row.value = repr(now)
            return True
