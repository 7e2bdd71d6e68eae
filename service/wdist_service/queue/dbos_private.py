"""What this server uses of DBOS beyond its documented interface; `dispatch.py` does the rest with the documented one.

Two things, each with its reason. tests/service/test_dbos_private.py fails when DBOS changes one of them.

1. `_sys_db.get_queue`, which the thread of a queue calls before each poll, is replaced in a worker (`Pace`). DBOS has
   one number of slots and one polling interval for all processes of a queue, in the queue's row. With workers of 1 and
   of 8 slots, the small one took 8 attempts and kept 7 waiting. And polling every 0.05 s, so that jobs start soon, took
   5 to 9 % of a core while there was nothing to do. The documented way is one process per slot (docs/decisions/0001).
2. The table `workflow_status` is read (`Entries`): whether anything waits, the lowest priority number that waits, how
   many entries of each tenant wait. The documented list of workflows can tell only by fetching all of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from dbos._dbos import _get_dbos_instance
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

_CLASS_WIDTH = 500_000_000  # versions before 0.2 added it to the priority number of normal jobs, and twice to low ones
_SCHEMA = "dbos."  # on PostgreSQL; SQLite has no schemas
# The second condition is that of DBOS's partial index, in its words: SQLite uses the index only then.
_WAITING = "queue_name = :queue AND status = 'ENQUEUED' AND status IN ('ENQUEUED', 'PENDING')"
_IDLE_SECONDS = 0.1  # how often an idle worker looks: half of it is the mean delay of a job
_FULL_SECONDS = 0.02  # how often a full one asks itself whether there is room again
SHORTEST_PAUSE, _LONGEST_PAUSE = 0.005, 0.05  # between polls that brought nothing although something waited
_OUTAGE_SECONDS = 1.0


class Entries:
    """What waits in a queue, read from DBOS's table."""

    def __init__(self, engine: Engine, queue: str) -> None:
        table = "workflow_status" if engine.dialect.name == "sqlite" else f"{_SCHEMA}workflow_status"
        waiting = f"FROM {table} WHERE {_WAITING}"
        self._queue = {"queue": queue}
        self._any = text(f"SELECT 1 {waiting} LIMIT 1")
        self._lowest = text(f"SELECT min(priority) {waiting}")
        self._users = text(f"SELECT authenticated_user, count(*) {waiting} GROUP BY 1")
        self._without = text(f"SELECT workflow_uuid {waiting} AND authenticated_user IS NULL")
        self._adopt = text(
            f"UPDATE {table} SET authenticated_user = :user, priority = (priority - 1) % {_CLASS_WIDTH} + 1 "  # noqa: S608
            "WHERE workflow_uuid = :id AND authenticated_user IS NULL"
        )

    def is_any_waiting(self, connection: Connection) -> bool:
        return connection.execute(self._any, self._queue).first() is not None

    def lowest_priority(self, session: Session) -> int:
        """The priority number of the entry that is next; 0 if none waits."""
        return session.execute(self._lowest, self._queue).scalar_one() or 0

    def count_by_user(self, session: Session) -> dict[str, int]:
        return {user: count for user, count in session.execute(self._users, self._queue) if user is not None}

    def without_user(self, session: Session) -> list[str]:
        """Ids of the entries that name no user."""
        return list(session.execute(self._without, self._queue).scalars())

    def adopt(self, session: Session, users: Mapping[str, str]) -> None:
        """Name the users of entries, by their ids, and take their class out of their priority number."""
        if users:
            session.execute(self._adopt, [{"id": name, "user": user} for name, user in users.items()])


class Pace:
    """Decides in this process when DBOS polls a queue, and how many workflows it may then have in hand.

    at_once: how many workflows this process runs at a time, asked anew before each poll.
    """

    def __init__(self, engine: Engine, queue: str, at_once: Callable[[], int]) -> None:
        self._engine = engine
        self._queue = queue
        self._entries = Entries(engine, queue)
        self._at_once = at_once
        self._lock = threading.Lock()
        self._running = self._begun = 0
        self._begun_before_poll = -1
        self._pause = SHORTEST_PAUSE
        self._has_ended = threading.Event()
        self._is_closing = False
        self._connection: Connection | None = None

    def install(self) -> None:
        """Take the place of `get_queue` in the DBOS of this process, which was launched before."""
        system = _get_dbos_instance()._sys_db
        self._read = system.get_queue
        system.get_queue = self._get_queue  # type: ignore[method-assign]

    def release(self) -> None:
        """Let the thread of the queue go on, so that it can end."""
        self._is_closing = True
        self._has_ended.set()

    def close(self) -> None:
        """Close the connection, once that thread has ended."""
        if self._connection is not None:
            self._connection.close()

    def run(self, workflow: Callable[[], None]) -> None:
        """Run a workflow of the queue, and count it."""
        with self._lock:
            self._running, self._begun = self._running + 1, self._begun + 1
        try:
            workflow()
        finally:
            with self._lock:
                self._running -= 1
            self._has_ended.set()

    def _get_queue(self, name: str, **options: Any) -> Any:
        if name == self._queue:
            self._wait()
        queue = self._read(name, **options)
        if queue is not None and queue.name == self._queue:
            queue._worker_concurrency = self._at_once()
        return queue

    def _wait(self) -> None:
        """Return once there is room and something waits, and later if the last poll brought nothing."""
        is_fruitless = self._begun == self._begun_before_poll
        pause = self._pause = min(_LONGEST_PAUSE, 2 * self._pause) if is_fruitless else SHORTEST_PAUSE
        while not self._is_closing:
            if self._has_ended.wait(pause):
                self._has_ended.clear()
            has_room = self._running < self._at_once()
            if has_room and self._is_any_waiting():
                break
            pause = _IDLE_SECONDS if has_room else _FULL_SECONDS
        self._begun_before_poll = self._begun

    def _is_any_waiting(self) -> bool:
        """Ask on a connection of its own: taking one from a pool costs as much as the question."""
        try:
            if self._connection is None:
                self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            return self._entries.is_any_waiting(self._connection)
        except SQLAlchemyError:
            if self._connection is not None:
                self._connection.invalidate()
                self._connection = None
            self._has_ended.wait(_OUTAGE_SECONDS)
            return False
