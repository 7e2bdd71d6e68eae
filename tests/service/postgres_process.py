"""A PostgreSQL server of its own for a test session, where this machine has the programs of one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def programs() -> Path | None:
    """The directory with initdb and pg_ctl: on the path, or where Debian keeps it."""
    found = shutil.which("initdb")
    if found and (Path(found).resolve().parent / "pg_ctl").exists():
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return versions[-1].parent if versions else None


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of an empty server, which is removed at the end; PostgreSQL does not run as root, so then as nobody."""
    directory = programs()
    assert directory is not None
    as_nobody = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="wdist-postgres-") as folder:
        if as_nobody:
            shutil.chown(folder, "nobody")

        def run(program: str, *arguments: str) -> None:
            command = [*as_nobody, str(directory / program), "-D", f"{folder}/data", *arguments]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")

        run("initdb", "-A", "trust", "-U", "wdist")
        run("pg_ctl", "-w", "-l", f"{folder}/log", "-o", f"-p {port} -k {folder} -h 127.0.0.1", "start")
        try:
            yield f"postgresql://wdist@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
