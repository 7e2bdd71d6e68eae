"""How much load does the HTTP API handle? Each figure comes from its own real server, over loopback.

    .venv/bin/python benchmarks/api.py [--only NAME ...] [--gigabytes 1]

- upload      rate of one upload against copying the same file with sha256 and fsync (goal: 80 %)
- memory      largest resident set of the API while 4 uploads stream at once (goal: 150 MB)
- training    GET /v1/estimates/{id} while a job occupies all cores (goal: p99 100 ms), without and with 100 listeners
              to its events; how long after the first listener the others receive an event
- submit      POST /v1/estimates, SQLite with synchronous=FULL, 4 connections (goals: 80/s, p99 150 ms)
- lists       pages, label filters, searches and submissions beside 20,000 queued and 100,000 finished estimates and
              5,000 sets (goals: page of 100 p99 60 ms, label p50 30 ms, submit p99 25 ms)
- monitors    pages of 1,000 monitors with 52 updates of 20 columns each, and /metrics (goal: p99 50 ms)
- batch       1,000 pairs in one request (goal: 5 s)
- hostile     10,000 hostile requests and 500 malformed files (goals: no 500, nothing stored, memory 150 MB)
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "service")]
from service_process import Server, normal  # noqa: E402
from test_service_formats import HOSTILE, LIMITS  # noqa: E402
from test_service_hostile import hostile_request, malformed, stored  # noqa: E402

from wdist_service.estimates.labels import digest_of  # noqa: E402

BLOCK = 1 << 20
QUEUED, FINISHED, SETS = 20_000, 100_000, 5_000
MONITORS, WEEKS = 1_000, 52
NAME = "spring"


def make_file(path: Path, gigabytes: float, seed: int = 0) -> Path:
    """An .npy file of float32 noise, 64 columns."""
    rows = int(gigabytes * 1e9) // 256
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, 64))
    generator = np.random.default_rng(seed)
    for start in range(0, rows, 1 << 16):
        array[start : start + (1 << 16)] = generator.random((min(1 << 16, rows - start), 64), dtype=np.float32)
    array.flush()
    return path


def blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block


def copy(source: Path, target: Path) -> float:
    """Seconds of copying with sha256 and fsync, one thread."""
    started = time.perf_counter()
    digest = hashlib.sha256()
    with target.open("wb") as file:
        for block in blocks(source):
            digest.update(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    seconds = time.perf_counter() - started
    target.unlink()
    return seconds


def post_file(server: Server, path: Path) -> httpx.Response:
    headers = {"Content-Length": str(path.stat().st_size)}
    return httpx.post(f"{server.url}/v1/sample-sets", content=blocks(path), headers=headers, timeout=600)


def resident(server: Server, name: str = "VmRSS") -> float:
    """Megabytes of the API process."""
    (pid,) = server.pids("api")
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"no {name}")


def processor_seconds(server: Server) -> float:
    """Used by the API process so far."""
    (pid,) = server.pids("api")
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def upload(folder: Path, gigabytes: float) -> list[str]:
    """Copies and uploads take turns, so that other work on the machine slows both alike; medians of 7 ratios."""
    file = make_file(folder / "one.npy", gigabytes)
    copy(file, folder / "copy")  # the page cache is warm for both
    copies, uploads, processor = [], [], []
    with Server(folder / "data", ["--workers", "0"]) as server:
        for _ in range(7):
            copies.append(copy(file, folder / "copy"))
            started, used = time.perf_counter(), processor_seconds(server)
            answer = post_file(server, file)
            uploads.append(time.perf_counter() - started)
            processor.append((processor_seconds(server) - used) / gigabytes)
            assert answer.status_code == 201, answer.text
            server.client.delete(f"/v1/sample-sets/{answer.json()['id']}")
    rates = [gigabytes * 1000 / statistics.median(seconds) for seconds in (uploads, copies)]
    ratios = sorted(one / other for one, other in zip(copies, uploads, strict=True))
    return [
        f"{rates[0]:.0f} MB/s, copying {rates[1]:.0f} MB/s; rate over rate {statistics.median(ratios):.0%} (goal 80 %, "
        f"median of 7), {ratios[0]:.0%} to {ratios[-1]:.0%}; API {statistics.median(processor):.2f} processor s per GB"
    ]


def memory(folder: Path, gigabytes: float) -> list[str]:
    files = [make_file(folder / f"{k}.npy", gigabytes, seed=k) for k in range(4)]
    with Server(folder / "data", ["--workers", "0"]) as server:
        before = resident(server)
        started = time.perf_counter()
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda file: post_file(server, file), files))
        seconds = time.perf_counter() - started
        assert [answer.status_code for answer in answers] == [201] * 4, [answer.text for answer in answers]
        peak = resident(server, "VmHWM")
    return [f"{peak:.0f} MB at most, {before:.0f} MB before (goal 150 MB); {4 * gigabytes:g} GB in {seconds:.1f} s"]


def quantile(seconds: list[float], share: float) -> float:
    """Milliseconds."""
    return 1000 * sorted(seconds)[min(len(seconds) - 1, int(share * len(seconds)))]


def timed(call: Callable[[], httpx.Response], count: int, expected: set[int]) -> list[float]:
    seconds = []
    for _ in range(count):
        started = time.perf_counter()
        answer = call()
        seconds.append(time.perf_counter() - started)
        assert answer.status_code in expected, answer.text
    return seconds


async def listen(server: Server, estimate: str, count: int, until: asyncio.Event) -> list[dict[str, float]]:
    """The time at which each of `count` listeners received each event, by the event's id."""
    heard: list[dict[str, float]] = [{} for _ in range(count)]

    async def follow(client: httpx.AsyncClient, mine: dict[str, float]) -> None:
        async with client.stream("GET", f"/v1/estimates/{estimate}/events") as answer:
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    mine.setdefault(line, time.perf_counter())

    limits = httpx.Limits(max_connections=count)
    async with httpx.AsyncClient(base_url=server.url, timeout=120, limits=limits) as client:
        tasks = [asyncio.create_task(follow(client, mine)) for mine in heard]
        await until.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return heard


