"""Migrations and the queue's tables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from postgres_process import PostgresServer
from sqlalchemy import text
from stores import Stores

import wdist_service.migrations
from wdist_service import database as database_module
from wdist_service import tenancy
from wdist_service.database import Database
from wdist_service.settings import Settings
from wdist_service.tables import Base, Estimate


def ours(_object: object, name: str | None, kind: str, _reflected: bool, _compare: object) -> bool:
    return kind != "table" or name in Base.metadata.tables


@pytest.mark.both_stores
def test_migrations_make_exactly_the_tables_of_the_models(tmp_path: Path, stores: Stores) -> None:
    database = Database(Settings(data=tmp_path, **stores.settings()))
    database.migrate()
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": ours})
        assert compare_metadata(context, Base.metadata) == []
    database.close()


def test_head_is_the_newest_migration() -> None:
    script = ScriptDirectory(str(Path(wdist_service.migrations.__file__).parent))
    assert script.get_heads() == [database_module.HEAD]


@pytest.mark.both_stores
def test_several_processes_may_start_at_once_on_an_empty_database(tmp_path: Path, stores: Stores) -> None:
    """All that an API process does before it answers: migrations, tenant, first key, marks on storage and secret."""
    (tmp_path / "key").write_text("wd_" + "k" * 40)
    settings = stores.settings() | {
        "bootstrap_key_file": str(tmp_path / "key"), "data": str(tmp_path / "data"),
    }  # fmt: skip
    code = (
        "import json, sys; from wdist_service.app import build_services; "
        "from wdist_service.settings import Settings; build_services(Settings(**json.loads(sys.argv[1])))"
    )
    (tmp_path / "data").mkdir()
    racing = [
        subprocess.Popen([sys.executable, "-c", code, json.dumps(settings)], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    ends = [(process.wait(60), process.communicate()[1]) for process in racing]
    assert [code for code, _ in ends] == [0] * 3, ends


def test_sqlite_is_durable_and_concurrent(tmp_path: Path) -> None:
    database = Database(Settings(data=tmp_path))
    for engine in (database.engine, database.engine_for_queue()):
        with engine.connect() as connection:
            assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
            assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 2  # FULL
            assert connection.execute(text("PRAGMA busy_timeout")).scalar_one() == 30000
        engine.dispose()


def test_pages_of_a_list_are_read_in_the_order_of_an_index(tmp_path: Path) -> None:
    database = Database(Settings(data=tmp_path))
    database.migrate()
    estimates = tenancy.owned(Estimate, "local").order_by(Estimate.id.desc()).limit(21)
    for query in (estimates, estimates.where(Estimate.status.in_(["failed"]))):
        with database.engine.connect() as connection:
            sql = query.compile(connection, compile_kwargs={"literal_binds": True})
            plan = str(connection.execute(text(f"EXPLAIN QUERY PLAN {sql}")).all())
        assert "jobs USING INDEX ix_jobs_list" in plan
        assert "TEMP B-TREE" not in plan  # sorting 100,000 rows took 500 ms
    database.close()


@pytest.mark.shared_stores
@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
@pytest.mark.parametrize("process", [["serve", "--port", "0"], ["worker"]], ids=lambda each: each[0])
def test_a_database_that_cannot_keep_all_names_is_refused(
    tmp_path: Path, postgres_server: PostgresServer, encoding: str, process: list[str]
) -> None:
    url = postgres_server.new_database(encoding)
    done = subprocess.run(
        [sys.executable, "-m", "wdist_service", *process, "--data", str(tmp_path)],
        env={**os.environ, "WDIST_SERVER_DATABASE_URL": url}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 78, done.stderr
    assert f"keeps text as {encoding}" in done.stderr
    assert "ENCODING 'UTF8'" in done.stderr
    assert "Traceback" not in done.stderr
