"""A real `wdist serve` as a child process, for the tests of the service, the client and the command line."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self


class ServerProcess:
    """`wdist serve` on a free port of 127.0.0.1 with its own data directory; used in `with`, it leaves nothing behind.

    Args:
        data: the data directory; a second server on it continues where the first one ended.
        arguments: more arguments of the command.
        environment: more variables of its environment; None removes one. Trainers get one thread unless told
            otherwise: on two cores that others use too, two threads that wait for each other are many times slower.
        command: the `wdist` to start; default: the one of this interpreter's environment.
    """

    def __init__(
        self,
        data: Path,
        arguments: Sequence[str] = (),
        environment: dict[str, str | None] | None = None,
        port: int | None = None,
        command: Path | None = None,
    ) -> None:
        self.data = data
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = data.parent / f"{data.name}.log"
        self._command = command or Path(sys.executable).with_name("wdist")
        self._arguments = list(arguments)
        given = {**os.environ, "WDIST_SERVER_THREADS": "1", **(environment or {})}
        self._environment = {name: value for name, value in given.items() if value is not None}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, seconds: float = 60.0) -> Self:
        """Returns once /readyz says 200; fails with the end of the log where it does not."""
        command = [str(self._command), "serve", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--data", str(self.data), *self._arguments]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self._environment,
                cwd=self.data.parent,  # not the checkout: what is found there would hide what is installed
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        deadline = time.monotonic() + seconds
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                code = self.process.poll()
                self.kill()
                raise AssertionError(f"wdist serve is not ready (exit code {code}):\n{self.log_end()}")
            time.sleep(0.05)
        return self

    def age_results(self, *estimates: str) -> None:
        """Make stored results look as 0.1 left them: without the version of the statistics. For SQLite."""
        with contextlib.closing(sqlite3.connect(self.data / "wdist.sqlite", timeout=30)) as database, database:
            for name in estimates:
                (stored,) = database.execute("SELECT result FROM estimates WHERE id = ?", (name,)).fetchone()
                result = json.loads(stored)
                del result["method_version"]
                database.execute("UPDATE estimates SET result = ? WHERE id = ?", (json.dumps(result), name))

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def log_end(self, characters: int = 4000) -> str:
        return self.log.read_text(errors="replace")[-characters:]

    def stop(self, seconds: float = 20.0) -> int:
        """Asks it to end (SIGTERM) and returns its exit code."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(seconds)
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL to the server and all its children, as a power cut would."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()
        else:
            self.kill()


def _end_with_parent() -> None:
    """In the child: SIGTERM when the test process dies, even by SIGKILL (Linux prctl PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def paths_below(folder: Path) -> list[Path]:
    """All that lies below a folder that a server writes in; `rglob` fails where a folder goes away meanwhile."""
    return [Path(at) / name for at, folders, files in os.walk(folder) for name in [*folders, *files]]


def files_below(folder: Path) -> list[Path]:
    return [path for path in paths_below(folder) if path.is_file()]


def modes_below(folder: Path) -> dict[Path, int]:
    """The permissions of the folder and of all below it that is still there when it is asked for."""
    modes = {}
    for path in [folder, *paths_below(folder)]:
        with contextlib.suppress(FileNotFoundError):
            modes[path] = stat.S_IMODE(path.stat().st_mode)
    return modes


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