def with_listeners(
    server: Server, estimate: str, count: int, work: Callable[[], list[float]]
) -> tuple[str, list[float]]:
    """The result of `work` with `count` listeners, and how long after the first the others received each event."""

    async def both() -> tuple[list[dict[str, float]], list[float]]:
        done = asyncio.Event()
        listening = asyncio.create_task(listen(server, estimate, count, done))
        await asyncio.sleep(5)
        seconds = await asyncio.to_thread(work)
        done.set()
        return await listening, seconds

    heard, seconds = asyncio.run(both())
    # The first five seconds are past events, which each connection reads at its own time.
    common = [key for key in heard[0] if all(key in mine for mine in heard)]
    start = min(mine[key] for mine in heard for key in common) + 5
    delays = []
    for key in common:
        times = sorted(mine[key] for mine in heard)
        if times[0] > start:
            delays += [late - times[0] for late in times[1:]]
    said = f"{len(delays) // (count - 1)} events heard by all {count} listeners, the last of them p99 "
    return said + f"{quantile(delays, 0.99):.0f} ms after the first", seconds


def training(folder: Path, _: float) -> list[str]:
    environment: dict[str, str | None] = {"WDIST_SERVER_THREADS": str(os.cpu_count() or 2)}
    with Server(folder / "data", environment=environment) as server:
        source = server.upload(normal(1, rows=20_000, columns=200))
        target = server.upload(normal(2, rows=20_000, columns=200, shift=0.1))
        estimate = server.submit(source, target, critic="groupsort", steps=100_000, baseline_rows=0)
        server.until_training(estimate)

        def ask() -> list[float]:
            return timed(lambda: server.client.get(f"/v1/estimates/{estimate}"), 1000, {200})

        alone = ask()
        said, among = with_listeners(server, estimate, 100, ask)
        assert server.get(estimate)["status"] == "running"
        server.client.post(f"/v1/estimates/{estimate}/cancel")
        server.until_done(estimate)
    return [
        f"{name}p50 {quantile(seconds, 0.5):.1f} ms, p99 {quantile(seconds, 0.99):.1f} ms of 1,000 (goal 100 ms)"
        for name, seconds in (("", alone), ("with 100 listeners ", among))
    ] + [said]


