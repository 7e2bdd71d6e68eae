"""A real server as the tests of the service use it: its processes, and its API in short."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import httpx
import numpy as np
from server_process import ServerProcess
from stores import rows, write

TERMINAL = {"succeeded", "failed", "canceled"}
_PROCESSES = {
    "api": "wdist_service.processes.api",
    "worker": "wdist_service worker",
    "trainer": "wdist_service.worker.trainer",
    "decoder": "wdist_service.decoding",
    "evaluator": "wdist_service.evaluations.child",
}


class Server(ServerProcess):
    """`wdist serve` with a client of its API."""

    client: httpx.Client

    def __init__(
        self, data: Path, arguments: Sequence[str] = (), environment: dict[str, str | None] | None = None
    ) -> None:
        # No spare unless a test asks for it: then "the trainer" is one process.
        super().__init__(data, arguments, {"WDIST_SERVER_SPARE_TRAINER": "false", **(environment or {})})
        self._extra: list[subprocess.Popen[bytes]] = []

    def start(self, seconds: float = 60.0) -> Self:
        super().start(seconds)
        self.client = httpx.Client(base_url=self.url, timeout=30)
        return self

    def stop(self, seconds: float = 60.0) -> int:
        self.client.close()
        return super().stop(seconds)

    def kill(self) -> None:
        if hasattr(self, "client"):
            self.client.close()
        for worker in self._extra:
            worker.kill()
            worker.wait()
        super().kill()

    def pids(self, process: str) -> list[int]:
        """Live processes of one kind under this server: "api", "worker", "trainer", "decoder" or "evaluator"."""
        assert self.process is not None
        parents = dict(_living())
        found, frontier = [], [self.process.pid]
        while frontier:
            parent = frontier.pop()
            children = [pid for pid, (ppid, _) in parents.items() if ppid == parent]
            found += children
            frontier += children
        return [pid for pid in found if _PROCESSES[process] in parents[pid][1]]

    def signal(self, process: str, number: int = signal.SIGKILL) -> int:
        """Send a signal to the one process of a kind; returns its id."""
        (pid,) = self.pids(process)
        os.kill(pid, number)
        return pid

    @property
    def database_url(self) -> str:
        return self._environment.get("WDIST_SERVER_DATABASE_URL") or f"sqlite:///{self.data / 'wdist.sqlite'}"

    def rows(self, query: str, **values: Any) -> list[Any]:
        """What the tables say; `query` names values as :name."""
        return rows(self.database_url, query, **values)

    def write(self, statement: str, **values: Any) -> None:
        """Change the tables behind the server's back."""
        write(self.database_url, statement, **values)

    def replica(self, data: Path, *arguments: str, **settings: str) -> Server:
        """Another server on the same database and storage, as on another host: with a data directory of its own."""
        given = {f"WDIST_SERVER_{name.upper()}": value for name, value in settings.items()}
        secret = {"WDIST_SERVER_SECRET_FILE": str(self.data / "secret")}
        return Server(data, arguments, {**self._environment, **secret, **given})

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which any `wdist` command speaks of this server."""
        return {**self._environment, "WDIST_SERVER_DATA": str(self.data)}

    def until_checkpoint(self, estimate_id: str, seconds: float = 60) -> None:
        """Wait until this host has copied a checkpoint of the estimate to the bucket."""
        from wdist_service.settings import Settings
        from wdist_service.storage.bucket import Bucket

        names = ("storage_url", "storage_endpoint", "storage_access_key", "storage_secret_key")
        bucket = Bucket(Settings(**{name: self._environment[f"WDIST_SERVER_{name.upper()}"] for name in names}))
        deadline = time.monotonic() + seconds
        while not list(bucket.list(f"checkpoints/{estimate_id}/")):
            assert time.monotonic() < deadline, self.log_end()
            time.sleep(0.1)

    def extra_worker(self, data: Path | None = None) -> subprocess.Popen[bytes]:
        """One more worker, as a person would start it: on this server's host, or with a data directory of its own."""
        command = [sys.executable, "-m", "wdist_service", "worker", "--data", str(data or self.data)]
        with self.log.open("ab") as log:
            worker = subprocess.Popen(command, stdout=log, stderr=log, env=self._environment)
        self._extra.append(worker)
        return worker

    def until_workers(self, count: int, seconds: float = 30) -> None:
        """Wait until that many workers are fresh."""
        deadline = time.monotonic() + seconds
        while (ready := self.client.get("/readyz").json())["workers"]["fresh"] != count:
            assert time.monotonic() < deadline, f"{ready}; log: {self.log_end()}"
            time.sleep(0.05)

    def stop_process(self, pid: int) -> None:
        """Freeze a process and its children, as a debugger or an overloaded machine does."""
        for number in [pid, *(child for child, (parent, _) in _living() if parent == pid)]:
            os.kill(number, signal.SIGSTOP)

    def continue_process(self, pid: int) -> None:
        for number in [pid, *(child for child, (parent, _) in _living() if parent == pid)]:
            os.kill(number, signal.SIGCONT)

    def upload(self, array: np.ndarray, **query: str) -> str:
        answer = self.client.post("/v1/sample-sets", params=query, content=npy(array))
        assert answer.status_code in (200, 201), answer.text
        return str(answer.json()["id"])

    def submit(self, source: str, target: str, **options: Any) -> str:
        answer = self.client.post("/v1/estimates", json={"source": source, "target": target, **options})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def get(self, estimate_id: str) -> dict[str, Any]:
        answer = self.client.get(f"/v1/estimates/{estimate_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def until(
        self, estimate_id: str, condition: Callable[[dict[str, Any]], Any], seconds: float = 90
    ) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while not condition(estimate := self.get(estimate_id)):
            assert time.monotonic() < deadline, f"{estimate} after {seconds} s; log: {self.log_end()}"
            time.sleep(0.05)
        return estimate

    def until_done(self, estimate_id: str, seconds: float = 90) -> dict[str, Any]:
        return self.until(estimate_id, lambda estimate: estimate["status"] in TERMINAL, seconds)

    def until_training(self, estimate_id: str, attempt: int = 1) -> dict[str, Any]:
        return self.until(
            estimate_id,
            lambda e: e["status"] == "running" and e["attempt"] >= attempt and e["progress"],
        )


def _living() -> list[tuple[int, tuple[int, str]]]:
    """(pid, (parent's pid, command)) of every process that is not a zombie."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if stat[0] != "Z":
                    found.append((int(entry.name), (int(stat[1]), command)))
    return found


def is_alive(pid: int) -> bool:
    return pid in dict(_living())


def npy(array: np.ndarray) -> bytes:
    """The bytes that numpy.save writes."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def normal(seed: int, rows: int = 300, columns: int = 3, shift: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(rows, columns)) + shift).astype(np.float32)
