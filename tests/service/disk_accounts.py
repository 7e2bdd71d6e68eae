"""Compares what lies in a server's data directories and bucket with what its database names."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from service_process import Server
from sqlalchemy import NullPool, create_engine, inspect

# What an installation has whatever it stores: its database, identity, secret and locks.
_OWN = {"identity", "secret", "serve.lock", "wdist.sqlite", "wdist.sqlite-wal", "wdist.sqlite-shm", "probe"}
_ENDED = ("succeeded", "failed", "canceled")


def until_clean(server: Server, hosts: Sequence[Path] = (), seconds: float = 90.0) -> None:
    """Wait until nothing lies in the server's data directory, those of other hosts and the bucket that no row names.

    A bucket is swept every 60 intervals of maintenance: each half minute, where these take half a second.
    Fails at once if something is missing that a row names, and names what is left over in the end.
    """
    deadline = time.monotonic() + seconds
    while True:
        left, missing = accounts(server, hosts)
        assert not missing, f"rows name content that is gone: {missing}; log: {server.log_end()}"
        if not left:
            return
        assert time.monotonic() < deadline, f"nothing names {sorted(left)}; log: {server.log_end()}"
        time.sleep(0.2)


def accounts(server: Server, hosts: Sequence[Path] = ()) -> tuple[list[str], list[str]]:
    """Files and objects that no row names, and content that a row names but nobody holds.

    The files of running processes (what is being received, a job's scratch folder) count as left over, so ask when
    nothing is under way.
    """
    stored = [(str(server.data), path) for path in _files(server.data)]
    stored += [(str(host), path) for host in hosts for path in _files(host)]
    stored += [("bucket", path) for path in _objects(server)]
    # The rows come last: content is written before its row, and removed after it.
    named, active = _named(server), _active(server)
    left = [f"{place}/{path}" for place, path in stored if not _is_accounted_for(path, named, active)]
    kept = {Path(path).name for _, path in stored if path.startswith("blobs/")}
    return left, sorted(named - kept)


def _is_accounted_for(path: str, named: set[str], active: set[str]) -> bool:
    folder, _, rest = path.partition("/")
    if folder in {"blobs", "cache"}:
        return rest.rpartition("/")[2] in named
    if folder == "checkpoints":
        return rest.partition("/")[0] in active
    if folder == "workers":
        return rest == "id" or rest.endswith(".lock")
    return path in _OWN


def _files(data: Path) -> list[str]:
    """All files, and folders without any in scratch and checkpoints, by their names in the data directory."""
    found = []
    for folder, folders, files in os.walk(data):  # passes over folders that go away meanwhile, as rglob does not
        paths = [path for name in files if (path := Path(folder) / name).is_file()]
        paths += [Path(folder) / name for name in folders if Path(folder).name == "checkpoints"]
        found += [str(path.relative_to(data)) for path in paths]
    return found


def _objects(server: Server) -> list[str]:
    from wdist_service.settings import Settings
    from wdist_service.storage.bucket import Bucket

    given = {name.removeprefix("WDIST_SERVER_").lower(): value for name, value in server.environment.items()}
    if "storage_url" not in given:
        return []
    names = ("storage_url", "storage_endpoint", "storage_access_key", "storage_secret_key")
    return [key for key, _ in Bucket(Settings(**{name: given[name] for name in names})).list("")]


def _named(server: Server) -> set[str]:
    """Every sha256 in a column of that name, whatever the table."""
    engine = create_engine(server.database_url.replace("postgresql://", "postgresql+psycopg://"), poolclass=NullPool)
    tables = inspect(engine)
    found: set[str] = set()
    for table in tables.get_table_names():
        if "sha256" in {column["name"] for column in tables.get_columns(table)}:
            found |= {row[0] for row in server.rows(f"SELECT sha256 FROM {table} WHERE sha256 IS NOT NULL")}
    return found


def _active(server: Server) -> set[str]:
    return {identifier for identifier, status in server.rows("SELECT id, status FROM jobs") if status not in _ENDED}
