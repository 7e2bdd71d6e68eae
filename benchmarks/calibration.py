"""Do the bounds and p-values hold as often as they claim? Repetitions on fresh data from pairs of known W1.

    .venv/bin/python benchmarks/calibration.py [--runs 1000] [--oracle-runs 4000] [--out calibration.json]

Two kinds. *Whole*: each run draws both sets anew and calls `estimate_w1` (critic "auto", 40 steps), nothing is shared;
trained critics stay below W1, so that their bounds are wrong less often than allowed. *Oracle*: the critic is the true
potential u, E_Q u - E_P u = W1, so that a bound can only just hold; here the allowed rate can be reached or missed.
Beside our bounds, on the same scores, what is commonly used: the central limit theorem (Welch) and the percentile
bootstrap. A rate is too high where it lies above the 99.9 % point of Binomial(runs, alpha).
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process a core: before torch is imported

import numpy as np
from scipy import stats

from wdist import estimate_w1
from wdist.data.known_truth import Funnels, KnownTruth, heavy_tail_truth, identical_truth, translation_truth
from wdist.data.seeded import SeededScores
from wdist.inference.mean_bounds import clip_interval, difference_lower_bound

ALPHA = 0.05
STEPS = 40
BOOTSTRAPS = 400
METHODS = ("betting", "empirical_bernstein", "paired_betting", "clt", "bootstrap")


@dataclass(frozen=True)
class Scenario:
    """A pair with a known distance and how many rows a side are drawn; diameter: where an upper bound is asked for."""

    name: str
    pair: Callable[[], KnownTruth]
    rows: int
    diameter: float | None = None


def _rare() -> KnownTruth:
    """0 or 10, ten with probability 1 % and 3 %: W1 = 10 (0.03 - 0.01)."""

    def draw(chance: float) -> Callable[[int, np.random.Generator], Any]:
        return lambda n, generator: np.where(generator.random((n, 1)) < chance, 10.0, 0.0).astype(np.float32)

    return KnownTruth("rare", 1, 0.2, draw(0.01), draw(0.03), lambda rows: rows[:, 0].astype(np.float64))


def _funnels() -> KnownTruth:
    return Funnels(2, 4, 0).truth()


SCENARIOS = {
    "null": Scenario("null: N(0, I) in 2-d against itself", lambda: identical_truth(2), 400),
    "funnels": Scenario("4 funnels in 2-d", _funnels, 1_000, diameter=5 * np.sqrt(2)),
    "tails": Scenario("Student t, 2.5 degrees, 2-d, shift 0.5", lambda: heavy_tail_truth(2, 0.5), 600),
    "tiny": Scenario("shift 1 in 3-d, 50 test rows a side", lambda: translation_truth(3, 1.0), 100),
    "discrete": Scenario("0 or 10, ten in 1 % against 3 %", _rare, 600, diameter=10.0),
}
_pairs: dict[str, KnownTruth] = {}


def pair_of(name: str) -> KnownTruth:
    """Built once a process: the truth of funnels is a simulation of a second."""
    if name not in _pairs:
        _pairs[name] = SCENARIOS[name].pair()
    return _pairs[name]


def whole(job: tuple[str, int]) -> dict[str, Any]:
    """One estimate on fresh rows."""
    name, seed = job
    scenario, pair = SCENARIOS[name], pair_of(name)
    x, y, truth = pair.pair(scenario.rows, 1_000_000 + seed)
    result = estimate_w1(
        x, y, confidence=1 - ALPHA, seed=seed, steps=STEPS, baseline_rows=0, empirical=False, diameter=scenario.diameter
    )
    return {
        "value": result.value,
        "lower_bound": result.lower_bound,
        "upper_bound": result.upper_bound,
        "p_value": result.p_value,
        "truth": truth,
    }


def oracle(job: tuple[str, int]) -> dict[str, float]:
    """Lower bounds at error ALPHA from the true potential: chosen on one part of the rows, computed on another."""
    name, seed = job
    scenario, pair = SCENARIOS[name], pair_of(name)
    x, y, truth = pair.pair(scenario.rows, 2_000_000 + seed)
    fx, fy = pair.potential(x), pair.potential(y)
    test = max(50, round(0.3 * scenario.rows))
    low, high = clip_interval(fx[test:], fy[test:], test, test, ALPHA)
    rows = np.arange(test)  # drawn independently with a seed, so the order they were drawn in is a seeded one
    cut_x, cut_y = (SeededScores.of(side[:test].clip(low, high), rows, rows) for side in (fx, fy))
    bounds = {"truth": truth}
    for method in METHODS[:3]:
        bounds[method] = difference_lower_bound(cut_x, cut_y, low, high, ALPHA, method)
    fx, fy = fx[:test], fy[:test]
    difference, error = fy.mean() - fx.mean(), np.sqrt(fx.var(ddof=1) / test + fy.var(ddof=1) / test)
    bounds["clt"] = difference - stats.norm.ppf(1 - ALPHA) * error
    generator = np.random.default_rng([seed, 9])
    drawn = [side[generator.integers(0, test, (BOOTSTRAPS, test))].mean(axis=1) for side in (fx, fy)]
    bounds["bootstrap"] = float(np.quantile(drawn[1] - drawn[0], ALPHA))
    return {key: float(value) for key, value in bounds.items()}


def summarise(name: str, runs: list[dict[str, Any]], oracles: list[dict[str, float]]) -> dict[str, Any]:
    """Rates and what they may be."""
    truth = runs[0]["truth"]
    p_values = sorted(run["p_value"] for run in runs)
    uppers = [run["upper_bound"] for run in runs if run["upper_bound"] is not None]
    return {
        "scenario": SCENARIOS[name].name,
        "truth": truth,
        "runs": len(runs),
        "value": float(np.mean([run["value"] for run in runs])),
        "lower_bound": float(np.mean([run["lower_bound"] for run in runs])),
        "lower_above_truth": int(sum(run["lower_bound"] > truth for run in runs)),
        "upper_below_truth": int(sum(upper < truth for upper in uppers)) if uppers else None,
        "allowed": int(stats.binom.ppf(0.999, len(runs), ALPHA)),
        "p_below_alpha": int(sum(p <= ALPHA for p in p_values)),
        "p_values": [round(float(np.quantile(p_values, q)), 4) for q in np.linspace(0, 1, 101)],
        "ks": float(stats.kstest(p_values, "uniform", alternative="greater").pvalue),
        "oracle_runs": len(oracles),
        "oracle_allowed": int(stats.binom.ppf(0.999, len(oracles), ALPHA)),
        "oracle": {method: int(sum(run[method] > truth for run in oracles)) for method in METHODS},
    }


def table(found: list[dict[str, Any]]) -> None:
    print(f"\nWhole estimates, confidence {1 - ALPHA:.0%}: how often a bound was wrong\n")
    print("| pair | W1 | runs | mean value | mean bound | lower wrong | upper wrong | allowed | p <= 5 % |")
    print("|" + " --- |" * 9)
    for each in found:
        upper = "-" if each["upper_below_truth"] is None else each["upper_below_truth"]
        print(f"| {each['scenario']} | {each['truth']:.4g} | {each['runs']} | {each['value']:.3f} "
              f"| {each['lower_bound']:.3f} | {each['lower_above_truth']} | {upper} | {each['allowed']} "
              f"| {each['p_below_alpha']} |")  # fmt: skip
    null = found[0]
    print(
        f"\np-values of the null pair against the uniform distribution (one-sided Kolmogorov-Smirnov): {null['ks']:.3f}"
    )
    print("\nOracle critics: how often a lower bound was above W1, of the runs, by method\n")
    print(f"| pair | runs | {' | '.join(METHODS)} | allowed |")
    print("|" + " --- |" * (3 + len(METHODS)))
    for each in found:
        counts = " | ".join(str(each["oracle"][method]) for method in METHODS)
        print(f"| {each['scenario']} | {each['oracle_runs']} | {counts} | {each['oracle_allowed']} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--oracle-runs", type=int, default=4_000)
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, help="figures as JSON, for docs/pictures/draw.py")
    given = parser.parse_args()
    found = []
    with ProcessPoolExecutor(given.processes) as pool:
        for name in given.scenarios:
            runs = list(pool.map(whole, [(name, seed) for seed in range(given.runs)], chunksize=10))
            oracles = list(pool.map(oracle, [(name, seed) for seed in range(given.oracle_runs)], chunksize=50))
            found.append(summarise(name, runs, oracles))
            print(json.dumps({k: v for k, v in found[-1].items() if k != "p_values"}), flush=True)
            if given.out is not None:
                given.out.write_text("[\n" + ",\n".join(json.dumps(each) for each in found) + "\n]\n")
    table(found)


if __name__ == "__main__":
    main()
