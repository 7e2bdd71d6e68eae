"""Updates of monitors whose processes are killed: each counts once, in its order, with the same figures."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import numpy as np
import pytest
from monitoring import accepted, batch, create, ended, monitor, send, state_of, succeeded, update
from service_process import Server, normal

WEEKS = 5


def without_seconds(figures: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in figures.items() if name != "seconds"}


@pytest.mark.slow
@pytest.mark.both_stores
def test_updates_survive_the_death_of_trainer_and_worker_bit_for_bit(own_server: Callable[..., Server]) -> None:
    server = own_server(beat_seconds="0.3", lease_seconds="1.5")
    reference = server.upload(normal(900, rows=600))
    sets = [server.upload(batch(1100 + t, shift=0.2 * t)) for t in range(WEEKS)]
    alone, killed = create(server, reference), create(server, reference)
    for t, each in enumerate(sets):
        succeeded(server, alone, accepted(send(server, alone, each, t)))
    sent = [accepted(send(server, killed, each, t)) for t, each in enumerate(sets)]
    generator = np.random.default_rng(5)
    deaths = 0
    while update(server, killed, sent[-1])["status"] not in ("succeeded", "failed"):
        running = [each for each in sent if update(server, killed, each)["status"] == "running"]
        if running and deaths < 4:
            time.sleep(float(generator.uniform(0, 0.6)))
            for pid in server.pids("worker" if deaths % 2 else "trainer"):
                os.kill(pid, signal.SIGKILL)
            deaths += 1
        time.sleep(0.3)
    assert deaths == 4
    for one, other in zip(
        server.client.get(f"/v1/monitors/{alone}/updates").json()["data"],
        server.client.get(f"/v1/monitors/{killed}/updates").json()["data"],
        strict=True,
    ):
        assert (one["status"], other["status"]) == ("succeeded", "succeeded"), other["error"]
        assert without_seconds(one["figures"]) == without_seconds(other["figures"])
    assert state_of(server, alone) == state_of(server, killed)
    attempts = [update(server, killed, each)["attempt"] for each in sent]
    assert sum(attempts) > WEEKS


@pytest.mark.slow
def test_an_update_that_is_canceled_while_it_runs_leaves_its_place(
    own_server: Callable[..., Server],
) -> None:
    server = own_server()
    made = create(server, server.upload(normal(900, rows=600)), steps=1_000_000, update_steps=1_000_000)
    sent = [accepted(send(server, made, batch(1200 + t), t)) for t in range(2)]
    deadline = time.monotonic() + 60
    while not update(server, made, sent[0])["progress"]:
        assert time.monotonic() < deadline, server.log_end()
        time.sleep(0.05)
    assert update(server, made, sent[1])["status"] == "queued"
    for each in sent:
        server.client.post(f"/v1/monitors/{made}/updates/{each}/cancel")
        assert ended(server, made, each)["status"] == "canceled"
    assert (monitor(server, made)["updates"], monitor(server, made)["waiting"]) == (0, 0)
    assert accepted(send(server, made, batch(1200), 0))
    assert server.client.delete(f"/v1/monitors/{made}").status_code == 204


@pytest.mark.slow
def test_an_update_that_kills_its_trainer_every_time_fails_and_the_next_goes_on(
    own_server: Callable[..., Server],
) -> None:
    server = own_server()
    made = create(server, server.upload(normal(900, rows=600)), update_steps=1_000_000)
    sent = [accepted(send(server, made, batch(1300 + t), t)) for t in range(3)]
    succeeded(server, made, sent[0])
    deadline = time.monotonic() + 180
    killed: set[int] = set()
    while (found := update(server, made, sent[1]))["status"] != "failed":
        assert time.monotonic() < deadline, f"{found}; log: {server.log_end()}"
        if found["progress"] and found["attempt"] not in killed:
            killed.add(found["attempt"])
            server.signal("trainer")
        time.sleep(0.05)
    assert found["error"]["type"] == "trainer_died"
    while update(server, made, sent[2])["status"] != "running":
        assert time.monotonic() < deadline, server.log_end()
        time.sleep(0.05)
    server.client.post(f"/v1/monitors/{made}/updates/{sent[2]}/cancel")
    assert ended(server, made, sent[2])["status"] == "canceled"
    assert monitor(server, made)["updates"] == 1
