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
from collections.abc import Iterable, Iterator
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
    """The Python of the environment of the other tools, which is made at first."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
    command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", HERE / "requirements.txt"]
    subprocess.run(command, check=True)
    return python


def measured(wanted: Iterable[tuple[str, str, int]]) -> Iterator[Run]:
    """The runs that are asked for, (tool, kind, seed), as they end."""
    peers = []
    for tool, kind, seed in wanted:
        if tool == OURS:
            yield {"tool": tool, "kind": kind, "seed": seed, "version": "", "weeks": monitored(kind, seed)}
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
    """Markdown: years with an alarm of those without drift, and delays of the others."""
    yield "| tool | years with a false alarm | false weeks a year | sudden | gradual | seasonal |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for tool in TOOLS:
        own = [run for run in runs if run["tool"] == tool]
        quiet = [run["weeks"] for run in own if run["kind"] == "none"]
        if not quiet:
            continue
        version = next((run["version"] for run in own), "")
        false = (
            f"{sum(bool(weeks) for weeks in quiet)} of {len(quiet)} | {np.mean([len(weeks) for weeks in quiet]):.1f}"
        )
        delays = " | ".join(_delay([run for run in own if run["kind"] == kind]) for kind in series.KINDS[1:])
        yield f"| {tool} {version} | {false} | {delays} |"


def _delay(runs: list[Run]) -> str:
    """Median weeks from the first drifted batch to the first alarm from then on, and how many have none."""
    if not runs:
        return ""
    first = [min((week for week in run["weeks"] if week >= series.START), default=None) for run in runs]
    found = [week - series.START for week in first if week is not None]
    missed = len(first) - len(found)
    middle = f"{np.median(found):g}" if found else "none"
    return middle if not missed else f"{middle} ({missed} of {len(runs)} not found)"


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
