"""Connections, transactions, the database's clock, and migrations; the same on SQLite and PostgreSQL."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, Float, create_engine, event, literal_column, select, text
from sqlalchemy.exc import ArgumentError, DatabaseError
from sqlalchemy.orm import Session

from wdist_service.settings import Settings, SettingsError

HEAD = "0018"  # newest revision in migrations/versions; a test compares
log = logging.getLogger("wdist.database")
_MIGRATION_LOCK = 0x7764697374  # "wdist", the advisory lock on PostgreSQL
_PAUSES = (0.0, 0.02, 0.05, 0.1, 0.2)  # seconds before each new try of a transaction that lost a race, at most
_RACES = frozenset({"40001", "40P01", "23505"})  # PostgreSQL: serialisation failure, deadlock, unique violation
_RACES_SQLITE = frozenset({sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY})
Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


def retried_after_races(write: Callable[Arguments, Answer]) -> Callable[Arguments, Answer]:
    """Decorate a function that is one transaction: it runs again if another transaction was faster.

    Two transactions that look for a row, miss it and insert it collide on its unique constraint. The one that runs
    again finds the row of the other. The function must leave nothing outside the database when it fails.
    """

    @functools.wraps(write)
    def repeated(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        for pause in _PAUSES:
            try:
                return write(*args, **kwargs)
            except DatabaseError as error:
                if not is_race(error):
                    raise
            time.sleep(pause * random.random())
        return write(*args, **kwargs)

    return repeated


def is_race(error: DatabaseError) -> bool:
    """Whether the transaction failed because of another one at the same time, so that a new try may succeed."""
    return (
        getattr(error.orig, "sqlstate", None) in _RACES
        or getattr(error.orig, "sqlite_errorcode", None) in _RACES_SQLITE
    )


class Database:
    """One pool of connections.

    `write()` transactions begin IMMEDIATE on SQLite: a transaction that read first and then failed to take the write
    lock cannot be retried by the busy timeout.
    """

    def __init__(self, settings: Settings) -> None:
        self.is_sqlite = settings.url.startswith("sqlite")
        self.url = settings.url
        # Whoever waits for SQLite's lock sleeps for up to 100 ms while newcomers overtake: with 4 threads posting, the
        # slowest of 100 requests took 0.8 s. So the threads of a process queue here.
        self._write_lock = threading.Lock() if self.is_sqlite else contextlib.nullcontext()
        try:
            self.engine = _sqlite_engine(settings.url) if self.is_sqlite else _server_engine(settings.url)
        except (ArgumentError, ImportError, ValueError):  # without what it says, which may show the password
            raise SettingsError(
                "WDIST_SERVER_DATABASE_URL cannot be read: give postgresql://USER:PASSWORD@HOST:PORT/DATABASE or "
                "sqlite:///FILE"
            ) from None

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one state of the database and changes nothing."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that commits at the end of the block, or not at all."""
        engine = self.engine.execution_options(begin="IMMEDIATE")
        with self._write_lock, Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    def now(self, session: Session) -> float:
        """Seconds since the epoch on the database's clock: the one clock that all workers share."""
        return clock_of(session)

    def hold(self, session: Session, *hashes: str) -> None:
        """Until the transaction ends, nobody else places or discards this content. Later reads see its rows."""
        if not self.is_sqlite:  # on SQLite, the transaction's write lock does it
            for number in sorted(int(sha256[:15], 16) for sha256 in hashes):
                session.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})

    def migrate(self) -> None:
        """Bring the tables to HEAD; safe when several processes start at once."""
        if self.is_current:
            return  # Alembic takes 0.5 s to import
        from wdist_service import migrations

        with self.engine.execution_options(begin="IMMEDIATE").begin() as connection:
            if not self.is_sqlite:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            migrations.upgrade(connection)

    @property
    def is_current(self) -> bool:
        """Whether the tables are those of this version."""
        return self.revision() == HEAD

    def engine_for_queue(self) -> Engine:
        """A second pool of connections, for DBOS, which begins its transactions in its own way."""
        return _sqlite_engine_for_queue(self.url) if self.is_sqlite else _server_engine(self.url, idle=1)

    def revision(self) -> str | None:
        """The revision of the tables; None if there are none."""
        try:
            with self.engine.connect() as connection:
                return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
        except DatabaseError:
            return None  # no such table: a new database

    def close(self) -> None:
        self.engine.dispose()


