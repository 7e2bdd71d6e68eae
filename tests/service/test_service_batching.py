"""Small estimates of a batch that one trainer takes at once: each has its own attempt, result, cancel and failure."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from service_process import Server, normal
from stores import Stores

MakeServer = Callable[..., Server]
OPTIONS = {"critic": "groupsort", "steps": 40, "baseline_rows": 0}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, stores: Stores) -> Iterator[Server]:
    """One slot, so that what waits together is taken together."""
    environment = {"WDIST_SERVER_MAX_ATTEMPTS": "2", **stores.environment()}
    with Server(tmp_path_factory.mktemp("batching") / "data", ["--slots", "1"], environment) as running:
        yield running


def submit(server: Server, targets: int, **options: Any) -> list[str]:
    """A batch of one source against so many targets, each pair split by itself; the ids of its estimates."""
    reference = server.upload(normal(0, rows=150))
    sets = [server.upload(normal(k, rows=150, shift=0.2 * k)) for k in range(1, targets + 1)]
    pairs = [{"source": reference, "target": target} for target in sets]
    answer = server.client.post("/v1/batches", json={"pairs": pairs, **OPTIONS, **options})
    assert answer.status_code in (201, 202), answer.text
    query = "SELECT id FROM estimates WHERE batch_id = :id ORDER BY position"
    return [row[0] for row in server.rows(query, id=answer.json()["id"])]


def together(server: Server, estimate: str) -> int | None:
    return server.rows("SELECT together FROM jobs WHERE id = :id", id=estimate)[0][0]


def told(estimate: dict[str, Any]) -> dict[str, Any]:
    assert estimate["status"] == "succeeded", estimate["error"]
    return {k: v for k, v in estimate["result"].items() if k != "seconds"}


def alone(server: Server, estimate: dict[str, Any]) -> dict[str, Any]:
    """The same estimate, submitted alone."""
    options = {name: value for name, value in estimate["options"].items() if value is not None}
    return server.until_done(server.submit(estimate["source"], estimate["target"], **options))


def test_results_are_those_of_estimates_alone(server: Server) -> None:
    estimates = [server.until_done(each) for each in submit(server, 5)]
    assert together(server, estimates[-1]["id"]) == 5
    assert [estimate["attempt"] for estimate in estimates] == [1] * 5
    for estimate in (estimates[0], estimates[-1]):
        single = alone(server, estimate)
        assert together(server, single["id"]) is None
        assert told(single) == told(estimate)
        critics = [server.client.get(f"/v1/estimates/{e['id']}/critic").content for e in (single, estimate)]
        assert critics[0] == critics[1]
    events = [server.rows("SELECT data FROM events WHERE job_id = :id", id=each["id"]) for each in estimates]
    assert all(sum("succeeded" in str(data) for (data,) in rows) == 1 for rows in events)


def test_one_finishes_and_the_others_go_on(server: Server) -> None:
    ids = submit(server, 4, steps=250)
    server.until_training(ids[2])
    assert together(server, ids[2]) == 4
    server.client.post(f"/v1/estimates/{ids[2]}/finish")
    early = server.until_done(ids[2])
    assert server.get(ids[0])["status"] == "running"
    assert 1 <= early["result"]["steps"] < 250
    done = [server.until_done(ids[k]) for k in (0, 1, 3)]
    assert [estimate["status"] for estimate in done] == ["succeeded"] * 3
    assert not any("ended early" in str(estimate["result"]["warnings"]) for estimate in done)
    plan = {"steps": early["result"]["steps"], "planned_steps": early["result"]["planned_steps"]}
    assert told(alone(server, early | {"options": early["options"] | plan})) == told(early)


def test_cancel_of_one_leaves_the_others_alone(server: Server) -> None:
    ids = submit(server, 4, steps=250)
    server.until_training(ids[2])
    assert together(server, ids[2]) == 4
    server.client.post(f"/v1/estimates/{ids[2]}/cancel")
    assert server.until_done(ids[2])["status"] == "canceled"
    assert server.get(ids[0])["status"] == "running"
    done = [server.until_done(ids[k]) for k in (0, 1, 3)]
    assert [(estimate["status"], estimate["attempt"]) for estimate in done] == [("succeeded", 1)] * 3


def test_failure_of_one_leaves_the_others_alone(server: Server) -> None:
    """The last set is further away than the diameter that the batch assumes: only the trainer sees that."""
    reference, near, far = (server.upload(normal(k, rows=150, shift=shift)) for k, shift in ((0, 0), (1, 0.2), (2, 99)))
    answer = server.client.post(
        "/v1/batches", json={"reference": reference, "targets": [near, far], "diameter": 12, **OPTIONS}
    )
    rows = server.rows("SELECT id FROM estimates WHERE batch_id = :id ORDER BY position", id=answer.json()["id"])
    done = [server.until_done(row[0]) for row in rows]
    assert [together(server, estimate["id"]) for estimate in done] == [2, 2]
    assert [(estimate["status"], estimate["attempt"]) for estimate in done] == [("succeeded", 1), ("failed", 1)]
    assert "diameter" in done[1]["error"]["message"]


@pytest.mark.slow
def test_one_that_kills_its_trainer_is_tried_alone_and_ends_at_the_cap(server: Server) -> None:
    ids = submit(server, 3, steps=300)
    poison = ids[0]
    for attempt in (1, 2, 3):  # with the others, and then alone, up to the cap of 2
        server.until_training(poison, attempt)
        assert together(server, poison) == (3 if attempt == 1 else None)
        (trainer,) = server.pids("trainer")
        os.kill(trainer, signal.SIGSEGV)
    done = [server.until_done(each) for each in ids]
    assert done[0]["status"] == "failed"
    assert "2 times" in done[0]["error"]["message"]
    assert [(estimate["status"], estimate["attempt"]) for estimate in done[1:]] == [("succeeded", 2)] * 2
    query = "SELECT failures FROM jobs WHERE id = :id"
    assert [server.rows(query, id=each)[0][0] for each in ids] == [2, 0, 0]


def test_a_killed_worker_loses_none_of_them(server: Server) -> None:
    ids = submit(server, 4, steps=150)
    server.until_training(ids[3])
    server.signal("worker")
    done = [server.until_done(each) for each in ids]
    assert [(estimate["status"], estimate["attempt"]) for estimate in done] == [("succeeded", 2)] * 4
    assert told(done[3]) == told(alone(server, done[3]))
    events = [server.rows("SELECT data FROM events WHERE job_id = :id", id=each) for each in ids]
    assert all(sum("succeeded" in str(data) for (data,) in rows) == 1 for rows in events)
