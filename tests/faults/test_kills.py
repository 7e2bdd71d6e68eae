"""Kill -9 of each process: nothing that was accepted is lost."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from service_process import Server, is_alive, normal

MakeServer = Callable[..., Server]
LONG = {"critic": "groupsort", "steps": 1_000_000}


@pytest.fixture(scope="module")
def hurt_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server that several tests hurt in turn: each must leave it healthy."""
    server = Server(tmp_path_factory.mktemp("hurt") / "data").start()
    yield server
    server.kill()


@pytest.fixture
def busy_server(hurt_server: Server) -> tuple[Server, str, tuple[str, str]]:
    """A server with one estimate that trains until it is stopped."""
    sets = hurt_server.upload(normal(1)), hurt_server.upload(normal(2, shift=1.0))
    estimate = hurt_server.submit(*sets, **LONG)
    hurt_server.until_training(estimate)
    return hurt_server, estimate, sets


def cancel(server: Server, estimate: str) -> dict:
    server.client.post(f"/v1/estimates/{estimate}/cancel")
    return server.until_done(estimate)


def test_killed_trainer(busy_server: tuple[Server, str, tuple[str, str]]) -> None:
    server, estimate, _ = busy_server
    server.signal("trainer")
    again = server.until_training(estimate, attempt=2)
    assert again["attempt"] == 2
    assert cancel(server, estimate)["status"] == "canceled"


@pytest.mark.slow
def test_a_job_that_keeps_killing_its_trainer_fails_at_the_cap(own_server: MakeServer) -> None:
    server = own_server(max_attempts="2")
    estimate = server.submit(server.upload(normal(1)), server.upload(normal(2)), **LONG)
    for attempt in (1, 2):
        server.until_training(estimate, attempt)
        server.signal("trainer")
    done = server.until_done(estimate)
    assert done["status"] == "failed"
    assert done["error"]["type"] == "trainer_died"
    assert "2 times" in done["error"]["message"]


def test_killed_worker(busy_server: tuple[Server, str, tuple[str, str]]) -> None:
    server, estimate, sets = busy_server
    trainer = server.pids("trainer")[0]
    server.signal("worker")
    killed = time.monotonic()
    again = server.until_training(estimate, attempt=2)
    assert again["attempt"] == 2
    assert time.monotonic() - killed < 60  # the figure to reach is 15 s, on an idle machine
    assert not is_alive(trainer)
    assert cancel(server, estimate)["status"] == "canceled"
    assert server.until_done(server.submit(*sets, steps=5))["status"] == "succeeded"


def test_killed_api_keeps_the_address_and_the_job(busy_server: tuple[Server, str, tuple[str, str]]) -> None:
    server, estimate, _ = busy_server
    server.client.close()  # its connections end with the process that holds them
    assert gone([server.signal("api")])
    # The listening socket is the supervisor's: a connection made now waits for the next API process.
    assert httpx.get(f"{server.url}/livez", timeout=30).status_code == 200
    server.client = httpx.Client(base_url=server.url, timeout=30)
    assert server.get(estimate)["attempt"] == 1
    assert cancel(server, estimate)["status"] == "canceled"


@pytest.mark.slow
def test_everything_killed_at_once(own_server: MakeServer) -> None:
    server = own_server()
    sets = server.upload(normal(1)), server.upload(normal(2, shift=1.0))
    running = server.submit(*sets, **LONG)
    waiting = [server.submit(*sets, critic="affine", steps=5, seed=seed) for seed in range(3)]
    server.until_training(running)
    children = [pid for kind in ("api", "worker", "trainer") for pid in server.pids(kind)]
    server.kill()
    assert gone(children)
    server.start()
    assert {entry["id"] for entry in server.client.get("/v1/sample-sets").json()["data"]} == set(sets)
    assert server.until_training(running, attempt=2)["attempt"] == 2
    assert cancel(server, running)["status"] == "canceled"
    assert [server.until_done(estimate)["status"] for estimate in waiting] == ["succeeded"] * 3
    assert server.client.get(f"/v1/sample-sets/{sets[0]}/content").status_code == 200


def gone(pids: list[int], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(is_alive, pids))


