"""False alarms in years without drift, and delays with it: wdist beside the defaults of other tools.

    python -m benchmarks.peers [--none 20] [--drifted 8] [--tools WORD ...] [--results build/peers.jsonl]

Makes an environment of its own for the other tools in build/peers, from benchmarks/peers/requirements.txt. Finished
series are kept in the results file; a second call makes those that are missing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np

from benchmarks.peers import series
from wdist.monitoring.options import MonitorOptions
from wdist.monitoring.reference import open_reference
from wdist.monitoring.update import begin, update

HERE = Path(__file__).parent
ENVIRONMENT = Path("build/peers")
OURS = "wdist"
TOOLS = (
    OURS,
    "evidently, preset",
    "evidently, any column",
    "alibi-detect, KS",
    "alibi-detect, MMD",
    "nannyml, columns",
    "nannyml, reconstruction",
)
Run = dict[str, Any]


def monitored(kind: str, seed: int) -> list[int]:
    """Weeks in which an alarm of a monitor is on; without the upper ends, which raise none."""
    options = MonitorOptions(upper="none", seed=seed)
    reference = open_reference(series.reference(seed), options=options)
    state, found = begin(reference, options), []
    for week, batch in enumerate(series.batches(kind, seed), start=1):
        state, figures = update(state, reference, batch)
        if figures.alarms:
            found.append(week)
    return found


def environment() -> Path:
    """The Python of the environment of the other tools, which is made if it is not there."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        part = ENVIRONMENT.with_name("peers.part")  # renamed when it is complete
        subprocess.run([sys.executable, "-m", "venv", "--clear", part], check=True)
        pip = [part / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", HERE / "requirements.txt"], check=True)
        part.rename(ENVIRONMENT)
    return python


def measured(wanted: Iterable[tuple[str, str, int]]) -> Iterator[Run]:
    """The runs that are asked for, (tool, kind, seed), as they end."""
    peers = []
    for tool, kind, seed in wanted:
        if tool == OURS:
            started = time.process_time()
            run = {
                "tool": tool,
                "kind": kind,
                "seed": seed,
                "version": version("wdist"),
                "weeks": monitored(kind, seed),
            }
            used = round(time.process_time() - started, 1)
            yield {**run, "cpu_seconds": used, "digest": series.digest(kind, seed)}
        else:
            peers.append((tool, kind, seed))
    if not peers:
        return
    command = [environment(), HERE / "detectors.py"]
    quiet = {**os.environ, "DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1"}  # no telemetry
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=quiet) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for tool, kind, seed in peers:
            process.stdin.write(json.dumps([tool, kind, seed]) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            if not answer:
                raise SystemExit(f"{tool} ended without an answer")
            yield {"tool": tool, "kind": kind, "seed": seed, **json.loads(answer)}
        process.stdin.close()


def table(runs: list[Run]) -> Iterator[str]:
    """Markdown: years with an alarm of those without drift, delays of the others, seconds of the processor a year.

    Raises ValueError if two tools were given other rows.
    """
    _check_rows(runs)
    yield "| tool | years with a false alarm | false weeks a year | sudden | gradual | seasonal | CPU s |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for tool in TOOLS:
        own = [run for run in runs if run["tool"] == tool]
        quiet = [run["weeks"] for run in own if run["kind"] == "none"]
        if not quiet:
            continue
        false = (
            f"{sum(bool(weeks) for weeks in quiet)} of {len(quiet)} | {np.mean([len(weeks) for weeks in quiet]):.1f}"
        )
        delays = " | ".join(_delay([run for run in own if run["kind"] == kind]) for kind in series.KINDS[1:])
        seconds = np.median([run["cpu_seconds"] for run in own])
        used = f"{seconds:.1f}" if seconds else "as above"  # what was computed for another line
        yield f"| {tool} {own[0]['version']} | {false} | {delays} | {used} |"


def _check_rows(runs: list[Run]) -> None:
    digests: dict[tuple[str, int], str] = {}
    for run in runs:
        if digests.setdefault((run["kind"], run["seed"]), run["digest"]) != run["digest"]:
            raise ValueError(f"{run['tool']} was given other rows of {run['kind']}, seed {run['seed']}")


def _delay(runs: list[Run]) -> str:
    """Median weeks from the first drifted batch to the first alarm from then on, and in how many series there is one.

    A series without one counts as longer than all others.
    """
    if not runs:
        return ""
    first = [min((week for week in run["weeks"] if week >= series.START), default=np.inf) for run in runs]
    middle = np.median(first) - series.START
    return f"{f'{middle:g}' if middle < np.inf else 'none'} ({np.isfinite(first).sum()} of {len(runs)})"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--none", type=int, default=20, help="series without drift")
    parser.add_argument("--drifted", type=int, default=8, help="series of each kind of drift")
    parser.add_argument("--tools", nargs="+", default=[""], metavar="WORD")
    parser.add_argument("--results", type=Path, default=Path("build/peers.jsonl"))
    given = parser.parse_args(arguments)
    wanted = [
        (tool, kind, seed)
        for kind in series.KINDS
        for seed in range(given.none if kind == "none" else given.drifted)
        for tool in TOOLS
        if any(word in tool for word in given.tools)
    ]
    lines = given.results.read_text().splitlines() if given.results.exists() else []
    runs: list[Run] = [json.loads(line) for line in lines]
    done = {(run["tool"], run["kind"], run["seed"]) for run in runs}
    given.results.parent.mkdir(parents=True, exist_ok=True)
    with given.results.open("a") as file:
        for run in measured(each for each in wanted if each not in done):
            file.write(json.dumps(run) + "\n")
            file.flush()
            runs.append(run)
    print("\n".join(table(runs)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
