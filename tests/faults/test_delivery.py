"""Deliveries that come twice, workers that claim at once, trainers that are frozen and write late."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from service_process import Server, is_alive, normal

pytestmark = pytest.mark.slow
MakeServer = Callable[..., Server]
LONG = {"critic": "groupsort", "steps": 1_000_000}
TINY = {"critic": "affine", "steps": 5, "baseline_rows": 0}


def begun_and_ended(server: Server) -> tuple[Counter[str], Counter[str]]:
    """How often each estimate began to run, and how often it succeeded, by the events."""
    rows = server.rows("SELECT job_id, data FROM events WHERE type = 'status'")
    said = [(estimate, (json.loads(data) if isinstance(data, str) else data)["status"]) for estimate, data in rows]
    counts = [Counter(estimate for estimate, status in said if status == wanted) for wanted in ("running", "succeeded")]
    return counts[0], counts[1]


def test_two_workers_share_a_queue_and_a_second_delivery_does_nothing(own_server: MakeServer, tmp_path: Path) -> None:
    server = own_server("--workers", "2", "--slots", "1")
    server.until_workers(2)
    sets = server.upload(normal(1)), server.upload(normal(2, shift=1.0))
    tiny = [server.submit(*sets, **TINY, seed=seed) for seed in range(20)]
    for estimate in tiny:
        assert server.until_done(estimate)["status"] == "succeeded"
    running, succeeded = begun_and_ended(server)
    assert running == succeeded == Counter(tiny), "each once"
    # Delivered again while it runs, and again when it has ended: the queue forgets that it was taken.
    held = server.submit(*sets, **LONG)
    server.until_training(held)
    table = "dbos.workflow_status" if "postgresql" in server.database_url else "workflow_status"
    again = f"UPDATE {table} SET status = 'ENQUEUED', executor_id = NULL WHERE workflow_uuid = :id"
    taken = f"SELECT status FROM {table} WHERE workflow_uuid = :id"
    for identifier in (f"{held}:1", f"{tiny[0]}:1"):
        server.write(again, id=identifier)
        deadline = time.monotonic() + 20
        while server.rows(taken, id=identifier)[0][0] == "ENQUEUED":
            assert time.monotonic() < deadline
            time.sleep(0.05)
    time.sleep(1)
    running, succeeded = begun_and_ended(server)
    assert running == Counter([*tiny, held])
    assert succeeded == Counter(tiny)
    step = server.get(held)["progress"]["step"]
    server.until(held, lambda e: e["progress"]["step"] > step)
    assert server.get(held)["attempt"] == 1
    server.client.post(f"/v1/estimates/{held}/cancel")
    assert server.until_done(held)["status"] == "canceled"


def test_a_frozen_trainer_is_ended_and_what_it_writes_late_counts_for_nothing(own_server: MakeServer) -> None:
    server = own_server("--slots", "1", frozen_seconds="3")
    sets = server.upload(normal(1)), server.upload(normal(2, shift=1.0))
    estimate = server.submit(*sets, **LONG)
    server.until_training(estimate)
    (zombie,) = server.pids("trainer")
    os.kill(zombie, signal.SIGSTOP)
    again = server.until_training(estimate, attempt=2)
    assert again["attempt"] == 2
    assert not is_alive(zombie), "SIGKILL ends a stopped process too"
    events = server.rows("SELECT data FROM events WHERE job_id = :id AND type = 'log'", id=estimate)
    assert any("frozen" in str(data) for (data,) in events)
    (heir,) = server.pids("trainer")
    os.kill(heir, signal.SIGSTOP)  # and a cancel does not wait for a frozen one for ever
    server.client.post(f"/v1/estimates/{estimate}/cancel")
    assert server.until_done(estimate, seconds=30)["status"] == "canceled"
    tiny = server.submit(*sets, **TINY)
    assert server.until_done(tiny)["status"] == "succeeded"
