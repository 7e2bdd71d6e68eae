"""How cheap is a transport plan, and how wide is the interval? Plans by several methods, beside the critic's bound.

    .venv/bin/python benchmarks/upper.py [--case NAME] [--rows 1000,10000,100000] [--dimensions 2,16,128] [--full]

Diamonds, and normal rows of which one side is moved by 1 (W1 is 1), at each number of rows a side and dimension. For
each method: processor seconds, their share of those of default training, the plan's cost, the upper end at 95 %
(cost + 1.645 sqrt(tr Cov X / n + tr Cov Y / m)), and the upper end over the critic's lower bound.

- `K blocks`: exact transport between K blocks of consecutive rows in a random order; --full adds 2 blocks and 1.
- `halvings`: the plan that the shipped rule starts from. `standard`, `tight`: the shipped rule.
- `sparse`: POT's sparse network simplex over the pairs of `standard` and the ten targets nearest to where `standard`
  sends each source row.

Sets of 100,000 rows a side only get the shipped rule, without training.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import NormalDist

import numpy as np
from estimates import diamonds
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.spatial import cKDTree

from wdist import estimate_w1
from wdist.data.known_truth import translation_truth
from wdist.transport import plans
from wdist.transport.exact import exact_w1, plan_between
from wdist.transport.plans import Plan, feasible_plan
from wdist.transport.pot import load_emd2

Values = NDArray[np.float64]
Method = Callable[[Values, Values], Plan]
ALL_METHODS = 10_000  # rows a side up to which every method runs
NEAREST = 10


def equal(rows: Values) -> Values:
    return np.full(len(rows), 1 / len(rows))


def shipped(effort: plans.Effort) -> Method:
    return lambda x, y: feasible_plan(x, y, equal(x), equal(y), effort, 0)


def halvings(x: Values, y: Values) -> Plan:
    """The shipped rule without a pass."""
    rule = plans.work
    plans.work = lambda n, m, effort: plans.Work(1, 0)
    try:
        return feasible_plan(x, y, equal(x), equal(y), "standard", 0)
    finally:
        plans.work = rule


def blocks(count: int) -> Method:
    """Row i of n owns the mass from i/n to (i+1)/n, block b of K that from b/K to (b+1)/K: rows at a cut are split."""

    def plan(x: Values, y: Values) -> Plan:
        generator = np.random.default_rng(0)
        order_x, order_y = generator.permutation(len(x)), generator.permutation(len(y))
        parts = []
        for block in range(count):
            (rows_x, mass_x), (rows_y, mass_y) = (
                (order[first : first + len(mass)], mass)
                for order in (order_x, order_y)
                for first, mass in [owned(len(order), block, count)]
            )
            _, masses, _ = plan_between(x[rows_x], y[rows_y], mass_x, mass_y)
            i, j = np.nonzero(masses)
            parts.append((rows_x[i], rows_y[j], masses[i, j] / count))
        return Plan(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    return plan


def owned(n: int, block: int, count: int) -> tuple[int, Values]:
    """The first row of a block, and the share of the block that each of its rows has."""
    start, stop = block * n, (block + 1) * n
    first, last = start // count, (stop - 1) // count
    return first, np.diff(np.clip(np.arange(first, last + 2) * count, start, stop)) / n


def sparse(x: Values, y: Values) -> Plan:
    start = feasible_plan(x, y, equal(x), equal(y), "standard", 0)
    sent = np.zeros_like(x)
    np.add.at(sent, start.source, y[start.target] * start.mass[:, None] * len(x))
    _, nearest = cKDTree(y).query(sent, k=NEAREST)
    keys = np.union1d(
        start.source * len(y) + start.target, np.repeat(np.arange(len(x)), NEAREST) * len(y) + nearest.ravel()
    )
    i, j = keys // len(y), keys % len(y)
    costs = coo_matrix((np.linalg.norm(x[i] - y[j], axis=1), (i, j)), shape=(len(x), len(y)))
    weights = np.bincount(start.source, start.mass, len(x)), np.bincount(start.target, start.mass, len(y))
    _, log = load_emd2()(*weights, costs, numItermax=100_000_000, log=True, return_matrix=True)
    flows = log["G"].tocoo()
    is_used = flows.data > 0
    return Plan(flows.row[is_used].astype(np.int64), flows.col[is_used].astype(np.int64), flows.data[is_used])


def methods(rows: int, is_full: bool) -> Iterator[tuple[str, Method]]:
    yield "halvings", halvings
    yield "standard", shipped("standard")
    yield "tight", shipped("tight")
    if rows <= ALL_METHODS * 2:
        yield "sparse", sparse
        for count in (12, 4, 2, 1) if is_full else (12, 4):
            yield f"{count} blocks", blocks(count)


def cases(arguments: argparse.Namespace) -> Iterator[tuple[str, Callable[[], tuple[Values, Values]]]]:
    yield "diamonds", lambda: diamonds(Path())
    for n in arguments.rows:
        for d in arguments.dimensions:
            yield f"shift n={n} d={d}", lambda n=n, d=d: translation_truth(d, 1.0).pair(n, 3_000_000)[:2]


def trained(x: Values, y: Values) -> tuple[float, float]:
    """Processor seconds of a default estimate without an upper end, and its lower bound."""
    started = time.process_time()
    result = estimate_w1(x, y, seed=0, baseline_rows=0, empirical=False, upper="none")
    return time.process_time() - started, result.lower_bound


def show(name: str, pair: tuple[Values, Values], is_full: bool) -> None:
    x, y = (np.asarray(rows, dtype=np.float64) for rows in pair)
    variance = sum(float(rows.var(axis=0, ddof=1).sum()) / len(rows) for rows in (x, y))
    deviation = NormalDist().inv_cdf(0.95) * math.sqrt(variance)
    rows = max(len(x), len(y))
    training, lower = trained(*pair) if rows <= ALL_METHODS * 2 else (math.nan, math.nan)
    print(f"\n{name}: training {training:.1f} s, lower bound {lower:.4f}, deviation {deviation:.4f}")
    print(f"{'method':<12}{'pairs':>9}{'seconds':>9}{'share':>7}{'cost':>9}{'upper':>9}{'upper/lower':>13}")
    for method, plan_of in methods(rows, is_full):
        started = time.process_time()
        plan = plan_of(x, y)
        seconds = time.process_time() - started
        cost = plan.cost(x, y)
        upper = cost + deviation
        print(
            f"{method:<12}{len(plan.mass):>9,}{seconds:>9.2f}{seconds / training:>7.0%}{cost:>9.4f}{upper:>9.4f}"
            f"{upper / lower if lower else math.inf:>13.2f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def numbers(text: str) -> list[int]:
        return [int(part) for part in text.split(",")]

    parser.add_argument("--case", help="only cases whose name starts so")
    parser.add_argument("--rows", type=numbers, default=[1_000, 10_000, 100_000])
    parser.add_argument("--dimensions", type=numbers, default=[2, 16, 128])
    parser.add_argument("--full", action="store_true", help="also exact transport in 2 blocks and in 1: minutes a case")
    arguments = parser.parse_args()
    small = np.random.default_rng(0).random((2, 200, 2))
    exact_w1(*small)  # loads the solver
    estimate_w1(*small, steps=2)
    for name, pair in cases(arguments):
        if name.startswith(arguments.case or ""):
            show(name, pair(), arguments.full)


if __name__ == "__main__":
    main()
