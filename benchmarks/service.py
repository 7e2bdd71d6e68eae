"""How long does the service take? End to end over HTTP, with a real server of its own on this machine.

    .venv/bin/python benchmarks/service.py [--runs 3] [--skip-main-job]

- main job: `make run ONCE=1` after set-up, from the command to its exit (goal: 40 s).
- small job: 1,000 x 8 twice, from the first byte of the upload to the result, default options; cold is the first job
  of a server that has just become ready, warm are later ones with new data (goals: 5 s and 3 s).
- starts: `wdist --help` and the imports of library and client, in turn (goals: 0.3 s, and 0.1 s of the client).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from wdist_client import Client

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from server_process import ServerProcess, free_port  # noqa: E402


def main_job() -> float:
    """Seconds of `make run ONCE=1` on an empty data directory."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "WDIST_SERVER_DATA": folder, "PORT": str(free_port())}
        started = time.perf_counter()
        subprocess.run(["make", "run", "ONCE=1"], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - started


def small_job(client: Client, seed: int) -> float:
    """Seconds from upload to result for two new sets of 1,000 x 8."""
    generator = np.random.default_rng(seed)
    x, y = generator.normal(size=(2, 1000, 8)).astype(np.float32)
    y[:, 0] += 0.5
    started = time.perf_counter()
    source, target = client.sample_sets.create(x), client.sample_sets.create(y)
    client.estimates.create(source, target).wait(timeout=300)
    return time.perf_counter() - started


def small_jobs(runs: int) -> dict[str, list[float]]:
    """Start of the server, its first job, and two later ones; `runs` times."""
    seconds: dict[str, list[float]] = {"server start": [], "small job, cold": [], "small job, warm": []}
    for run in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            own = ServerProcess(Path(folder) / "data", environment={"WDIST_SERVER_THREADS": None})  # as a user's is
            with own as server, Client(server.url) as client:
                seconds["server start"].append(time.perf_counter() - started)
                seconds["small job, cold"].append(small_job(client, 10 * run))
                seconds["small job, warm"] += [small_job(client, 10 * run + 1), small_job(client, 10 * run + 2)]
    return seconds


def starts(runs: int) -> dict[str, list[float]]:
    """Seconds of the commands and imports that somebody waits for before anything happens."""
    commands = {
        "wdist --help": [str(Path(sys.executable).with_name("wdist")), "--help"],
        "import wdist": [sys.executable, "-c", "import wdist"],
        "import client": [sys.executable, "-c", "import wdist_client"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(10 * runs):
        for name, command in commands.items():
            started = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - started)
    return seconds


GOALS = {"wdist --help": 0.3, "import client": 0.1, "main job": 40.0, "small job, cold": 5.0, "small job, warm": 3.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--skip-main-job", action="store_true")
    arguments = parser.parse_args()
    measured = starts(arguments.runs) | small_jobs(arguments.runs)
    if not arguments.skip_main_job:
        measured["main job"] = [main_job() for _ in range(arguments.runs)]
    for name, seconds in measured.items():
        deviation = statistics.stdev(seconds) if len(seconds) > 1 else 0.0
        mean = statistics.fmean(seconds)
        goal = GOALS.get(name)
        verdict = "" if goal is None else f"   goal {goal:g} s: {'reached' if mean <= goal else 'NOT reached'}"
        print(f"{name:<16} {mean:6.2f} s ± {deviation:.2f} ({len(seconds)} runs){verdict}")


if __name__ == "__main__":
    main()