def pair(server: Server) -> dict[str, str]:
    return {"source": server.upload(normal(1)), "target": server.upload(normal(2))}


def submit(folder: Path, _: float) -> list[str]:
    with Server(folder / "data", ["--workers", "0"]) as server:
        body = pair(server)
        clients = [httpx.Client(base_url=server.url, timeout=60) for _ in range(4)]
        timed(lambda: server.client.post("/v1/estimates", json=body), 20, {202})
        started = time.perf_counter()
        with ThreadPoolExecutor(4) as pool:
            parts = pool.map(
                lambda client: timed(lambda: client.post("/v1/estimates", json=body), 250, {202}), clients
            )  # fmt: skip
            seconds = [one for part in parts for one in part]
        rate = len(seconds) / (time.perf_counter() - started)
        for client in clients:
            client.close()
    return [f"{rate:.0f}/s, p99 {quantile(seconds, 0.99):.0f} ms of 1,000 on 4 connections (goals 80/s, 150 ms)"]


def fill(server: Server, estimate: str, sample_set: str) -> None:
    """Copy a finished estimate 100,000 times, every hundredth with a label, and a sample set 5,000 times."""
    numbers = "WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < {count}) "
    server.write(
        "UPDATE sample_sets SET name = :name, name_key = :key WHERE id = :id", id=sample_set, name=NAME, key=NAME
    )
    for table, key, count in (
        ("jobs", estimate, FINISHED),
        ("estimates", estimate, FINISHED),
        ("sample_sets", sample_set, SETS),
    ):
        columns = [row[1] for row in server.rows(f"PRAGMA table_info({table})") if row[1] not in ("id", "identity")]
        prefix = key.partition("_")[0]
        server.write(
            f"{numbers.format(count=count)} INSERT INTO {table} (id, {', '.join(columns)}) "
            f"SELECT '{prefix}_00' || printf('%024d', k), {', '.join(columns)} FROM n, {table} WHERE id = :key",
            key=key,
        )
    server.write(
        f"{numbers.format(count=FINISHED // 100)} INSERT INTO job_labels (label, first_id, last_id, job_id) "
        "SELECT :label, 'est_00' || printf('%024d', 100 * k), 'est_00' || printf('%024d', 100 * k), "
        "'est_00' || printf('%024d', 100 * k) FROM n",
        label=digest_of("local", "team", "blue"),
    )


def timed_pages(client: httpx.Client, path: str, count: int = 100, **query: str) -> list[float]:
    """Seconds of each page of a list, which begins anew at its end."""
    after: dict[str, str] = {}
    seconds = []
    for _ in range(count):
        started = time.perf_counter()
        answer = client.get(path, params={"limit": "100", **query, **after})
        seconds.append(time.perf_counter() - started)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert page["data"], (path, query)
        after = {"after": page["next"]} if page["has_more"] else {}
    return seconds


