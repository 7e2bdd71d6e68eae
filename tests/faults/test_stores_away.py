"""The database is stopped, the disk is full, the object storage is away: work waits and nothing is lost or doubled."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from postgres_process import PostgresServer, postgres
from service_process import Server, normal, npy

pytestmark = pytest.mark.slow
MakeServer = Callable[..., Server]
QUICK = {"critic": "groupsort", "steps": 200, "baseline_rows": 0}


def events(server: Server, estimate: str, status: str) -> int:
    query = "SELECT data FROM events WHERE job_id = :id AND type = 'status'"
    return sum(f'"{status}"' in str(data).replace("'", '"') for (data,) in server.rows(query, id=estimate))


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    with postgres() as running:
        yield running


@pytest.mark.shared_stores
@pytest.mark.parametrize("seconds", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_a_stopped_database_stops_nothing_for_ever(
    own_server: MakeServer, own_postgres: PostgresServer, seconds: float
) -> None:
    """Away for twice the lease: nobody could beat, so nobody is declared dead."""
    server = own_server(
        database_url=own_postgres.new_database(), lease_seconds=f"{seconds / 2:g}", beat_seconds=f"{seconds / 8:g}"
    )
    sets = server.upload(normal(1)), server.upload(normal(2, shift=1.0))
    estimates = [server.submit(*sets, **QUICK | {"steps": 1500}), *(server.submit(*sets, **QUICK) for _ in range(3))]
    server.until_training(estimates[0])
    (trainer,) = server.pids("trainer")
    own_postgres.stop()
    stopped = time.monotonic()
    answer = server.client.get(f"/v1/estimates/{estimates[0]}")
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    assert server.client.get("/readyz").status_code == 503
    assert server.client.get("/livez").status_code == 200
    time.sleep(max(0.0, seconds - (time.monotonic() - stopped)))
    own_postgres.start()
    done = [server.until_done(estimate, seconds=180) for estimate in estimates]
    assert [estimate["status"] for estimate in done] == ["succeeded"] * 4
    assert done[0]["attempt"] == 1, "the trainer went on while the database was away"
    assert server.pids("trainer") == [trainer]
    assert [events(server, estimate, "succeeded") for estimate in estimates] == [1] * 4


@pytest.mark.shared_stores
def test_object_storage_away(own_server: MakeServer) -> None:
    """A worker whose bucket does not answer keeps the result and stores it later."""
    from s3_process import s3

    with s3() as objects:
        settings = objects.settings()
        server = own_server(**settings)
        sets = server.upload(normal(1)), server.upload(normal(2, shift=1.0))
        estimate = server.submit(*sets, **QUICK | {"steps": 1000})
        server.until_training(estimate)
        objects.freeze()
        try:
            time.sleep(5)
            assert server.client.get("/readyz").json()["storage"] == "the object storage does not answer"
            assert server.get(estimate)["status"] == "running"
        finally:
            objects.wake()
        done = server.until_done(estimate, seconds=180)
        assert (done["status"], done["attempt"]) == ("succeeded", 1), done["error"]
        server.kill()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)], check=False)
    if done.returncode:
        pytest.skip("no right to mount a file system on this machine")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path, leave: int) -> Path:
    """Take all but `leave` bytes of a file system."""
    filler = folder / "filler"
    with filler.open("wb") as file:
        try:
            while True:
                file.write(bytes(1 << 16))
                file.flush()
        except OSError:
            pass
    size = filler.stat().st_size - leave
    with filler.open("r+b") as file:
        file.truncate(max(0, size))
    return filler


@pytest.mark.local_stores
def test_a_full_disk_loses_nothing_that_was_accepted(small_disk: Path) -> None:
    settings: dict[str, str | None] = {"WDIST_SERVER_MIN_FREE_BYTES": "0"}
    with Server(small_disk / "data", environment=settings) as server:
        kept = normal(1, rows=400)
        sets = server.upload(kept), server.upload(normal(2, rows=400, shift=1.0))
        estimate = server.submit(*sets, **QUICK | {"steps": 1500})
        server.until_training(estimate)
        filler = fill(small_disk, leave=0)
        refused = server.client.post("/v1/sample-sets", content=npy(normal(3, rows=200_000)))
        assert refused.status_code == 507, refused.text
        assert refused.json()["type"].endswith("storage_full")
        assert not list((server.data / "incoming").iterdir())
        time.sleep(2)
        filler.unlink()
        done = server.until_done(estimate)
        # Either it waited for room, or it says that there was none.
        assert done["status"] == "succeeded" or done["error"]["type"] == "storage_full", done["error"]
        content = server.client.get(f"/v1/sample-sets/{sets[0]}/content").content
        assert content.endswith(kept.tobytes())
        assert len(server.client.get("/v1/sample-sets").json()["data"]) == 2
        again = server.until_done(server.submit(*sets, **QUICK))
        assert again["status"] == "succeeded"
        assert np.isfinite(again["result"]["value"])


@pytest.mark.slow
@pytest.mark.local_stores
def test_a_disk_that_is_full_for_a_while_does_not_end_what_trains(small_disk: Path) -> None:
    settings: dict[str, str | None] = {"WDIST_SERVER_MIN_FREE_BYTES": "0"}
    with Server(small_disk / "data", environment=settings) as server:
        sets = server.upload(normal(1, rows=400)), server.upload(normal(2, rows=400, shift=1.0))
        estimate = server.submit(*sets, critic="groupsort", max_seconds=600, baseline_rows=0)
        server.until_training(estimate)
        filler = fill(small_disk, leave=0)
        time.sleep(12)  # checkpoints are due every 5 s
        filler.unlink()
        server.until(estimate, lambda row: server.client.post(f"/v1/estimates/{estimate}/finish").status_code < 300)
        done = server.until_done(estimate)
        assert (done["status"], done["attempt"]) == ("succeeded", 1), done["error"]
