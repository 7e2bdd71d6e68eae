"""What does the HTTP API bear? Each figure on a real server of its own, over loopback.

    .venv/bin/python benchmarks/api.py [--only NAME ...] [--gigabytes 1]

- upload      rate of one upload against copying the same file with sha256 and fsync (goal: 80 %)
- memory      largest resident set of the API while 4 uploads stream at once (goal: 150 MB)
- training    GET /v1/estimates/{id} while a job occupies all cores (goal: p99 100 ms)
- submit      POST /v1/estimates, SQLite with synchronous=FULL, 4 connections (goals: 80/s, p99 150 ms)
- batch       1,000 pairs in one request (goal: 5 s)
- hostile     10,000 hostile requests and 500 malformed files (goals: no 500, nothing stored, memory within limits)
"""

from __future__ import annotations

import argparse
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
from service_process import Server, normal, npy  # noqa: E402
from test_service_formats import HOSTILE  # noqa: E402
from test_service_hostile import hostile_request, stored  # noqa: E402

BLOCK = 1 << 20


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


def upload(folder: Path, gigabytes: float) -> list[str]:
    file = make_file(folder / "one.npy", gigabytes)
    copy(file, folder / "copy")  # the page cache is warm for both
    copies, uploads = [], []
    with Server(folder / "data", ["--workers", "0"]) as server:
        for _ in range(3):
            copies.append(copy(file, folder / "copy"))
            started = time.perf_counter()
            answer = post_file(server, file)
            uploads.append(time.perf_counter() - started)
            assert answer.status_code == 201, answer.text
            server.client.delete(f"/v1/sample-sets/{answer.json()['id']}")
    rates = [gigabytes * 1000 / statistics.median(seconds) for seconds in (uploads, copies)]
    return [f"{rates[0]:.0f} MB/s, copying {rates[1]:.0f} MB/s: {rates[0] / rates[1]:.0%} (goal 80 %), medians of 3"]


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


def training(folder: Path, _: float) -> list[str]:
    environment: dict[str, str | None] = {"WDIST_SERVER_THREADS": str(os.cpu_count() or 2)}
    with Server(folder / "data", environment=environment) as server:
        source = server.upload(normal(1, rows=20_000, columns=200))
        target = server.upload(normal(2, rows=20_000, columns=200, shift=0.1))
        estimate = server.submit(source, target, critic="groupsort", steps=100_000, baseline_rows=0)
        server.until_training(estimate)
        seconds = timed(lambda: server.client.get(f"/v1/estimates/{estimate}"), 1000, {200})
        assert server.get(estimate)["status"] == "running"
        server.client.post(f"/v1/estimates/{estimate}/cancel")
        server.until_done(estimate)
    return [f"p50 {quantile(seconds, 0.5):.1f} ms, p99 {quantile(seconds, 0.99):.1f} ms of 1,000 (goal 100 ms)"]


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


def batch(folder: Path, _: float) -> list[str]:
    with Server(folder / "data", ["--workers", "0"]) as server:
        body = pair(server)
        pairs = [{**body, "custom_id": str(k)} for k in range(1000)]
        seconds = timed(lambda: server.client.post("/v1/batches", json={"pairs": pairs}), 3, {202})
    return [f"{statistics.median(seconds):.2f} s for 1,000 pairs, median of 3 (goal 5 s)"]


def malformed(rng: random.Random, good: bytes) -> bytes:
    """An .npy file with a few bytes changed, cut or added."""
    data = bytearray(good)
    for _ in range(rng.randint(1, 6)):
        data[rng.randrange(min(len(data), rng.choice([16, 128, len(data)])))] = rng.randrange(256)
    return bytes(data[: rng.choice([len(data), rng.randrange(len(data))])])


def hostile(folder: Path, _: float) -> list[str]:
    rng = random.Random(11)
    counts: dict[str, int] = {}
    with Server(folder / "data", ["--workers", "0"], {"WDIST_SERVER_MAX_JSON_BYTES": "65536"}) as server:
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
        good = npy(normal(3))
        while files < 500:
            answer = server.client.post("/v1/sample-sets", content=malformed(rng, good))
            files, accepted = files + 1, accepted + answer.is_success
            assert answer.status_code < 500, answer.text
        sets = sum(1 for path in (server.data / "blobs").rglob("*") if path.is_file())
        peak = resident(server, "VmHWM")
    return [
        f"{counts.get('5xx', 0)} answers of 5xx to {sum(counts.values()):,} requests, {kept} files stored (goals 0, 0)",
        f"0 answers of 5xx to {files} files; {accepted} were still valid arrays, {sets} files stored",
        f"{peak:.0f} MB at most, {start:.0f} MB before",
    ]


BENCHMARKS = {
    "upload": upload, "memory": memory, "training": training, "submit": submit, "batch": batch, "hostile": hostile,
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
