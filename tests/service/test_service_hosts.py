"""Several hosts: API replicas and workers with data directories of their own share PostgreSQL and a bucket."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from service_process import Server, normal, npy

pytestmark = pytest.mark.shared_stores
MakeServer = Callable[..., Server]
LONG = {"critic": "groupsort", "steps": 1_000_000}


@pytest.fixture
def hosts(own_server: MakeServer, tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    """Two hosts, each with an API; only the second has a worker."""
    one = own_server("--workers", "0", lease_seconds="2", beat_seconds="0.4")
    with one.replica(tmp_path / "second", "--workers", "1", lease_seconds="2", beat_seconds="0.4") as other:
        one.until_workers(1)
        yield one, other


def test_what_one_host_takes_the_other_has(hosts: tuple[Server, Server]) -> None:
    one, other = hosts
    x, y = normal(1, rows=400), normal(2, rows=400, shift=1.0)
    estimate = one.submit(one.upload(x), other.upload(y), steps=30)
    with httpx.stream("GET", f"{one.url}/v1/estimates/{estimate}/events", timeout=60) as stream:
        lines = list(stream.iter_lines())
    assert "event: completed" in lines
    assert json.loads(lines[lines.index("event: completed") + 1].removeprefix("data: "))["status"] == "succeeded"
    for file in ("critic", "certificate"):
        answers = [httpx.get(f"{host.url}/v1/estimates/{estimate}/{file}") for host in hosts]
        assert answers[0].content == answers[1].content
        assert [answer.status_code for answer in answers] == [200, 200]
    values = [
        httpx.post(
            f"{host.url}/v1/estimates/{estimate}/evaluate",
            content=npy(x[:50]),
            headers={"Content-Type": "application/x-npy"},
            timeout=60,
        ).json()["values"]
        for host in hosts
    ]
    assert values[0] == values[1]
    assert len(values[0]) == 50
    assert one.client.get("/readyz").json()["storage_kind"] == "objects"
    held = {path.name for path in (other.data / "scratch").glob("*/*")}
    assert not held, "an ended job leaves nothing behind"


@pytest.mark.slow
def test_an_attempt_goes_on_from_the_checkpoint_of_another_host(hosts: tuple[Server, Server], tmp_path: Path) -> None:
    one, other = hosts
    sets = one.upload(normal(1)), one.upload(normal(2, shift=1.0))
    options = {
        "critic": "groupsort",
        "steps": 6000,
        "baseline_rows": 0,
    }  # far longer than from checkpoint to checkpoint
    estimate = one.submit(*sets, **options)
    other.until(estimate, lambda e: e["progress"] and e["progress"]["step"] > 300)
    other.until_checkpoint(estimate)
    other.kill()  # the whole host, and its files stay there
    third = one.extra_worker(tmp_path / "third")
    resumed = one.until_training(estimate, attempt=2)
    assert resumed["progress"]["step"] > 100, "attempt 2 began anew"
    done = one.until_done(estimate)
    assert done["status"] == "succeeded", done["error"]
    whole = one.until_done(one.submit(*sets, **options))
    assert {k: v for k, v in done["result"].items() if k != "seconds"} == {
        k: v for k, v in whole["result"].items() if k != "seconds"
    }
    third.send_signal(signal.SIGTERM)
    assert third.wait(30) == 0


@pytest.mark.slow
def test_a_worker_takes_no_more_than_its_slots(own_server: MakeServer, tmp_path: Path) -> None:
    """Sizes 1 and 3 on one queue: DBOS itself knows one number for all of them."""
    server = own_server("--workers", "1", "--slots", "1")
    server.until_workers(1)
    sets = server.upload(normal(1)), server.upload(normal(2))
    with server.replica(tmp_path / "big", "--workers", "1", "--slots", "3"):
        server.until_workers(2)
        estimates = [server.submit(*sets, **LONG) for _ in range(6)]
        query = "SELECT w.slots, count(*) FROM jobs e JOIN workers w ON w.id = e.worker_id GROUP BY w.id, w.slots"
        for _ in range(100):
            if sorted(held := server.rows(query)) == [(1, 1), (3, 3)]:
                break
            time.sleep(0.2)
        assert sorted(held) == [(1, 1), (3, 3)]
        time.sleep(1)  # time enough to take more
        query = "SELECT executor_id, count(*) FROM dbos.workflow_status WHERE status = 'PENDING' GROUP BY 1"
        assert sorted(count for _, count in server.rows(query)) == [1, 3]
        for estimate in reversed(estimates):
            server.client.post(f"/v1/estimates/{estimate}/cancel")
        assert {server.until_done(estimate)["status"] for estimate in estimates} == {"canceled"}


@pytest.mark.slow
def test_a_host_with_another_bucket_or_secret_is_refused(own_server: MakeServer, tmp_path: Path) -> None:
    server = own_server("--workers", "0")
    secret = tmp_path / "secret"
    secret.write_text("x" * 64)
    for given, what in (
        ({"storage_url": "s3://another/wdist"}, "bucket"),
        ({"storage_url": server.environment["WDIST_SERVER_STORAGE_URL"] + "/deeper"}, "not the one that belongs"),
        ({"secret_file": str(secret)}, "the secret of the key hashes is not the one"),
    ):
        stranger = server.replica(tmp_path / "stranger", "--workers", "0", **given)
        with pytest.raises(AssertionError, match=what):
            stranger.start(seconds=45)
    worker = subprocess.run(
        [sys.executable, "-m", "wdist_service", "worker", "--data", str(tmp_path / "files")],
        env={k: v for k, v in server.environment.items() if "STORAGE" not in k and k != "WDIST_SERVER_DATA"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert worker.returncode == 78
    assert "not the one that belongs" in worker.stderr