def test_interrupted_estimate_ends_with_the_same_result(own_server: MakeServer) -> None:
    server = own_server()
    sets = server.upload(normal(1)), server.upload(normal(2, shift=1.0))
    # Long enough (some 4 s on one core) that the stop below meets it in training.
    options = {"critic": "groupsort", "steps": 2000, "baseline_rows": 0}
    whole = server.until_done(server.submit(*sets, **options))
    estimate = server.submit(*sets, **options)
    server.until(estimate, lambda e: e["progress"] and e["progress"]["step"] > 50)
    assert server.stop() == 0
    server.start()
    resumed = server.until_done(estimate)
    assert resumed["status"] == "succeeded", resumed["error"]
    assert resumed["attempt"] == 2
    curves = [server.client.get(f"/v1/estimates/{e}/curve").json()["data"] for e in (whole["id"], estimate)]
    # Bitwise the same, as both ran with one thread; only the clock may differ.
    assert [(p["step"], p["value"]) for p in curves[0]] == [(p["step"], p["value"]) for p in curves[1]]
    timed = {"seconds"}
    assert {k: v for k, v in resumed["result"].items() if k not in timed} == {
        k: v for k, v in whole["result"].items() if k not in timed
    }
    assert not list((server.data / "checkpoints").iterdir())


@pytest.mark.slow
def test_frozen_worker_loses_its_lease_and_cannot_write_late(own_server: MakeServer) -> None:
    server = own_server(beat_seconds="0.3", lease_seconds="1.5")
    sets = server.upload(normal(1)), server.upload(normal(2))
    estimate = server.submit(*sets, **LONG)
    server.until_training(estimate)
    (first,) = server.pids("worker")
    second = server.extra_worker()
    server.until_workers(2)
    freeze_outside_transactions(server, first)
    again = server.until_training(estimate, attempt=2)
    assert again["attempt"] == 2
    assert cancel(server, estimate)["status"] == "canceled"
    server.continue_process(first)
    # The first worker wakes up with attempt 1 in its hands: it must give up, and then be of use again.
    server.until_workers(2)
    second.terminate()
    second.wait(30)
    done = server.until_done(server.submit(*sets, steps=5))
    assert done["status"] == "succeeded"
    assert server.get(estimate)["status"] == "canceled"
    query = "SELECT data FROM events WHERE job_id = :id AND type = 'status'"
    assert sum("canceled" in str(data) for (data,) in server.rows(query, id=estimate)) == 1


def freeze_outside_transactions(server: Server, pid: int) -> None:
    """Freeze a process at a moment when it does not hold SQLite's write lock, which would keep all others waiting."""
    for _ in range(20):
        server.stop_process(pid)
        connection = sqlite3.connect(server.data / "wdist.sqlite", timeout=1, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
            return
        except sqlite3.OperationalError:
            server.continue_process(pid)
        finally:
            connection.close()
    pytest.fail("the process holds the write lock all the time")


@pytest.mark.parametrize("kind", ["worker", pytest.param("api", marks=pytest.mark.slow)])
def test_a_frozen_process_of_the_server_is_ended_and_replaced(own_server: MakeServer, kind: str) -> None:
    """Wherever it froze: inside a transaction it would hold SQLite's write lock for ever."""
    server = own_server(frozen_seconds="2", beat_seconds="0.3", lease_seconds="60")
    sets = server.upload(normal(1)), server.upload(normal(2))
    estimate = server.submit(*sets, **LONG)
    server.until_training(estimate)
    (frozen,) = server.pids(kind)
    server.client.close()
    server.stop_process(frozen)
    # The kernel kills a worker's trainers with it, stopped or not.
    assert gone([frozen], seconds=30)
    server.client = httpx.Client(base_url=server.url, timeout=30)
    assert server.until_training(estimate, attempt=2 if kind == "worker" else 1)["status"] == "running"
    assert cancel(server, estimate)["status"] == "canceled"
    assert "has not moved for 2 s" in server.log_end(100_000)


@pytest.mark.local_stores
def test_orphans_of_a_crash_are_swept(own_server: MakeServer) -> None:
    server = own_server("--workers", "0", maintenance_seconds="0.2")
    kept = server.upload(normal(1))
    server.kill()
    (server.data / "incoming" / "incoming-abc").write_bytes(b"half an upload")
    orphan = server.data / "blobs" / "ab" / ("ab" + "0" * 62)
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"no row names it")
    server.start()
    deadline = time.monotonic() + 30
    while orphan.exists() or list((server.data / "incoming").iterdir()):
        assert time.monotonic() < deadline, server.log_end()
        time.sleep(0.1)
    assert [path.name for path in (server.data / "quarantine").glob("*/*")] == [orphan.name]
    assert server.client.get(f"/v1/sample-sets/{kept}/content").status_code == 200


def test_two_servers_do_not_share_a_data_directory(own_server: MakeServer) -> None:
    server = own_server("--workers", "0")
    second = Server(server.data)
    with pytest.raises(AssertionError, match=r"exit code 69"):
        second.start()
    assert "another wdist server runs" in server.log_end()
    assert server.client.get("/livez").status_code == 200
