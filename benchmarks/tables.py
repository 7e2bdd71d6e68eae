"""A table of numbers, categories and booleans as Parquet, beside the same rows encoded as .npy: seconds and memory.

    .venv/bin/python benchmarks/tables.py [--rows 1000000] [--steps 1000] [--folder FOLDER] [--repeats 3]

Two tables of 40 columns (30 numbers, 8 categories of 2 to 20 levels, 2 booleans) are written to FOLDER, once as Parquet
and once as `wdist encode` encodes them, under one metric. Each estimate runs in a process of its own, the two formats
in turn; the seconds are those of `estimate_w1`, by the clock and of the processor, the memory is the peak of the
process's resident memory without mapped files (RssAnon) above the interpreter with torch and wdist loaded.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from peak_memory import WATCHED

NUMBERS, LEVELS, BOOLEANS = 30, (2, 3, 4, 6, 8, 12, 16, 20), 2
_CHILD = WATCHED + textwrap.dedent("""
    began, worked = time.perf_counter(), time.process_time()
    result = estimate_w1(sys.argv[1], sys.argv[2], **json.loads(sys.argv[3]))
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    print(json.dumps([seconds, worked, peak[0] - before, result.lower_bound, result.upper_bound]))
""")


def write_table(path: Path, rows: int, seed: int, shift: float) -> None:
    """Independent columns; `shift` moves each number and makes the first level of each category more frequent."""
    generator = np.random.default_rng(seed)
    columns: dict[str, pa.Array] = {}
    for k in range(NUMBERS):
        columns[f"number {k}"] = pa.array(generator.standard_normal(rows) + shift)
    for k, count in enumerate(LEVELS):
        shares = np.ones(count) + shift * np.eye(count)[0]
        codes = generator.choice(count, rows, p=shares / shares.sum()).astype(np.int32)
        columns[f"category {k}"] = pa.DictionaryArray.from_arrays(codes, [f"level {each}" for each in range(count)])
    for k in range(BOOLEANS):
        columns[f"boolean {k}"] = pa.array(generator.random(rows) < 0.5 + shift / 10)
    pyarrow.parquet.write_table(pa.table(columns), path)


def encode(tables: list[Path], folder: Path) -> list[Path]:
    """The encoded rows of both tables as .npy, by the command a user would run."""
    command = [sys.executable, "-m", "wdist.cli.main", "encode", *map(str, tables), "-o", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return sorted(folder.glob("*.npy"))


def factors() -> list[float]:
    """Divisors of the encoded columns under which two levels are 1 apart."""
    return [1.0] * NUMBERS + [np.sqrt(2.0)] * sum(LEVELS) + [1.0] * BOOLEANS


def run(source: Path, target: Path, **options: object) -> list[float]:
    command = [sys.executable, "-c", _CHILD, str(source), str(target), json.dumps(options)]
    found: list[float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--steps", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        tables = [folder / "a.parquet", folder / "b.parquet"]
        for seed, path in enumerate(tables):
            write_table(path, given.rows, seed, 0.2 * seed)
        arrays = encode(tables, folder)
        found: dict[str, list[list[float]]] = {"Parquet": [], ".npy": []}
        for _ in range(given.repeats):
            found["Parquet"].append(run(*tables, steps=given.steps))
            found[".npy"].append(run(*arrays, steps=given.steps, scale=factors()))
    print(f"{given.rows:,} rows a side, 40 columns, {given.steps:,} steps, medians of {given.repeats}")
    print("| format | s | s of the processor | RssAnon above the interpreter, MB | lower bound | upper bound |")
    print("|" + " --- |" * 6)
    middle = {kind: [statistics.median(each) for each in zip(*runs, strict=True)] for kind, runs in found.items()}
    for kind, (seconds, worked, memory, lower, upper) in middle.items():
        print(f"| {kind} | {seconds:.1f} | {worked:.1f} | {memory:.0f} | {lower:.4f} | {upper:.4f} |")
    parquet, npy = middle["Parquet"], middle[".npy"]
    print(
        f"\nParquet takes {parquet[0] / npy[0]:.2f} times the seconds, {parquet[1] / npy[1]:.2f} times those of the "
        f"processor, and {parquet[2] - npy[2]:.0f} MB more."
    )


if __name__ == "__main__":
    main()
