"""Does any process of the server grow while it works for long?

    .venv/bin/python benchmarks/soak.py [--minutes 60] [--per-second 4]

A `wdist serve` of its own gets tiny estimates (200 x 2, 5 steps) one by one, each of new sets, and lists, metrics and
deletions beside them, as many a second as given (fewer where the machine does not manage). The resident memory of each
process is read every 10 seconds. Trainers are replaced after 1,000 jobs, so theirs is compared by their age in jobs: by
the median over all of them.

Printed for each kind of process: the median of minute 5, of the last five minutes, and their ratio (goal: within 5 %).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "service")]
from service_process import Server  # noqa: E402

TINY = {"steps": 5, "critic": "affine", "empirical": False}
_KINDS = ("api", "worker", "trainer")
_SAMPLE_SECONDS = 10.0


def resident(pid: int) -> float:
    """Resident memory of a process in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000
    return 0.0


def round_of_requests(server: Server, number: int) -> None:
    """One tiny estimate of two new sets, and what a person does beside it; older results are deleted."""
    generator = np.random.default_rng(number)
    sets = [server.upload(generator.normal(size=(200, 2)).astype(np.float32)) for _ in range(2)]
    server.client.post("/v1/estimates", json={"source": sets[0], "target": sets[1], **TINY}).raise_for_status()
    listed = server.client.get("/v1/estimates", params={"status": "succeeded", "limit": 100}).json()["data"]
    for each in listed[50:]:
        server.client.delete(f"/v1/estimates/{each['id']}")
        for key in ("source", "target"):
            server.client.delete(f"/v1/sample-sets/{each[key]}")  # 409 while something uses it
    if number % 20 == 0:
        server.client.get("/metrics")
        server.client.get("/readyz")


def watch(server: Server, minutes: float, per_second: float) -> tuple[dict[str, list[tuple[float, float]]], int]:
    """(minute, MB) of each kind of process, and the number of estimates."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    started = sampled = time.monotonic()
    number = 0
    while (now := time.monotonic()) < started + 60 * minutes:
        round_of_requests(server, number)
        number += 1
        if now - sampled >= _SAMPLE_SECONDS:
            sampled = now
            for kind in _KINDS:
                sizes = [resident(pid) for pid in server.pids(kind)]
                if sizes:
                    found[kind].append(((now - started) / 60, statistics.fmean(sizes)))
        time.sleep(max(0.0, now + 1 / per_second - time.monotonic()))
    return found, number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--per-second", type=float, default=4.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder) / "data").start() as server:
        found, number = watch(server, arguments.minutes, arguments.per_second)
    print(f"{number:,} tiny estimates in {arguments.minutes:g} minutes")
    for kind, samples in found.items():
        early = statistics.median(size for minute, size in samples if 4 <= minute < 6)
        late = statistics.median(size for minute, size in samples if minute >= arguments.minutes - 5)
        most = max(size for minute, size in samples if minute >= 5)
        verdict = "reached" if late <= 1.05 * early else "NOT reached"
        figures = f"minute 5 {early:6.1f} MB   end {late:6.1f} MB   most {most:6.1f} MB   {late / early:5.3f}"
        print(f"{kind:<8} {figures}   {verdict}")


if __name__ == "__main__":
    main()
