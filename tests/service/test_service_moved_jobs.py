"""Jobs of earlier revisions of the database, with their events and files, become rows of `jobs`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, MetaData, select, text
from stores import Stores

import wdist_service.migrations
from wdist_service.database import Database
from wdist_service.jobs import KINDS
from wdist_service.queue import dispatch
from wdist_service.queue.attempts import Attempts
from wdist_service.queue.owners import delete_ended
from wdist_service.settings import Settings
from wdist_service.storage.objects import open_storage
from wdist_service.tables import Artifact, Base, Estimate, Evaluation, Event, Job

REVISIONS = [f"{number:04d}" for number in range(1, 11)]
ESTIMATES: list[dict[str, Any]] = [
    {
        "id": f"est_{status}", "tenant_id": "local", "source_id": "ss_a", "target_id": "ss_b", "status": status,
        "options": {"critic": "affine"}, "priority": "low", "metadata": {"team": status}, "created_at": 10.5,
        "started_at": 11.0, "finished_at": None if status in ("queued", "running") else 15.0, "attempt": 3,
        "failures": 2, "worker_id": "wrk_1" if status == "running" else None, "progress": {"step": 7},
        "result": {"lower_bound": 0.25}, "curve": [{"step": 1}], "error": {"type": "x"}, "idempotency_key": status,
        "request_digest": "d" * 64, "batch_id": "batch_1", "custom_id": "mine", "position": 4, "cost_seconds": 2.5,
        "together": 2, "finish_asked_at": 12.5,
    }
    for status in ("queued", "running", "succeeded", "failed", "canceled")
]  # fmt: skip
EVALUATIONS: list[dict[str, Any]] = [
    {
        "id": f"ev_{number}", "tenant_id": "local", "estimate_id": "est_succeeded", "sample_set_id": "ss_a",
        "gradient": gradient, "status": status, "rows": 100, "done": 50, "bytes": 928, "created_at": 20.0 + number,
        "sha256": "e" * 64 if status == "succeeded" else None, "error": {"type": "y"} if status == "failed" else None,
        "finished_at": 30.0 if status in ("succeeded", "failed") else None, "held_until": 0.0,
    }
    for number, (status, gradient) in enumerate(
        [("failed", False), ("succeeded", False), ("succeeded", False), ("running", True), ("queued", True)]
    )
]  # fmt: skip


def fill(connection: Connection, revision: str) -> None:
    """What an installation at this revision could hold."""
    known = MetaData()
    known.reflect(connection)

    def insert(name: str, *rows: dict[str, Any]) -> None:
        table = known.tables[name]
        for row in rows:
            connection.execute(table.insert(), {key: value for key, value in row.items() if key in table.columns})

    insert("tenants", {"id": "local", "created_at": 1.0})
    insert("estimates", *ESTIMATES)
    for number, row in enumerate(ESTIMATES, 1):
        event = {"estimate_id": row["id"], "type": "status", "data": {"status": row["status"]}, "created_at": 12.0}
        insert("events", event | {"id": 10 * number})
    insert("artifacts", {"estimate_id": "est_succeeded", "name": "critic.json", "sha256": "c" * 64, "bytes": 77})
    if revision >= "0005":
        insert("evaluations", *EVALUATIONS)
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT setval('events_id_seq', 90)"))
    else:
        connection.execute(text("UPDATE sqlite_sequence SET seq = 90 WHERE name = 'events'"))


@pytest.fixture(params=REVISIONS)
def moved(request: pytest.FixtureRequest, tmp_path: Path, stores: Stores) -> Iterator[tuple[str, Database, Settings]]:
    settings = Settings(data=tmp_path, **stores.settings())
    database = Database(settings)
    config = Config()
    config.set_main_option("script_location", str(Path(wdist_service.migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    with database.engine.execution_options(begin="IMMEDIATE").begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, request.param)
        fill(connection, request.param)
    database.migrate()
    yield request.param, database, settings
    database.close()


def test_jobs_move_with_all_that_belongs_to_them(moved: tuple[str, Database, Settings]) -> None:
    revision, database, settings = moved
    nothing_is_lost(revision, database)
    if revision >= "0005":
        evaluations_are_jobs(database, settings)
    deleting_one_deletes_what_belongs_to_it(revision, database)


def nothing_is_lost(revision: str, database: Database) -> None:
    came_with = {"0002": {"batch_id", "custom_id", "position"}, "0003": {"cost_seconds"}, "0007": {"together"}}
    came_with |= {"0008": {"finish_asked_at"}}
    unknown = {name for since, names in came_with.items() if revision < since for name in names}
    with database.read() as session:
        for given in ESTIMATES:
            row = session.get_one(Estimate, given["id"])
            for name, value in given.items():
                found = getattr(row, "labels" if name == "metadata" else name)
                assert found == (None if name in unknown else value), (revision, name)
        events = session.execute(select(Event).order_by(Event.id)).scalars().all()
        assert [(e.id, e.job_id, e.data["status"]) for e in events] == [
            (10 * number, row["id"], row["status"]) for number, row in enumerate(ESTIMATES, 1)
        ]
        files = session.execute(select(Artifact.job_id, Artifact.name, Artifact.sha256, Artifact.bytes)).all()
    expected = {("est_succeeded", "critic.json", "c" * 64, 77)}
    if revision >= "0005":
        expected |= {(name, "values.npy", "e" * 64, 928) for name in ("ev_1", "ev_2")}
    assert {tuple(row) for row in files} == expected
    with database.write() as session:
        event = Event(job_id="est_failed", type="log", data={}, created_at=1.0)
        session.add(event)
        session.flush()
        assert event.id == 91, "an id that a listener has seen is not given again"
        session.delete(event)
        if not database.is_sqlite:
            return
        assert session.execute(text("PRAGMA foreign_key_check")).all() == []
        assert session.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
        left = {row[0] for row in session.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'"))}
        assert left - {"alembic_version", "sqlite_sequence"} == set(Base.metadata.tables)


def evaluations_are_jobs(database: Database, settings: Settings) -> None:
    dispatch.migrate(database)
    queue = dispatch.Queue(database, KINDS)
    worker = Attempts(database, queue, open_storage(settings), "wrk_2")
    worker.leases.declare("new", 1, ["cpu"])
    assert worker.take_over(60.0) == 2
    with database.read() as session:
        rows = {row.id: row for row in session.execute(select(Evaluation)).scalars()}
        states = {name: (row.status, row.attempt, row.worker_id) for name, row in rows.items()}
    queue.close()
    ended, waits = ("succeeded", 1, None), ("queued", 2, None)
    assert states == {"ev_0": ("failed", 1, None), "ev_1": ended, "ev_2": ended, "ev_3": waits, "ev_4": waits}
    for given in EVALUATIONS:
        row = rows[given["id"]]
        for name in ("tenant_id", "estimate_id", "sample_set_id", "gradient", "rows", "bytes", "created_at", "error"):
            assert getattr(row, name) == given[name], name
        assert row.finished_at == given["finished_at"]
    # Equal ones that two requests made at once: the first is found again.
    found = {name: row.identity for name, row in rows.items()}
    values, gradient = (f"est_succeeded:ss_a:{what}" for what in ("values", "gradient"))
    assert found == {"ev_0": None, "ev_1": values, "ev_2": None, "ev_3": gradient, "ev_4": None}


def deleting_one_deletes_what_belongs_to_it(revision: str, database: Database) -> None:
    names = [row["id"] for row in (EVALUATIONS if revision >= "0005" else [])]
    with database.write() as session:
        hashes = delete_ended(session, [*names, "est_succeeded"])
    assert set(hashes) == ({"c" * 64, "e" * 64} if names else {"c" * 64})
    with database.read() as session:
        assert set(session.execute(select(Job.id)).scalars()) == {
            row["id"] for row in ESTIMATES if row["id"] != "est_succeeded"
        }
        for table in (Estimate, Event):
            assert len(session.execute(select(table)).all()) == len(ESTIMATES) - 1
        assert session.execute(select(Evaluation)).all() == session.execute(select(Artifact)).all() == []
