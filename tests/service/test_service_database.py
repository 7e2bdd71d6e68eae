"""Migrations and the queue's tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

import wdist_service.migrations
from wdist_service import database as database_module
from wdist_service.database import Database
from wdist_service.models import Base
from wdist_service.settings import Settings


def ours(_object: object, name: str | None, kind: str, _reflected: bool, _compare: object) -> bool:
    return kind != "table" or name in Base.metadata.tables


def test_migrations_make_exactly_the_tables_of_the_models(tmp_path: Path) -> None:
    database = Database(Settings(data=tmp_path))
    database.migrate()
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": ours})
        assert compare_metadata(context, Base.metadata) == []
    database.close()


def test_head_is_the_newest_migration() -> None:
    script = ScriptDirectory(str(Path(wdist_service.migrations.__file__).parent))
    assert script.get_heads() == [database_module.HEAD]


def test_several_processes_may_migrate_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from wdist_service import engine; "
        "from wdist_service.database import Database; from wdist_service.settings import Settings; "
        "d = Database(Settings(data=Path(sys.argv[1]))); d.migrate(); engine.migrate(d)"
    )
    racing = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]  # fmt: skip
    ends = [(process.wait(60), process.communicate()[1]) for process in racing]
    assert [code for code, _ in ends] == [0] * 4, ends


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
    for condition in ("", " AND status IN ('failed')"):
        query = f"SELECT * FROM estimates WHERE tenant_id = 'local'{condition} ORDER BY id DESC LIMIT 21"
        with database.engine.connect() as connection:
            plan = str(connection.execute(text(f"EXPLAIN QUERY PLAN {query}")).all())
        assert "USING INDEX" in plan
        assert "TEMP B-TREE" not in plan  # sorting 100,000 rows took 500 ms
    database.close()
