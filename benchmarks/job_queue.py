"""What does the queue cost? Runs real servers on this machine, which must be otherwise idle for meaningful figures.

    .venv/bin/python benchmarks/job_queue.py [--jobs 1000] [--only idle,overhead,drain,together,share,...]

- idle: the share of a core that a worker, its trainer and the API take while there is nothing to do (goal: 2 % for the
  worker).
- overhead: from the answer to POST /v1/estimates to the trainer's first step, server warm and idle (goal: 0.3 s).
- drain: tiny estimates (200 x 2, affine critic, 5 steps, no baseline), submitted as one batch, one worker with one slot
  and one thread (goal: 5 a second).
- together: the same, and GroupSort critics of 100 steps, each job alone against several in one turn of a trainer, in
  alternation.
- share: tiny estimates with two workers; how far the smaller share is from half (goal: 10 %).
- table: 100,000 finished estimates; a page of the list over HTTP, and the claim of a new one (goal: 20 ms).
- claims: jobs claimed in a second on PostgreSQL, by 1 to 40 worker processes whose jobs end at once (goal: 60 for 20).
- recovery: from SIGKILL to a trainer (goal: 3 s) or a worker (goal: 15 s) until the next attempt trains; a cancel
  of a running estimate (goal: 2 s).
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/service"), str(ROOT / "tests/faults")]
from postgres_process import postgres  # noqa: E402
from service_process import Server  # noqa: E402
from sqlalchemy import select, update  # noqa: E402

from wdist_service.queue.fairness import requeue_stranded  # noqa: E402

TINY = {"critic": "affine", "steps": 5, "baseline_rows": 0}
SMALL = {"critic": "groupsort", "steps": 100, "baseline_rows": 0}
NONE = float("nan")  # no goal
Row = tuple[str, float, str, float]  # what, how much, unit, goal


def two_sets(server: Server) -> tuple[str, str]:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 200, 2)).astype(np.float32)
    return server.upload(x), server.upload(y + 1)


def submit_all(server: Server, sets: tuple[str, str], count: int, options: dict[str, Any] = TINY) -> list[str]:
    """`count` estimates as batches of explicit pairs."""
    batches = []
    for begin in range(0, count, 1000):
        pairs = [
            {"custom_id": str(k), "source": sets[0], "target": sets[1]} for k in range(begin, min(count, begin + 1000))
        ]
        answer = server.client.post("/v1/batches", json={"pairs": pairs, **options}, timeout=120)
        assert answer.status_code in (201, 202), answer.text
        batches.append(answer.json()["id"])
    return batches


def wait_all(server: Server, count: int) -> None:
    query = "SELECT count(*) FROM jobs WHERE status = 'succeeded'"
    while server.rows(query)[0][0] < count:
        time.sleep(0.5)


def idle(folder: Path, _jobs: int) -> list[Row]:
    """Processor time in 30 s, on a server that has done one job."""
    with Server(folder / "data") as server:
        server.until_workers(1)
        server.until_done(server.submit(*two_sets(server), **TINY))
        time.sleep(10)  # until the next trainer is warm
        pids = {kind: server.pids(kind)[0] for kind in ("worker", "trainer", "api")}
        before = {kind: processor_seconds(pid) for kind, pid in pids.items()}
        time.sleep(30)
        shares = {kind: 100 * (processor_seconds(pid) - before[kind]) / 30 for kind, pid in pids.items()}
    goals = {"worker": 2.0}
    return [(f"idle {kind}: share of a core", share, "%", goals.get(kind, NONE)) for kind, share in shares.items()]


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def overhead(folder: Path, _jobs: int) -> list[Row]:
    waits = []
    with Server(folder / "data") as server:
        server.until_workers(1)
        sets = two_sets(server)
        server.until_done(server.submit(*sets, **TINY))
        for _ in range(10):
            time.sleep(0.5)
            begun = time.time()
            estimate = server.submit(*sets, critic="groupsort", steps=1_000_000)
            server.until_training(estimate)
            query = "SELECT min(created_at) FROM events WHERE type = 'progress' AND job_id = :id"
            waits.append(server.rows(query, id=estimate)[0][0] - begun)
            server.client.post(f"/v1/estimates/{estimate}/cancel")
            server.until_done(estimate)
            server.until_workers(1)
            time.sleep(5)  # until the next trainer is warm
    return [("submit to first step, warm (median of 10)", statistics.median(waits), "s", 0.3)]


def drain(folder: Path, jobs: int) -> list[Row]:
    submitted, seconds = drained(folder, jobs, TINY, together=16)
    return [
        (f"{jobs:,} tiny estimates submitted as a batch", submitted, "s", NONE),
        (f"{jobs:,} tiny estimates drained", jobs / seconds, "/s", -5.0),
    ]


def drained(folder: Path, jobs: int, options: dict[str, Any], together: int) -> tuple[float, float]:
    """Seconds to submit so many jobs to a new server, and to run them."""
    folder.mkdir(exist_ok=True)
    with Server(folder / "data", environment={"WDIST_SERVER_TOGETHER": str(together)}) as server:
        server.until_workers(1)
        sets = two_sets(server)
        server.until_done(server.submit(*sets, **options))
        begun = time.perf_counter()
        submit_all(server, sets, jobs, options)
        submitted = time.perf_counter()
        wait_all(server, jobs + 1)
        return submitted - begun, time.perf_counter() - submitted


def together(folder: Path, jobs: int) -> list[Row]:
    rows = []
    for name, options, count in (("tiny", TINY, jobs // 2), ("GroupSort", SMALL, jobs // 10)):
        rates: dict[int, list[float]] = {1: [], 16: []}
        for turn in range(4):  # alone, together, together, alone: what else runs on the machine hits both
            most = (1, 16, 16, 1)[turn]
            rates[most].append(count / drained(folder / f"{name}{turn}", count, options, most)[1])
        alone, several = (statistics.mean(rates[most]) for most in (1, 16))
        rows += [
            (f"{count} {name} estimates, each alone", alone, "/s", NONE),
            (f"{count} {name} estimates, up to 16 together", several, "/s", NONE),
            (f"{name}: together against alone", several / alone, "", NONE),
        ]
    return rows


def share(folder: Path, jobs: int) -> list[Row]:
    with Server(folder / "data", ["--workers", "2", "--slots", "1"]) as server:
        server.until_workers(2)
        sets = two_sets(server)
        begun = time.perf_counter()
        submit_all(server, sets, jobs)
        held_by: dict[str, str] = {}
        while server.rows("SELECT count(*) FROM jobs WHERE status = 'succeeded'")[0][0] < jobs:
            held_by |= dict(server.rows("SELECT id, worker_id FROM jobs WHERE worker_id IS NOT NULL"))
            time.sleep(0.05)
        seconds = time.perf_counter() - begun
    parts = sorted(Counter(held_by.values()).values())
    uneven = 100 * abs(parts[-1] - parts[0]) / sum(parts) if len(parts) == 2 else 100.0
    return [
        (f"two workers, {jobs:,} tiny estimates drained", jobs / seconds, "/s", NONE),
        (f"two workers: parts {parts}, away from even", uneven, "%", 10.0),
    ]


def table(folder: Path, _jobs: int) -> list[Row]:
    with Server(folder / "data", environment={"WDIST_SERVER_LEASE_SECONDS": "60"}) as server:
        server.until_workers(1)
        sets = two_sets(server)
        first = server.submit(*sets, **TINY)
        server.until_done(first)
        for name in ("jobs", "estimates"):
            columns = ", ".join(row[1] for row in server.rows(f"PRAGMA table_info({name})") if row[1] != "id")
            server.write(
                f"WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < 100000) "
                f"INSERT INTO {name} (id, {columns}) "
                f"SELECT 'est_00' || printf('%024d', k), {columns} FROM n, {name} WHERE id = :id",
                id=first,
            )
        pages, claims = [], []
        after = None
        for _ in range(50):
            begun = time.perf_counter()
            page = server.client.get("/v1/estimates", params={"limit": 100, **({"after": after} if after else {})})
            pages.append(time.perf_counter() - begun)
            after = page.json()["next"]
        server.stop()
        from wdist_service.database import Database
        from wdist_service.estimates.service import Estimates, Submission
        from wdist_service.ids import new_id
        from wdist_service.jobs import KINDS
        from wdist_service.keys.quotas import Quota
        from wdist_service.queue import dispatch
        from wdist_service.queue.attempts import Attempts
        from wdist_service.settings import Settings
        from wdist_service.storage.objects import open_storage

        settings = Settings(data=server.data)
        database, storage = Database(settings), open_storage(settings)
        queue = dispatch.Queue(database, KINDS)
        attempts = Attempts(database, queue, storage, new_id("wrk"))
        attempts.leases.declare("benchmark", 1, ["cpu"])
        for _ in range(50):
            estimate, _is_new = Estimates(database, queue, storage).submit(
                "local", Submission(*sets, options={}), Quota()
            )
            begun = time.perf_counter()
            assert attempts.claim(dispatch.Turn(estimate.id, 1), 1)
            claims.append(time.perf_counter() - begun)
        queue.close()
        database.close()
    return [
        ("100,000 estimates: page of 100 over HTTP (median)", 1000 * statistics.median(pages), "ms", 20.0),
        ("100,000 estimates: claim (median)", 1000 * statistics.median(claims), "ms", 20.0),
    ]


def claims(folder: Path, jobs: int) -> list[Row]:
    rows = []
    with postgres() as server:
        for workers in (1, 5, 20, 40):
            rate = claims_in_a_second(folder / str(workers), server.new_database(), workers, jobs)
            goal = -60.0 if workers == 20 else NONE
            rows.append((f"PostgreSQL, {workers} workers: jobs claimed and ended", rate, "/s", goal))
    return rows


def claims_in_a_second(folder: Path, url: str, workers: int, jobs: int) -> float:
    from test_turns import Crowd

    from wdist_service.estimates.service import Submission
    from wdist_service.settings import Settings
    from wdist_service.tables import Job, Status

    crowd = Crowd(Settings(data=folder, database_url=url, min_free_bytes=0), seed=0)
    with crowd.database.write() as session:
        given = [Submission(*crowd.sets["local"], options={}) for _ in range(jobs)]
        crowd.estimates.submit_all(session, "local", given)
        # Nobody may begin before all workers are there.
        session.execute(update(Job).values(status=Status.CANCELING))
    for number in range(workers):
        crowd.start_worker(f"host/{number}", slots=1, seconds=0.0)
    for worker in crowd.workers:
        assert worker.stdout
        worker.stdout.readline()
    crowd.database.engine.dispose()
    with crowd.database.write() as session:
        session.execute(update(Job).values(status=Status.QUEUED))
    requeue_stranded(crowd.database, crowd.queue)
    while crowd.unfinished():
        time.sleep(0.2)
    with crowd.database.read() as session:
        begun = sorted(session.execute(select(Job.started_at)).scalars())
    crowd.close()
    middle = begun[jobs // 10 : -jobs // 10 or None]  # without the start and the end, when some workers have nothing
    return (len(middle) - 1) / (middle[-1] - middle[0])


def recovery(folder: Path, _jobs: int) -> list[Row]:
    """Default settings, on one host: the killed worker is started again by `wdist serve`."""
    with Server(folder / "data", environment={"WDIST_SERVER_SPARE_TRAINER": "true"}) as server:
        sets = two_sets(server)
        estimate = server.submit(*sets, critic="groupsort", steps=1_000_000)
        server.until_training(estimate)
        time.sleep(40)  # until there is a spare trainer, on a busy machine too, and a checkpoint

        def until_attempt(number: int) -> float:
            begun = time.perf_counter()
            server.until_training(estimate, attempt=number)
            return time.perf_counter() - begun

        busiest = max(server.pids("trainer"), key=lambda pid: int(Path(f"/proc/{pid}/stat").read_text().split()[13]))
        os.kill(busiest, signal.SIGKILL)
        trainer = until_attempt(2)
        server.signal("worker")
        worker = until_attempt(3)
        begun = time.perf_counter()
        server.client.post(f"/v1/estimates/{estimate}/cancel")
        server.until_done(estimate)
        cancel = time.perf_counter() - begun
    return [
        ("trainer killed: the next attempt trains after", trainer, "s", 3.0),
        ("worker killed: the next attempt trains after", worker, "s", 15.0),
        ("cancel of a running estimate", cancel, "s", 2.0),
    ]


MEASUREMENTS: dict[str, Callable[[Path, int], list[Row]]] = {
    "idle": idle, "overhead": overhead, "drain": drain,
    "together": together, "share": share, "table": table, "claims": claims, "recovery": recovery,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--only", default=",".join(MEASUREMENTS))
    arguments = parser.parse_args()
    for name in arguments.only.split(","):
        with tempfile.TemporaryDirectory() as folder:
            for what, value, unit, goal in MEASUREMENTS[name](Path(folder), arguments.jobs):
                met = value >= -goal if goal < 0 else value <= goal
                verdict = "" if goal != goal else f"   goal {abs(goal):g} {unit}: {'reached' if met else 'NOT reached'}"
                print(f"{what:<58} {value:8.3f} {unit}{verdict}", flush=True)


if __name__ == "__main__":
    main()
