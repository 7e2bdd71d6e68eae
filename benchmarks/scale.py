"""Ten million rows: memory and time per step compared with a small set, and the time to verify a certificate.

    .venv/bin/python benchmarks/scale.py [--rows 10000000] [--columns 64] [--folder FOLDER] [--skip memory|verifier]

memory: two .npy files (2.4 GiB each by default) written to FOLDER and removed, one estimate of 300 steps in a process
of its own, with the peak of its anonymous resident memory (RssAnon) above the interpreter with torch and wdist loaded;
the same at 100,000 rows. verifier: `verify_certificate` on 100,000 test rows (MLP, cone) and 10,000 (BCOP).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import numpy as np
from peak_memory import WATCHED

from wdist import estimate_w1, verify_certificate

STEPS = 300
_CHILD = WATCHED + textwrap.dedent("""
    times = []
    began = time.perf_counter()
    estimate_w1(sys.argv[1], sys.argv[2], critic="groupsort", steps=int(sys.argv[3]), baseline_rows=0, upper="none",
                progress=lambda p: times.append(time.perf_counter()))
    seconds = time.perf_counter() - began
    steps = sorted(b - a for a, b in zip(times, times[1:]))
    print(peak[0] - before, 1000 * steps[len(steps) // 2], seconds)
""")


def write_rows(path: Path, rows: int, columns: int, seed: int) -> None:
    """Standard normal rows, the target's moved by 0.1, written in blocks."""
    generator = np.random.default_rng(seed)
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, columns))
    for start in range(0, rows, 100_000):
        block = generator.standard_normal((min(100_000, rows - start), columns), dtype=np.float32)
        file[start : start + len(block)] = block + np.float32(0.1 * seed)
    file.flush()


def memory(rows: int, columns: int, folder: Path | None) -> None:
    print("| rows a side | columns | RssAnon above the interpreter, MB | median step, ms | whole estimate, s |")
    print("|" + " --- |" * 5)
    for n in (100_000, rows):
        with tempfile.TemporaryDirectory(dir=folder) as name:
            x, y = Path(name) / "x.npy", Path(name) / "y.npy"
            for seed, path in enumerate((x, y)):
                write_rows(path, n, columns, seed)
            command = [sys.executable, "-c", _CHILD, str(x), str(y), str(STEPS)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        above, step, seconds = map(float, done.stdout.split())
        print(f"| {n:,} | {columns} | {above:.0f} | {step:.2f} | {seconds:.1f} |", flush=True)


def verifier() -> None:
    print("| critic | test rows of both sets | file, MB | verified in, s |")
    print("|" + " --- |" * 4)
    generator = np.random.default_rng(0)
    for critic, rows, shape in (("groupsort", 166_667, (64,)), ("cone", 166_667, (64,)), ("bcop", 16_667, (1, 28, 28))):
        x, y = (generator.standard_normal((rows, *shape), dtype=np.float32) + 0.1 * side for side in (0, 1))
        result = estimate_w1(x, y, critic=critic, steps=20, baseline_rows=0)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "c.cert"
            digest = result.certificate.save(path)
            began = time.perf_counter()
            report = verify_certificate(path, x, y, digest)
            seconds = time.perf_counter() - began
            size = path.stat().st_size / 1e6
        if not report.valid:
            raise SystemExit(str(report))
        print(f"| {critic} | {sum(result.n[s]['test'] for s in result.n):,} | {size:.1f} | {seconds:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--columns", type=int, default=64)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--skip", choices=("memory", "verifier"))
    given = parser.parse_args()
    if given.skip != "verifier":
        verifier()
    if given.skip != "memory":
        memory(given.rows, given.columns, given.folder)


if __name__ == "__main__":
    main()
