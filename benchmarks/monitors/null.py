"""How often does a year without drift raise an alarm? Fails if it is more often than chance explains.

    python -m benchmarks.monitors null [--series 1000] [--weeks 52] [--cases WORD ...] [--processes 1]

Every batch is exactly as far from the reference as the tolerance, and in most cases the critic is the function that
attains this distance, so that a bound or a bet that is wrong has its best chance to show it.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from benchmarks.monitors.simulated import Rows, Series
from wdist.data.splits import split_rows
from wdist.inference.series.budget import Shares
from wdist.inference.series.schedule import is_replacement

ALPHA = 0.05
Draw = Callable[[np.random.Generator, int, float], Rows]


@dataclass(frozen=True)
class Case:
    """draw(generator, n, shift): rows (n, d), of a batch with the shift, of the reference without.

    is_trained: whether each week's critic is fitted to the train rows of its batch; else it is the first column.
    """

    name: str
    draw: Draw
    shift: float = 0.0
    reference: int = 3_750
    batch: int = 1_250
    is_trained: bool = False
    is_sorted: bool = False

    def rows(self, generator: np.random.Generator, n: int, shift: float) -> Rows:
        rows = self.draw(generator, n, shift)
        return rows[np.argsort(rows[:, 0])] if self.is_sorted else rows


def normal(d: int) -> Draw:
    return lambda generator, n, shift: generator.normal(size=(n, d)) + shift * (np.arange(d) == 0)


def student(generator: np.random.Generator, n: int, shift: float) -> Rows:
    return generator.standard_t(2.5, size=(n, 1)) + shift


def pareto(generator: np.random.Generator, n: int, shift: float) -> Rows:
    return generator.pareto(1.5, size=(n, 1)) + shift


def even(generator: np.random.Generator, n: int, shift: float) -> Rows:
    return generator.uniform(size=(n, 1)) + shift


def coins(generator: np.random.Generator, n: int, shift: float) -> Rows:
    """0 or 1; the share of ones is 1/2 and the shift."""
    return (generator.uniform(size=(n, 1)) < 0.5 + shift).astype(float)


def rare(generator: np.random.Generator, n: int, shift: float) -> Rows:
    """One row in 500 is far away."""
    return generator.normal(size=(n, 1)) * 0.1 + 10.0 * (generator.uniform(size=(n, 1)) < 0.002) + shift


CASES = (
    Case("normal", normal(1)),
    Case("normal, 20 columns, critics fitted to each batch", normal(20), is_trained=True),
    Case("normal, files sorted by the scored column", normal(1), is_sorted=True),
    Case("Student t, 2.5 degrees", student),
    Case("Pareto 1.5", pareto),
    Case("one row in 500 far away", rare),
    Case("reference of 400 rows, batches of 10,000", normal(1), reference=400, batch=10_000),
    Case("reference of 20,000 rows, batches of 250", normal(1), reference=20_000, batch=250),
    Case("even interval, shift and tolerance 0.2", even, shift=0.2),
    Case("coins, shift and tolerance 0.2", coins, shift=0.2),
)


def year(case: Case, seed: int, weeks: int) -> tuple[bool, bool, bool]:
    """Whether one series raised a false alarm by its bounds, by its evidence, and by the mistaken product."""
    generator = np.random.default_rng([seed, *case.name.encode()])
    reference = case.rows(generator, case.reference, 0.0)
    first = None if case.is_trained else np.eye(reference.shape[1])[0]
    series = Series(
        reference,
        seed,
        {"schedule": is_replacement},
        alpha=ALPHA,
        tolerance=case.shift,
        truth=case.shift,
        direction=first,
    )
    mistaken = Product(series, case.shift)
    by_bound = by_evidence = by_product = False
    for _ in range(weeks):
        batch = case.rows(generator, case.batch, case.shift)
        update = series.update(batch)
        by_bound |= update.lower_bound is not None and update.lower_bound > case.shift
        by_evidence |= update.evidence["schedule"] >= 1
        by_product |= mistaken.is_above(batch)
    return by_bound, by_evidence, by_product


class Product:
    """A mistake: the product of bets on differences to reference rows that are used again in every week.

    Given the reference's rows, these differences do not have the mean that chance gives them: the same luck is bet on
    every week.
    """

    def __init__(self, series: Series, tolerance: float) -> None:
        self.series, self.tolerance = series, tolerance
        self.log_capital = 0.0

    def is_above(self, batch: Rows) -> bool:
        critic = self.series.critics["schedule"]
        x = critic.scores(self.series.reference[self.series.split.test]).mean()
        rows = batch[split_rows(len(batch), self.series.seed, self.series.updates).test]
        gains = critic.scores(rows) - x - self.tolerance
        stake = 0.1 / max(critic.high - critic.low, 1e-9)
        self.log_capital += float(np.log1p(stake * gains).sum())
        return self.log_capital >= math.log(1 / ALPHA)


def limits(series: int, weeks: int) -> tuple[int, int]:
    """The most false alarms by bounds and by evidence that chance explains, for all cases together in 99.9 %."""
    shares = [Shares.of(ALPHA, 1, week) for week in range(1, weeks + 1)]
    claims = sum(share.lower for share in shares), shares[0].evidence_reference + shares[0].evidence_batches
    by_bound, by_evidence = (int(binom.isf(0.001 / (2 * len(CASES)), series, claim)) for claim in claims)
    return by_bound, by_evidence


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.monitors null", description=__doc__)
    parser.add_argument("--series", type=int, default=1_000)
    parser.add_argument("--weeks", type=int, default=52)
    parser.add_argument("--cases", nargs="+", default=[""], metavar="WORD", help="only cases with one of these words")
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args(arguments)
    cases = [i for i, case in enumerate(CASES) if any(word in case.name for word in given.cases)]
    allowed = limits(given.series, given.weeks)
    print(f"{given.series:,} series of {given.weeks} weeks; chance explains up to {allowed[0]} and {allowed[1]}\n")
    print("| data | by a bound | by evidence | a product over reused rows |\n| --- | ---: | ---: | ---: |")
    failed = False
    with ProcessPoolExecutor(given.processes) as pool:
        for i in cases:
            years = list(pool.map(_year, [(i, seed, given.weeks) for seed in range(given.series)], chunksize=10))
            counts = np.array(years).sum(axis=0)
            failed |= bool((counts[:2] > allowed).any())
            print(f"| {CASES[i].name} | {counts[0]} | {counts[1]} | {counts[2]} |", flush=True)
    return int(failed)


def _year(arguments: tuple[int, int, int]) -> tuple[bool, bool, bool]:
    return year(CASES[arguments[0]], *arguments[1:])
