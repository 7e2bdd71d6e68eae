"""Where the servers of the tests keep their state: SQLite and files, or PostgreSQL and an S3-compatible store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, NullPool, create_engine, text

from wdist_service.storage.files import Storage

LOCAL, SHARED = "sqlite+files", "postgresql+s3"


@dataclass(frozen=True)
class Stores:
    """One kind of stores; `settings` makes new, empty ones."""

    kind: str
    settings: Callable[[], dict[str, str]]

    @property
    def are_shared(self) -> bool:
        return self.kind == SHARED

    def environment(self) -> dict[str, str | None]:
        """Variables of a server with stores of its own."""
        return {f"WDIST_SERVER_{name.upper()}": value for name, value in self.settings().items()}


def add(storage: Storage, content: bytes) -> str:
    """Store content as a request does; returns its sha256."""
    with storage.incoming() as file:
        file.write(content)
        file.seal()
        storage.send(file)
        storage.place(file)
        return file.sha256


def rows(url: str, query: str, **values: Any) -> list[Any]:
    """What the tables say, read as they are, beside the servers that use them."""
    with _engine(url).connect() as connection:
        return list(connection.execute(text(query), values))


def write(url: str, statement: str, **values: Any) -> None:
    """Change the tables behind the servers' backs."""
    with _engine(url).begin() as connection:
        assert connection.execute(text(statement), values).rowcount != 0


def _engine(url: str) -> Engine:
    return create_engine(url.replace("postgresql://", "postgresql+psycopg://"), poolclass=NullPool)