_CLOCKS = {  # the time at which a statement begins: the same in all of it, so that an index finds what is due by then
    "sqlite": "(julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "extract(epoch from statement_timestamp())::float8",
}


def clock_in(session: Session) -> ColumnElement[float]:
    """The database's clock, as a part of a statement."""
    return literal_column(_CLOCKS[session.get_bind().dialect.name], Float)


def clock_of(session: Session) -> float:
    """As `Database.now`, for those who have the session alone."""
    return session.execute(select(clock_in(session))).scalar_one()


# hide_parameters, everywhere: errors are logged, and values may be a tenant's data or what secrets are made of.
def _sqlite_engine(url: str) -> Engine:
    # isolation_level None: the driver begins no transactions by itself; `_begin` below does.
    engine = create_engine(
        url, connect_args={"timeout": 30, "isolation_level": None, "check_same_thread": False},
        hide_parameters=True, pool_size=8, max_overflow=56, pool_timeout=30, json_deserializer=read_json,
    )  # fmt: skip

    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "connect", _read_any_text)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get("begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


def _sqlite_engine_for_queue(url: str) -> Engine:
    # DBOS keeps SQLite's defaults of journal_mode and synchronous, and lets the driver begin IMMEDIATE before a change.
    engine = create_engine(
        url, connect_args={"timeout": 30, "isolation_level": "IMMEDIATE", "check_same_thread": False},
        hide_parameters=True, pool_size=5, max_overflow=20, pool_timeout=30,
    )  # fmt: skip
    event.listen(engine, "connect", _set_pragmas)
    return engine


def _set_pragmas(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA busy_timeout=30000")
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")  # an accepted job survives a power cut
    connection.execute("PRAGMA foreign_keys=ON")


def _read_any_text(connection: Any, _record: Any) -> None:
    """Read bytes that are no UTF-8 with replacements: the driver would refuse every row of the query."""
    connection.text_factory = lambda data: data.decode(errors="replace")


def _server_engine(url: str, idle: int = 3) -> Engine:
    """`idle`: connections that stay open while nobody uses them; PostgreSQL allows 100 for all processes by default."""
    if url.startswith("postgresql://"):
        url = "postgresql+psycopg://" + url.removeprefix("postgresql://")
    # A process that is frozen inside a transaction must not keep row locks that others need to take over its work.
    options = "-c idle_in_transaction_session_timeout=30000"
    engine = create_engine(
        url, pool_size=idle, max_overflow=32 - idle, pool_pre_ping=True, json_deserializer=read_json,
        connect_args={"options": options}, hide_parameters=True,
    )  # fmt: skip
    event.listen(engine, "connect", _check_encoding, insert=True)  # before SQLAlchemy reads text, which may be bytes
    return engine


def _check_encoding(connection: Any, _record: Any) -> None:
    """Refuse a database that cannot keep all names: SQL_ASCII, the default where a cluster has no locale, or LATIN1."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        name = connection.info.dbname
        raise SettingsError(
            f"the database {name!r} keeps text as {encoding}, and names may have any character: give one that was made "
            f"with CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0"
        )


def read_json(stored: str) -> Any:
    """What a JSON column holds; None, and an error in the log, if that is no JSON: one damaged row blocks no list."""
    try:
        return json.loads(stored)
    except ValueError as error:
        log.error("a stored value is not JSON: %s", error)
        return None


def wait_for(database: Database, seconds: float) -> None:
    """Return once the database answers; raise its error after `seconds`, and at once if it is a file."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with database.read() as session:
                database.now(session)
            return
        except DatabaseError:
            if database.is_sqlite or time.monotonic() > deadline:  # a file does not come to life
                raise
            time.sleep(0.2)


def file_of(settings: Settings) -> Path | None:
    """The SQLite file, if it is one."""
    return Path(settings.url.removeprefix("sqlite:///")) if settings.url.startswith("sqlite:///") else None
