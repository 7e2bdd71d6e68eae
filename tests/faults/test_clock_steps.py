"""The clock of the machine steps by an hour, both ways, while estimates run: living workers keep what they hold."""

from __future__ import annotations

import mmap
import os
import shutil
import signal
import struct
import subprocess
import time
from pathlib import Path

import pytest
from service_process import Server, normal

LONG = {"critic": "groupsort", "steps": 1_000_000}
SOURCE = Path(__file__).with_name("stepping_clock.c")
pytestmark = [pytest.mark.slow, pytest.mark.local_stores]  # there the database's clock is the machine's


class Clock:
    """The clock of the processes that are started with `environment`."""

    def __init__(self, folder: Path) -> None:
        if (compiler := shutil.which("cc")) is None:
            pytest.skip("no C compiler on this machine")
        library = folder / "stepping_clock.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"], check=True)
        self._file = folder / "clock"
        self._file.write_bytes(struct.pack("l", 0))
        self.environment: dict[str, str | None] = {
            "LD_PRELOAD": str(library), "WDIST_TEST_CLOCK": str(self._file),
        }  # fmt: skip

    def step(self, seconds: int) -> None:
        with self._file.open("r+b") as file, mmap.mmap(file.fileno(), 0) as page:
            page[:8] = struct.pack("l", struct.unpack("l", page[:8])[0] + seconds)


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
