"""What is used of DBOS beyond its documented interface. If one of these fails after an update of DBOS, read
queue/dbos_private.py before anything else: the names below may have moved."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dbos
import pytest
from dbos._queue import queue_worker_thread
from dbos._sys_db import SystemDatabase
from sqlalchemy import inspect as inspect_tables
from sqlalchemy import text
from stores import Stores, rows

from wdist_service.database import Database
from wdist_service.ids import new_id
from wdist_service.queue import dispatch
from wdist_service.queue.dbos_private import Entries
from wdist_service.queue.kinds import Kinds
from wdist_service.settings import Settings

SERVICE = Path(dispatch.__file__).parents[1]
CONSUMER = """
import sys, time, threading
from wdist_service.database import Database
from wdist_service.queue import dispatch
from wdist_service.settings import load

def run(turn):
    print(turn.job_id, flush=True)
    threading.Event().wait()

slots = int(sys.argv[2])
dispatch.Consumer(Database(load()), sys.argv[1], run, lambda: slots)
time.sleep(600)
"""


@pytest.fixture
def settings(tmp_path: Path, stores: Stores) -> Settings:
    return Settings(data=tmp_path, **stores.settings())


@pytest.fixture
def queue(settings: Settings) -> Iterator[dispatch.Queue]:
    database = Database(settings)
    dispatch.migrate(database)
    made = dispatch.Queue(database, Kinds())
    made.open()
    yield made
    made.close()
    database.close()


def test_only_two_modules_know_dbos_and_one_of_them_its_private_names() -> None:
    imports = {
        path.relative_to(SERVICE).as_posix(): re.findall(r"^\s*(?:from|import) (dbos[\w.]*)", path.read_text(), re.M)
        for path in SERVICE.rglob("*.py")
    }
    found = {name: sorted(set(modules)) for name, modules in imports.items() if modules}
    assert found == {"queue/dispatch.py": ["dbos"], "queue/dbos_private.py": ["dbos._dbos"]}


def test_a_queue_is_read_before_each_poll_and_the_copy_that_was_read_decides() -> None:
    """`Pace` takes the place of `get_queue`: it waits there, and changes the number in what is returned."""
    assert list(inspect.signature(SystemDatabase.get_queue).parameters) == ["self", "name", "client_system_database"]
    source = inspect.getsource(queue_worker_thread)
    read, wait, claim = (
        source.index(words)
        for words in ("latest = dbos._sys_db.get_queue(queue.name)", "stop_event.wait(timeout=", "dequeue_scopes(")
    )
    assert read < wait < claim
    assert "q._worker_concurrency" in source
    assert "self._worker_concurrency" in inspect.getsource(dbos.Queue.__init__)


@pytest.mark.both_stores
def test_the_table_has_the_columns_and_states_that_are_read(queue: dispatch.Queue, settings: Settings) -> None:
    database = Database(settings)
    schema = None if database.is_sqlite else "dbos"
    columns = {column["name"] for column in inspect_tables(database.engine).get_columns("workflow_status", schema)}
    assert columns >= {"workflow_uuid", "queue_name", "status", "priority", "authenticated_user"}
    entries = Entries(database.engine, dispatch.QUEUE)
    with database.engine.connect() as connection:
        assert not entries.is_any_waiting(connection)
    with database.write() as session:
        assert entries.lowest_priority(session) == 0
        for priority in (7, 5, 9):
            queue.enqueue(session, "local", (new_id("est"), 1), priority)
        assert entries.lowest_priority(session) == 5
    with database.engine.connect() as connection:
        assert entries.is_any_waiting(connection)
        if database.is_sqlite:
            plan = str(connection.execute(text(f"EXPLAIN QUERY PLAN {entries._lowest}"), {"queue": "estimates"}).all())
            assert "idx_workflow_status_in_flight" in plan, "the lowest number is read from an index"
    database.close()


@pytest.fixture
def consumer(settings: Settings, queue: dispatch.Queue) -> Iterator[Callable[[int], subprocess.Popen[str]]]:
    """Starts a process that takes attempts and holds them."""
    running = []

    def start(slots: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", CONSUMER, new_id("wrk"), str(slots)]
        environment = {**settings.environment(), "PATH": "/usr/bin", "OMP_NUM_THREADS": "1"}
        running.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


@pytest.mark.both_stores
def test_each_process_takes_as_much_as_it_has_room_for(
    settings: Settings, queue: dispatch.Queue, consumer: Callable[[int], subprocess.Popen[str]]
) -> None:
    """The row of the queue says 1 for all of them."""
    consumer(1), consumer(3)
    database = Database(settings)
    with database.write() as session:
        for _ in range(8):
            queue.enqueue(session, "local", (new_id("est"), 1), 1)
    table = "workflow_status" if database.is_sqlite else "dbos.workflow_status"
    query = f"SELECT count(*) FROM {table} WHERE status = 'PENDING' GROUP BY executor_id"
    deadline = time.monotonic() + 60
    while sorted(count for (count,) in rows(settings.url, query)) != [1, 3]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(1)  # time enough to take more
    assert sorted(count for (count,) in rows(settings.url, query)) == [1, 3]
    database.close()


def test_an_idle_process_sees_a_job_soon(
    settings: Settings, queue: dispatch.Queue, consumer: Callable[[int], subprocess.Popen[str]]
) -> None:
    process = consumer(4)
    database = Database(settings)
    waits = []
    for _ in range(4):
        time.sleep(1)
        with database.write() as session:
            queue.enqueue(session, "local", (new_id("est"), 1), 1)
        begun = time.monotonic()
        assert process.stdout
        assert process.stdout.readline().startswith("est_")
        waits.append(time.monotonic() - begun)
    database.close()
    assert min(waits[1:]) < 0.5, waits  # the first one waits until the process has started
