"""How often is a year of approximate upper ends wrong? They promise nothing in the worst case, which this shows.

    python -m benchmarks.monitors upper [--draws 20000000]

The reference is a point at 0, so that W1 is the mean of a batch, and the upper end is the batch's mean and
z sqrt(variance / n). Nothing hides an end that is too low: for other references, cost above W1 does.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import numpy as np
from scipy import stats

from wdist.inference.series.budget import Shares

WEEKS, ALPHA = 52, 0.05
POPULATIONS: dict[str, tuple[float, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]]] = {
    "even interval": (0.5, lambda generator, size: generator.uniform(size=size)),
    "exponential": (1.0, lambda generator, size: generator.exponential(size=size)),
    "lognormal": (math.exp(0.5), lambda generator, size: generator.lognormal(size=size)),
    "Pareto 2.5": (1 / 1.5, lambda generator, size: generator.pareto(2.5, size=size)),
}


def wrong(name: str, n: int, draws: int) -> float:
    """Expected number of upper ends of a year, of batches of n rows, that are below the distance."""
    mean, draw = POPULATIONS[name]
    generator = np.random.default_rng([n, *name.encode()])
    below = stats.norm.isf([Shares.of(ALPHA, 1, week).upper for week in range(1, WEEKS + 1)])
    shares = []
    for _ in range(max(1, draws // (n * 1_000))):
        batches = draw(generator, (1_000, n))
        standard = (batches.mean(axis=1) - mean) / (batches.std(axis=1, ddof=1) / math.sqrt(n))
        shares.append((standard[:, None] < -below).mean(axis=0).sum())
    return float(np.mean(shares))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.monitors upper", description=__doc__)
    parser.add_argument("--draws", type=int, default=20_000_000, help="numbers drawn for each cell")
    given = parser.parse_args(arguments)
    promised = sum(Shares.of(ALPHA, 1, week).upper for week in range(1, WEEKS + 1))
    sizes = (500, 2_000, 10_000)
    print("| batches | " + " | ".join(f"{n:,} rows" for n in sizes) + " |\n| --- |" + " ---: |" * len(sizes))
    for name in POPULATIONS:
        print(f"| {name} | " + " | ".join(f"{wrong(name, n, given.draws):.4f}" for n in sizes) + " |", flush=True)
    print(f"\npromised {promised:.4f}")
