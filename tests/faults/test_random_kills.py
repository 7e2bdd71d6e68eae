"""A queue of estimates while processes are killed and frozen at random moments; the seed of a failure is printed.

WDIST_KILL_SEED=7 WDIST_KILL_ROUNDS=100 pytest tests/faults/test_random_kills.py -m slow
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing

import httpx
import pytest
from service_process import TERMINAL, Server, normal

MakeServer = Callable[..., Server]


def strike(server: Server, dice: random.Random) -> str:
    """Hurt one process, or all of them; returns what was done."""
    blow = dice.choice(["kill api", "kill worker", "kill trainer", "freeze worker", "kill all"])
    if blow == "kill all":
        server.kill()
        server.start()
        return blow
    action, kind = blow.split()
    pids = server.pids(kind)
    if not pids:  # it is being started again already
        return f"no {kind}"
    if action == "kill":
        os.kill(pids[0], signal.SIGKILL)
    else:
        server.stop_process(pids[0])
        time.sleep(dice.uniform(0.1, 3.0))
        server.continue_process(pids[0])
    return blow


def tables(server: Server, query: str) -> list[tuple]:
    with closing(sqlite3.connect(f"file:{server.data / 'wdist.sqlite'}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def run(make: MakeServer, estimates: int, strikes: int) -> None:
    seed = int(os.environ.get("WDIST_KILL_SEED", random.SystemRandom().randrange(1 << 32)))
    dice = random.Random(seed)
    server = make(max_attempts="100", beat_seconds="0.5", lease_seconds="2")
    arrays = [normal(k, rows=120 + k) for k in range(6)]
    sets = [server.upload(array) for array in arrays]
    accepted = [
        server.submit(*dice.sample(sets, 2), critic="groupsort", steps=60, baseline_rows=0, seed=k)
        for k in range(estimates)
    ]
    blows = []
    for _ in range(strikes):
        time.sleep(dice.uniform(0.2, 4.0))
        blows.append(strike(server, dice))
    story = f"WDIST_KILL_SEED={seed}; {blows}"
    deadline = time.monotonic() + 60 + 5 * estimates
    while True:
        states = Counter(status for (status,) in tables(server, "SELECT status FROM estimates"))
        if sum(states[status] for status in TERMINAL) == estimates:
            break
        assert time.monotonic() < deadline, f"stuck: {states}; {story}; {server.log_end()}"
        time.sleep(0.3)
    ended = dict(tables(server, "SELECT id, status FROM estimates"))
    assert ended == dict.fromkeys(accepted, "succeeded"), story
    events = [
        (e, json.loads(d)["status"])
        for e, d in tables(server, "SELECT estimate_id, data FROM events WHERE type = 'status'")
    ]
    assert Counter(e for e, status in events if status == "succeeded") == Counter(accepted), story  # none twice
    for identifier, array in zip(sets, arrays, strict=True):
        content = httpx.get(f"{server.url}/v1/sample-sets/{identifier}/content", timeout=60).content
        sha256 = httpx.get(f"{server.url}/v1/sample-sets/{identifier}", timeout=60).json()["sha256"]
        assert hashlib.sha256(content).hexdigest() == sha256, story
        assert content.endswith(array.tobytes()), story


@pytest.mark.slow
def test_a_few_blows(own_server: MakeServer) -> None:
    run(own_server, estimates=10, strikes=3)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_many_blows(own_server: MakeServer) -> None:
    run(own_server, estimates=50, strikes=int(os.environ.get("WDIST_KILL_ROUNDS", "20")))
