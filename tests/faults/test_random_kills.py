"""A queue of estimates while processes are killed and frozen at random moments; the seed of a failure is printed.

WDIST_KILL_SEED=7 WDIST_KILL_ROUNDS=100 pytest tests/faults/test_random_kills.py -m slow
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

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


def submit_surely(server: Server, path: str, key: str, **body: Any) -> str:
    """Submit until there is an answer; the Idempotency-Key makes one estimate, or one batch, of all tries."""
    deadline = time.monotonic() + 60
    while True:
        try:
            answer = httpx.post(f"{server.url}/v1/{path}", json=body, headers={"Idempotency-Key": key}, timeout=10)
            if answer.status_code in (200, 201, 202):
                return str(answer.json()["id"])
            assert answer.status_code == 503, answer.text
        except httpx.TransportError:
            pass  # nobody is there, or died while answering: it may have been accepted
        assert time.monotonic() < deadline, server.log_end()
        time.sleep(0.2)


def unfinished(server: Server) -> int:
    states = Counter(status for (status,) in server.rows("SELECT status FROM jobs"))
    return sum(count for status, count in states.items() if status not in TERMINAL)


def run(make: MakeServer, estimates: int, strikes: int) -> None:
    """Strike again and again, with so many estimates unfinished each time."""
    seed = int(os.environ.get("WDIST_KILL_SEED", random.SystemRandom().randrange(1 << 32)))
    sys.stdout.write(f"\nWDIST_KILL_SEED={seed}\n")
    dice = random.Random(seed)
    server = make(max_attempts="100", beat_seconds="0.5", lease_seconds="2")
    arrays = [normal(k, rows=120 + k) for k in range(6)]
    sets = [server.upload(array) for array in arrays]
    accepted: list[str] = []
    blows: list[str] = []
    for number in range(strikes):
        while (missing := estimates - unfinished(server)) > 0:
            key = f"{seed}-{len(accepted)}"
            options = {"critic": "groupsort", "steps": 60, "baseline_rows": 0, "seed": len(accepted)}
            if missing > len(arrays) and dice.random() < 0.5:  # some are trained together
                reference, *targets = dice.sample(sets, len(sets))
                batch = submit_surely(server, "batches", key, reference=reference, targets=targets, **options)
                rows = server.rows("SELECT id FROM estimates WHERE batch_id = :id", id=batch)
                assert len(rows) == len(targets)
                accepted += [row[0] for row in rows]
            else:
                source, target = dice.sample(sets, 2)
                accepted.append(submit_surely(server, "estimates", key, source=source, target=target, **options))
        time.sleep(dice.uniform(0.2, 4.0))
        blows.append(strike(server, dice))
        if number % 10 == 9:
            sys.stdout.write(f"{number + 1} blows, {len(accepted)} estimates, {unfinished(server)} unfinished\n")
            sys.stdout.flush()
    estimates = len(accepted)
    story = f"WDIST_KILL_SEED={seed}; {blows}"
    deadline = time.monotonic() + 60 + 5 * estimates
    while True:
        if (left := unfinished(server)) == 0:
            break
        assert time.monotonic() < deadline, f"{left} are stuck; {story}; {server.log_end()}"
        time.sleep(0.3)
    shared = server.rows("SELECT count(*) FROM jobs WHERE together > 1")[0][0]
    sys.stdout.write(f"{shared} of {estimates} were trained with others in the end\n")
    ended = {row[0]: row[1] for row in server.rows("SELECT id, status FROM jobs")}
    assert ended == dict.fromkeys(accepted, "succeeded"), story
    said = server.rows("SELECT job_id, data FROM events WHERE type = 'status'")
    events = [(e, (json.loads(d) if isinstance(d, str) else d)["status"]) for e, d in said]
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
