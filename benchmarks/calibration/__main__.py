"""How often are bounds and p-values wrong? Fails if it is more often than chance explains.

Every finished chunk of runs is appended to the results file, and a second call makes the runs that are missing. Seeds
belong to runs, so that results do not depend on the number of processes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process a core: before torch is imported
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from benchmarks.calibration import report
from benchmarks.calibration.cell import Cell
from benchmarks.calibration.results import Results
from benchmarks.calibration.study import BY_TOPIC, CELLS, LAYERS, RUNS, chosen, study


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.calibration", description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("build/calibration.jsonl"), help="finished runs")
    parser.add_argument("--layers", nargs="+", choices=LAYERS, default=LAYERS)
    parser.add_argument(
        "--cells",
        nargs="+",
        default=[],
        metavar="WORD",
        help="only cells with one of these words in their name or topic",
    )
    parser.add_argument("--runs", type=int, help=f"of each cell, instead of {RUNS}")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--report", action="store_true", help="make no runs; judge and print those of the file")
    parser.add_argument("--any-code", action="store_true", help="count runs of other versions of the library, too")
    parser.add_argument("--out", type=Path, help="figures as JSON, for docs/pictures/draw.py")
    parser.add_argument("--page", type=Path, help="a page whose tables are replaced: docs/benchmarks/calibration.md")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    given = parse(arguments)
    cells = chosen(given.layers, given.cells)
    if not cells:
        print("no cell has such a name", file=sys.stderr)
        return 2
    try:
        results = Results(given.results, is_written=not given.report, any_code=given.any_code)
    except BlockingIOError:
        print(f"{given.results}: another study is writing to this file", file=sys.stderr)
        return 2
    with results:
        return judge(given, cells, results)


def judge(given: argparse.Namespace, cells: dict[str, Cell], results: Results) -> int:
    """Make the runs that are missing, show all, and return the command's status: 1 if a cell is broken."""
    if results.ignored:
        print(f"{results.ignored} chunks were made by other code and are ignored (--any-code)", file=sys.stderr)
    runs = dict.fromkeys(RUNS, given.runs) if given.runs else RUNS
    if not given.report:
        study(cells, results, runs, given.processes)
    limits = report.limits_of(CELLS)
    shown = {topic: [cell for cell in each if cell.name in cells] for topic, each in BY_TOPIC.items()}
    figures = report.figures_of(shown, results.tallies, limits)
    tables = report.tables(figures)
    for topic, table in tables.items():
        print(f"\n{topic}\n\n{table}")
    if given.out is not None:
        given.out.write_text("[\n" + ",\n".join(json.dumps(each) for each in figures) + "\n]\n")
    if given.page is not None:
        given.page.write_text(report.with_tables(given.page.read_text(), tables))
    bad = [f"BROKEN  {each}" for each in report.failures(cells, results.tallies, limits)]
    bad += [f"UNFINISHED  {each}" for each in report.unfinished(cells, results.tallies, runs)]
    for each in bad:
        print(each, file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
