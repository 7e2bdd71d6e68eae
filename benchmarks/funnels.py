"""How close do estimates come to the truth? 28 pairs of funnels with known W1, every row drawn unpaired.

    .venv/bin/python benchmarks/funnels.py --rows 50000 --seconds 10 [--dims 2 4] [--funnels 4] [--out cells.jsonl]
    .venv/bin/python benchmarks/funnels.py --rows 1000000 --seconds 60 --out cells.jsonl
    .venv/bin/python benchmarks/funnels.py --table cells.jsonl

One estimate a cell by `estimate_w1` with critic "auto", then, at the same rows: the mean difference and the max-sliced
distance, each held out, along a direction fitted on train rows (of the mean difference, that between their means), and
exact transport on 3,000 rows a side. Cells go to --out as they are done and are not repeated. Pairs are those of
wdist.data.known_truth.Funnels, in the manner of Korotin, Kolesov, Burnaev, "Kantorovich Strikes Back!" (NeurIPS 2022);
their published figures for the GroupSort solver with orthogonal layers ("sort-out", 25 million fresh rows) stand
beside: pairs drawn in the same way, not the same pairs.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from wdist import estimate_w1
from wdist.data.known_truth import Funnels
from wdist.transport.exact import exact_w1

DIMS = (2, 4, 8, 16, 32, 64, 128)
FUNNELS = (4, 16, 64, 256)
EXACT_ROWS = 3_000
# Korotin, Kolesov, Burnaev (2022): estimate / truth of the solver, by dimension and number of funnels.
PUBLISHED = {
    2: (0.93, 0.61, 0.37, 0.26), 4: (0.91, 0.55, 0.36, 0.19), 8: (0.89, 0.66, 0.43, 0.28), 16: (0.97, 0.84, 0.55, 0.40),
    32: (0.98, 0.91, 0.68, 0.52), 64: (1.01, 1.01, 0.82, 0.62), 128: (0.92, 0.91, 0.66, 0.62),
}  # fmt: skip


def measure(dim: int, funnels: int, rows: int, seconds: float, seed: int) -> dict[str, Any]:
    """One cell; everything but `seconds` and the sizes is divided by the truth."""
    pair = Funnels(dim, funnels, seed)
    truth, error = pair.w1()
    x, y, _ = pair.truth(1).pair(rows, seed + 1)
    started = time.perf_counter()
    result = estimate_w1(x, y, max_seconds=seconds, baseline_rows=0, seed=seed)
    took = time.perf_counter() - started
    few = min(EXACT_ROWS, rows)
    trivial = {name: value / truth for name, value in result.trivial.items() if value is not None}
    return {
        "dim": dim,
        "funnels": funnels,
        "rows": rows,
        "max_seconds": seconds,
        "seed": seed,
        "truth": truth,
        "truth_error": error,
        "value": result.value / truth,
        "lower_bound": result.lower_bound / truth,
        "seconds": took,
        "steps": result.steps,
        "critic": result.critic.family,
        "exact": exact_w1(x[:few], y[:few]) / truth,
        **trivial,
    }


def table(cells: list[dict[str, Any]]) -> None:
    """Markdown, one table for each number of rows."""
    for rows in sorted({cell["rows"] for cell in cells}):
        here = sorted((c for c in cells if c["rows"] == rows), key=lambda c: (c["dim"], c["funnels"], c["seed"]))
        print(f"\n{rows:,} rows a side; all figures but seconds and the truth itself are divided by the truth\n")
        print(
            "| d | N | truth | value | lower bound | `max_seconds` | seconds | critic | published | mean | max-sliced "
            "| exact OT |"
        )
        print("|" + " --- |" * 12)
        for cell in here:
            published = PUBLISHED[cell["dim"]][FUNNELS.index(cell["funnels"])]
            print(
                f"| {cell['dim']} | {cell['funnels']} | {cell['truth']:.4f} | {cell['value']:.3f} "
                f"| {cell['lower_bound']:.3f} | {cell['max_seconds']:g} | {cell['seconds']:.0f} "
                f"| {cell['critic']} | {published:.2f} | {cell['mean_difference']:.3f} "
                f"| {cell['max_sliced']:.3f} | {cell['exact']:.2f} |"
            )
        low, high = ([c["value"] for c in here if (c["dim"] <= 32) == is_low] for is_low in (True, False))
        above = sum(c["lower_bound"] > 1 + 2 * c["truth_error"] / c["truth"] for c in here)
        print(f"\nleast value: {min(low, default=np.nan):.3f} for d <= 32, {min(high, default=np.nan):.3f} above")
        print(f"lower bounds above the truth: {above} of {len(here)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--dims", type=int, nargs="+", choices=DIMS, default=DIMS)
    parser.add_argument("--funnels", type=int, nargs="+", choices=FUNNELS, default=FUNNELS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON lines; cells that are in it already are left out")
    parser.add_argument("--table", type=Path, help="print the tables of such a file and do nothing else")
    given = parser.parse_args()
    kept = given.table or given.out
    cells = [json.loads(line) for line in kept.read_text().splitlines()] if kept is not None and kept.exists() else []
    if given.table is None:
        done = {(c["dim"], c["funnels"], c["rows"], c["seed"]) for c in cells}
        for dim in given.dims:
            for funnels in given.funnels:
                if (dim, funnels, given.rows, given.seed) in done:
                    continue
                cells.append(measure(dim, funnels, given.rows, given.seconds, given.seed))
                print(json.dumps(cells[-1]), flush=True)
                if given.out is not None:
                    with given.out.open("a") as file:
                        file.write(json.dumps(cells[-1]) + "\n")
    table(cells)


if __name__ == "__main__":
    main()
