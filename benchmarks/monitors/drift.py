"""How soon is drift found, by the bounds of each batch and by the evidence of the series?

    python -m benchmarks.monitors drift [--series 100] [--kind sudden gradual seasonal] [--shifts 0.15 0.2 0.3]

Reference (3,750 rows) and batches (1,250) are normal in 20 columns. From a random week between 8 and 40 on, the mean of
one column is shifted: at once, by a twelfth more each week, or up and down with a period of 26 weeks. The critic of
each week is fitted to that week's train rows, so that before the drift it is made of noise. Delays are counted in
updates: 0 is the first drifted batch; a series in which nothing is found within 26 counts as 26. The rules say in which
updates the critic that collects evidence is replaced.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import numpy as np

from benchmarks.monitors.simulated import Rule, Series
from wdist.inference.series.schedule import is_replacement

REFERENCE, BATCH, COLUMNS, AFTER, FULL, SEASON = 3_750, 1_250, 20, 26, 12, 26


def every(weeks: int) -> Rule:
    """In the updates 1, 2, 4, ... below `weeks`, and then in each multiple of it."""
    return lambda t: t % weeks == 0 or (t < weeks and t & (t - 1) == 0)


RULES: dict[str, Rule] = {
    "every 8 (wdist)": is_replacement,
    "doubling": lambda t: t & (t - 1) == 0,
    "every 4": every(4),
    "every 16": every(16),
    "every update": lambda t: True,
}
KINDS: dict[str, Callable[[int], float]] = {
    "sudden": lambda weeks: 1.0,
    "gradual": lambda weeks: min(1.0, (weeks + 1) / FULL),
    "seasonal": lambda weeks: math.sin(math.pi * (weeks + 1) / SEASON) ** 2,
}


def delays(kind: str, shift: float, seed: int) -> dict[str, int | None]:
    """Updates from the first drifted batch to each alarm; negative for a false one, None if there is none."""
    generator = np.random.default_rng(seed)
    start = int(generator.integers(8, 41))
    series = Series(generator.normal(size=(REFERENCE, COLUMNS)), seed, RULES)
    found: dict[str, int | None] = dict.fromkeys(["bounds", *RULES])
    for week in range(1, start + AFTER):
        batch = generator.normal(size=(BATCH, COLUMNS))
        if week >= start:
            batch[:, 0] += shift * KINDS[kind](week - start)
        update = series.update(batch)
        alarms = {"bounds": update.lower_bound is not None and update.lower_bound > 0}
        alarms |= {name: share >= 1 for name, share in update.evidence.items()}
        for name, is_on in alarms.items():
            if is_on and found[name] is None:
                found[name] = week - start
    return found


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.monitors drift", description=__doc__)
    parser.add_argument("--series", type=int, default=100)
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--shifts", nargs="+", type=float, default=[0.15, 0.2, 0.3])
    given = parser.parse_args(arguments)
    print("| drift | alarm by | false | found within 26 | mean delay | with the bounds |\n" + "| --- " * 6 + "|")
    for kind in given.kind:
        for shift in given.shifts:
            runs = [delays(kind, shift, seed) for seed in range(given.series)]
            for name in runs[0]:
                print(f"| {kind}, {shift} | {name} | {_row(runs, name)} |", flush=True)


def _row(runs: list[dict[str, int | None]], name: str) -> str:
    own = [AFTER if (run[name] is None) else run[name] for run in runs]
    bounds = [AFTER if run["bounds"] is None else run["bounds"] for run in runs]
    both = [min(pair) for pair in zip(own, bounds, strict=True)]
    false = sum(delay < 0 for delay in own)
    found = np.mean([0 <= delay < AFTER for delay in own])
    return f"{false} | {found:.2f} | {np.mean(own):.1f} | {np.mean(both):.1f}"
