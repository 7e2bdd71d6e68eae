"""The study: all cells, and the processes that make their runs."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from benchmarks.calibration import answers, controls, groups, rows, tables, together, upper, whole
from benchmarks.calibration.cell import Cell, several
from benchmarks.calibration.results import Results

LAYERS = ("control", "statement", "whole")
RUNS = {"control": 400, "statement": 10_000, "whole": 200}
CHUNK = {"control": 100, "statement": 250, "whole": 10}
TOPICS: Mapping[str, tuple[Callable[[], Iterator[Cell]], ...]] = {
    "Mistakes made on purpose": (controls.cells,),
    "Files in order": (rows.sorted_files,),
    "Heavy tails, atoms, unequal sizes": (rows.one_dimensional, rows.two_dimensional),
    "Large offsets": (rows.offsets,),
    "Groups": (groups.cells,),
    "p-values of rows": (rows.p_values,),
    "They differ": (answers.cells,),
    "Columns": (together.columns,),
    "Several pairs at once": (together.pairs_of_sets,),
    "Upper ends": (upper.cells,),
    "Where the approximate end fails": (upper.failing,),
    "Whole estimates": (whole.cells,),
    "Mixed tables": (tables.cells,),
}
BY_TOPIC = {topic: [cell for make in makers for cell in make()] for topic, makers in TOPICS.items()}
CELLS = several(*map(iter, BY_TOPIC.values()))


def end_with_parent() -> None:
    """End this process if the one that started it is killed, for which a pool would wait."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def make(name: str, first: int, runs: int) -> tuple[str, int, int, dict[str, int], float]:
    """One chunk of runs, in a process of the pool, and the seconds of a core that it took."""
    logging.getLogger("wdist").setLevel(logging.ERROR)  # bounds above their value are counted
    started = time.process_time()
    wrong = CELLS[name].count(first, runs)
    return name, first, runs, wrong, time.process_time() - started


def chosen(layers: Sequence[str], words: Sequence[str]) -> dict[str, Cell]:
    """The cells of these layers whose name or topic contains one of the words, if there are any."""
    return {
        cell.name: cell
        for topic, cells in BY_TOPIC.items()
        for cell in cells
        if cell.layer in layers and (not words or any(word in cell.name or word in topic for word in words))
    }


def missing(cells: dict[str, Cell], results: Results, runs: Mapping[str, int]) -> list[tuple[str, int, int]]:
    """The chunks that are left to make. All cells advance together, so that a study that is stopped has them all."""
    found = [
        (name, first, count)
        for name, cell in cells.items()
        for first, count in results.of(name).missing(cell.wanted(runs), CHUNK[cell.layer])
    ]
    return sorted(found, key=lambda chunk: chunk[1] / CELLS[chunk[0]].wanted(runs))


def study(cells: dict[str, Cell], results: Results, runs: Mapping[str, int], processes: int) -> None:
    """Make the runs that are missing. Tells every minute how many are done."""
    chunks = missing(cells, results, runs)
    total, done = sum(count for _, _, count in chunks), 0
    started = told = time.monotonic()
    # Forked processes would inherit the lock on the file, and keep it if this one is killed.
    pool = ProcessPoolExecutor(processes, get_context("spawn"), initializer=end_with_parent)
    try:
        for made in as_completed([pool.submit(make, *chunk) for chunk in chunks]):
            name, first, count, wrong, seconds = made.result()
            results.append(name, first, count, wrong, seconds)
            done += count
            if time.monotonic() > told + 60:
                told = time.monotonic()
                print(f"{done:,} of {total:,} runs in {(told - started) / 60:.0f} min", file=sys.stderr, flush=True)
    finally:
        pool.shutdown(cancel_futures=True)