def lists(folder: Path, _: float) -> list[str]:
    with Server(folder / "data") as server:
        body = pair(server)
        done = server.submit(**body, critic="affine", steps=5, baseline_rows=0, metadata={"run": "first"})
        server.until_done(done)
        server.stop()
    with Server(folder / "data", ["--workers", "0"]) as server:
        fill(server, done, body["source"])
        client = server.client
        for k in range(QUEUED // 5000):
            pairs = {"pairs": [body] * 5000, "metadata": {"nightly": str(k), "team": "red"}}
            assert client.post("/v1/batches", json=pairs, timeout=120).status_code == 202

        def pages(path: str, **query: str) -> list[float]:
            return timed_pages(client, path, **query)

        one = {"limit": "100", "metadata": "run:first"}
        measured = {
            "for comparison, /version": timed(lambda: client.get("/version"), 300, {200}),
            "page of 100 estimates": pages("/v1/estimates"),
            "page of 100 finished": pages("/v1/estimates", status="succeeded"),
            "page of 100 sets": pages("/v1/sample-sets"),
            "page of batches": pages("/v1/batches"),
            "search, found by name of set": pages("/v1/estimates", search=NAME),
            "search, found by nothing": timed(
                lambda: client.get("/v1/estimates", params={"limit": "100", "search": "nowhere"}), 100, {200}
            ),
            "label of one": timed(lambda: client.get("/v1/estimates", params=one), 100, {200}),
            "label of 1,000": pages("/v1/estimates", metadata="team:blue"),
            "label of a batch of 5,000": pages("/v1/estimates", metadata="nightly:1"),
            "label of all queued": pages("/v1/estimates", metadata="team:red"),
            "label and state": pages("/v1/estimates", metadata="team:red", status="queued"),
            "submit": timed(lambda: client.post("/v1/estimates", json={**body, "metadata": {"run": "x"}}), 300, {202}),
        }
    goals = "goals: pages p99 60 ms, labels p50 30 ms, submit p99 25 ms"
    return [
        f"{name:<26} p50 {quantile(seconds, 0.5):6.1f} ms, p99 {quantile(seconds, 0.99):6.1f} ms"
        for name, seconds in measured.items()
    ] + [f"{QUEUED:,} queued, {FINISHED:,} finished, {SETS:,} sets; {goals}"]


def fill_monitors(server: Server, monitor: str, update: str) -> None:
    """Copy a monitor 1,000 times, and its update 52 times for each; in each tenth monitor an alarm is on."""
    numbers = "WITH RECURSIVE n(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM n WHERE k < {count} - 1) "
    copies = {"monitors": "'mon_00' || printf('%024d', k)", "jobs": "'mu_00' || printf('%024d', k)"}
    of_monitor = f"'mon_00' || printf('%024d', k / {WEEKS})"
    for table, key, count, made in (
        ("monitors", monitor, MONITORS, {"id": copies["monitors"], "alarms_on": "k % 10 = 0"}),
        ("monitor_epochs", monitor, MONITORS, {"monitor_id": copies["monitors"]}),
        ("jobs", update, MONITORS * WEEKS, {"id": copies["jobs"]}),
        ("monitor_updates", update, MONITORS * WEEKS, {"id": copies["jobs"], "monitor_id": of_monitor}),
    ):
        known = [row[1] for row in server.rows(f"PRAGMA table_info({table})")]
        quoted = [f'"{name}"' for name in known]
        taken = [made.get(name, f"{table}.{own}") for name, own in zip(known, quoted, strict=True)]
        where = "monitor_id" if table == "monitor_epochs" else "id"
        server.write(
            f"{numbers.format(count=count)} INSERT INTO {table} ({', '.join(quoted)}) "
            f"SELECT {', '.join(taken)} FROM n, {table} WHERE {table}.{where} = :key",
            key=key,
        )


def monitors(folder: Path, _: float) -> list[str]:
    with Server(folder / "data") as server:
        reference = server.upload(normal(1, rows=2_000, columns=20))
        options = {"critic": "affine", "metadata": {"team": "shop"}}
        made = server.client.post("/v1/monitors", json={"reference": reference, **options}).json()["id"]
        batch_id = server.upload(normal(2, rows=500, columns=20, shift=0.5))
        wait = {"Prefer": "wait=60"}
        url = f"/v1/monitors/{made}/updates"
        update = server.client.post(url, json={"batch": batch_id}, headers=wait, timeout=90).json()
        assert update["status"] == "succeeded", update
        server.stop()
    with Server(folder / "data", ["--workers", "0"]) as server:
        fill_monitors(server, made, update["id"])
        client, one = server.client, "mon_00" + f"{7:024}"
        used = processor_seconds(server)
        timed_pages(client, "/v1/monitors")
        used = 10 * (processor_seconds(server) - used)
        measured = {
            "for comparison, /version": timed(lambda: client.get("/version"), 300, {200}),
            "page of 20 monitors": timed(lambda: client.get("/v1/monitors"), 100, {200}),
            "page of 100 monitors": timed_pages(client, "/v1/monitors"),
            "page of 100 with an alarm": timed_pages(client, "/v1/monitors", alarm="true"),
            "one monitor": timed(lambda: client.get(f"/v1/monitors/{one}"), 100, {200}),
            "its 52 updates": timed(lambda: client.get(f"/v1/monitors/{one}/updates?limit=100"), 100, {200}),
            "its updates as CSV": timed(lambda: client.get(f"/v1/monitors/{one}/export"), 100, {200}),
            "/metrics": timed(lambda: client.get("/metrics"), 50, {200}),
        }
    return [
        f"{name:<26} p50 {quantile(seconds, 0.5):6.1f} ms, p99 {quantile(seconds, 0.99):6.1f} ms"
        for name, seconds in measured.items()
    ] + [
        f"{MONITORS:,} monitors with {WEEKS} updates of 20 columns each; a page of 100 takes {used:.1f} ms of a "
        "processor; goal of pages: p99 50 ms"
    ]


def batch(folder: Path, _: float) -> list[str]:
    with Server(folder / "data", ["--workers", "0"]) as server:
        body = pair(server)
        pairs = [{**body, "custom_id": str(k)} for k in range(1000)]
        seconds = timed(lambda: server.client.post("/v1/batches", json={"pairs": pairs}), 3, {202})
    return [f"{statistics.median(seconds):.2f} s for 1,000 pairs, median of 3 (goal 5 s)"]


def hostile(folder: Path, _: float) -> list[str]:
    rng = random.Random(11)
    counts: dict[str, int] = {}
    with Server(folder / "data", ["--workers", "0"], LIMITS | {"WDIST_SERVER_MAX_JSON_BYTES": "65536"}) as server:
        before, start = stored(server), resident(server)
        for _ in range(10_000):
            method, path, arguments = hostile_request(rng)
            answer = server.client.request(method, path, **arguments)
            counts[f"{answer.status_code // 100}xx"] = counts.get(f"{answer.status_code // 100}xx", 0) + 1
        kept = len(stored(server) - before)
        files, accepted = 0, 0
        for kind, make, _words in list(HOSTILE.values()):
            answer = server.client.post("/v1/sample-sets", content=make(), params={"format": kind}, timeout=120)
            files, accepted = files + 1, accepted + answer.is_success
            assert answer.status_code < 500, answer.text
        while files < 500:
            kind, body = malformed(rng)
            answer = server.client.post("/v1/sample-sets", content=body, params={"format": kind})
            files, accepted = files + 1, accepted + answer.is_success
            assert answer.status_code < 500, answer.text
        sets = sum(1 for path in (server.data / "blobs").rglob("*") if path.is_file())
        peak = resident(server, "VmHWM")
    return [
        f"{counts.get('5xx', 0)} answers of 5xx to {sum(counts.values()):,} requests, {kept} files stored (goals 0, 0)",
        f"0 answers of 5xx to {files} malformed files, {accepted} accepted, {sets} files stored (goals 0, 0, 0)",
        f"API {peak:.0f} MB at most, {start:.0f} MB before (goal 150 MB)",
    ]


BENCHMARKS = {
    "upload": upload, "memory": memory, "training": training, "submit": submit, "lists": lists, "monitors": monitors,
    "batch": batch, "hostile": hostile,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS))
    parser.add_argument("--gigabytes", type=float, default=1.0)
    arguments = parser.parse_args()
    for name in arguments.only:
        with tempfile.TemporaryDirectory() as folder:
            for line in BENCHMARKS[name](Path(folder), arguments.gigabytes):
                print(f"{name:<9} {line}", flush=True)


if __name__ == "__main__":
    main()
