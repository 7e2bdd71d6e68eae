"""The clock of the machine steps by an hour, both ways: living processes keep the jobs and uploads that they hold."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from errands_bench import Bells
from service_process import Server, normal, npy
from stepping_clock import Clock

LONG = {"critic": "groupsort", "steps": 1_000_000}
TUS = {"Tus-Resumable": "1.0.0"}
PATCH = {**TUS, "Content-Type": "application/offset+octet-stream"}
pytestmark = [pytest.mark.slow, pytest.mark.local_stores]  # there the database's clock is the machine's


def test_steps_of_an_hour(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    settings = {"WDIST_SERVER_LEASE_SECONDS": "2", "WDIST_SERVER_BEAT_SECONDS": "0.4"}
    with Server(tmp_path / "data", ["--workers", "2", "--slots", "1"], {**settings, **clock.environment}) as server:
        server.until_workers(2)
        sets = server.upload(normal(1)), server.upload(normal(2, shift=1.0))
        running = [server.submit(*sets, **LONG) for _ in range(2)]
        for estimate in running:
            server.until_training(estimate)
        for step in (3600, -7200):
            clock.step(step)
            now = server.rows("SELECT max(beat_at) FROM workers")[0][0]
            time.sleep(3)  # more than a lease
            moved = server.rows("SELECT max(beat_at) FROM workers")[0][0] - now
            assert abs(moved - step) < 60, "the processes live by the stepped clock"
            assert [(e["status"], e["attempt"]) for e in map(server.get, running)] == [("running", 1)] * 2
        # A worker that dies just before the clock is set back leaves a lease that seems fresh for an hour.
        pids = server.pids("worker")
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        clock.step(-3600)
        os.kill(pids[0], signal.SIGKILL)
        os.kill(pids[1], signal.SIGCONT)
        begun = time.monotonic()
        deadline = begun + 30
        while sorted(e["attempt"] for e in map(server.get, running)) != [1, 2]:
            assert time.monotonic() < deadline, [server.get(e) for e in running]
            time.sleep(0.2)
        for estimate in running:
            server.client.post(f"/v1/estimates/{estimate}/cancel")
        assert [server.until_done(estimate)["status"] for estimate in running] == ["canceled"] * 2


def test_steps_of_an_hour_while_errands_wait_for_their_next_try(tmp_path: Path, bells: Bells) -> None:
    """They come when they were meant to, and not more often."""
    clock = Clock(tmp_path)
    bells.environment |= {name: str(value) for name, value in clock.environment.items()}
    with bells.worker():
        job_id = bells.ring(fails=1_000, again_after=3.0)
        for step in (-3600, 7200, -3600):
            count = len(bells.times(job_id))
            bells.until(job_id, lambda job, count=count: job.attempt > count + 1)  # dated by the clock as it is now
            clock.step(step)
            time.sleep(12)
        times = bells.times(job_id)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert max(pauses) < 3 + 2, pauses  # a look, and a claim on a busy machine
    assert sorted(pauses)[1] > 2.5, pauses  # one at most comes early, when the clock is set forward
    assert sum(pauses) > 30


def test_steps_of_an_hour_while_an_upload_comes_in(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    settings = {"WDIST_SERVER_LEASE_SECONDS": "2", "WDIST_SERVER_BEAT_SECONDS": "0.4", **clock.environment}
    body = npy(normal(1, rows=2000))
    with Server(tmp_path / "data", ["--workers", "0"], settings) as server, another_api(server) as (holder, address):
        url = begin(server, len(body))
        with Slowly(address, url, body[:20_000]) as sending:
            until_locked(server, url)
            for step in (3600, -7200):
                clock.step(step)
                deadline = time.monotonic() + 4  # more than a lease
                while time.monotonic() < deadline:
                    assert patch(server, url, b"").status_code == 423, "its process lives"
                    time.sleep(0.2)
            assert sending.end() == 204
        assert server.client.head(url, headers=TUS).headers["upload-offset"] == "20000"
        # A process that dies just before the clock is set back leaves a lease that seems fresh for an hour.
        url = begin(server, len(body))
        with Slowly(address, url, body[:20_000]):
            until_locked(server, url)
            holder.send_signal(signal.SIGSTOP)
            clock.step(-3600)
            holder.kill()
        deadline = time.monotonic() + 30
        while (answer := patch(server, url, body)).status_code == 423:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert answer.status_code == 204


@contextmanager
def another_api(server: Server) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """One more API process on the same data, which nobody starts again; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-m", "wdist_service.processes.api", str(listener.fileno())],
            env=server.environment, pass_fds=[listener.fileno()],
        )  # fmt: skip
        try:
            httpx.get(f"http://{address}/livez", timeout=60)
            yield process, address
        finally:
            process.kill()
            process.wait()


def begin(server: Server, length: int) -> str:
    answer = server.client.post("/v1/uploads", headers={**TUS, "Upload-Length": str(length)})
    return str(answer.headers["location"])


def patch(server: Server, url: str, body: bytes) -> httpx.Response:
    return server.client.patch(url, content=body, headers={**PATCH, "Upload-Offset": "0"})


def until_locked(server: Server, url: str) -> None:
    time.sleep(1)  # an empty one, which changes nothing, has the lock for a moment: the slow request must come first
    deadline = time.monotonic() + 30
    while patch(server, url, b"").status_code != 423:
        assert time.monotonic() < deadline
        time.sleep(0.1)


class Slowly:
    """A PATCH request whose bytes come a few at a time, and the last one at `end`."""

    def __init__(self, address: str, url: str, body: bytes) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=60)
        self._body = body
        self._connection.putrequest("PATCH", urlsplit(url).path)
        for name, value in {**PATCH, "Upload-Offset": "0", "Content-Length": str(len(body))}.items():
            self._connection.putheader(name, value)
        self._connection.endheaders()
        self._connection.send(body[:1000])
        self._sent = 1000
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def _send(self) -> None:
        while not self._stopping.wait(0.2):
            with contextlib.suppress(OSError):  # the process was killed
                self._connection.send(self._body[self._sent : self._sent + 10])
            self._sent += 10

    def end(self) -> int:
        """Send the rest; the status of the answer."""
        self._stopping.set()
        self._thread.join()
        self._connection.send(self._body[self._sent :])
        return self._connection.getresponse().status

    def __enter__(self) -> Slowly:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._connection.close()
