"""How good are the estimates? Held-out values on real data, as means over seeds with their standard deviation.

    .venv/bin/python benchmarks/estimates.py [--case diamonds] [--seeds 3] [--data FOLDER] [--json]

- diamonds: examples/diamonds, very good against premium stones.
- wine, magic04, adult, electricity: tables of UCI and OpenML split by their label, each column standardised by the
  pooled mean and deviation. An estimate trains on 60 % of the rows and is certified on 30 % that it has not seen.
- gan, gan-quick: 20,000 MNIST digits against 20,000 of a WGAN-GP, pixels in [0, 1].
- digits: the same digits against 20,000 other digits; the truth is 0. Digits are drawn at random: in the order of the
  file MNIST's writers differ, and its first 20,000 images against the next 20,000 are a real difference (mean
  difference 0.16, 5.7 standard errors).

The data are no part of the project: FOLDER (default: WDIST_BENCH_DATA, then ../shared/data beside the repository)
must hold mnist/train-images-idx3-ubyte.gz and mnist/mnist_generated_wgan_gp.npz, and pairs/wine_quality.npz,
magic04.npz, adult.npz, electricity.npz with arrays X and y (0 or 1). Cases without data are left out, by name.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wdist import Result, estimate_w1
from wdist.data.splits import split_rows

ROOT = Path(__file__).resolve().parent.parent
ROWS = 20_000


@dataclass(frozen=True)
class Run:
    """One estimate; `errors` is |value| in standard errors of the held-out mean difference."""

    seed: int
    seconds: float
    value: float
    lower_bound: float
    p_value: float | None
    mean_difference: float | None
    lipschitz_bound: float
    errors: float
    critic: str


@dataclass(frozen=True)
class Case:
    """A pair of sample sets, the options of its estimate, and what it should reach."""

    name: str
    load: Callable[[Path], tuple[Any, Any]]
    options: dict[str, Any]
    goal: str
    reached: Callable[[list[Run]], bool]


def diamonds(_: Path) -> tuple[Any, Any]:
    folder = ROOT / "examples" / "diamonds"
    return np.load(folder / "very_good.npy"), np.load(folder / "premium.npy")


def digits(data: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """All 60,000 training images in a fixed random order."""
    with gzip.open(data / "mnist" / "train-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    return images[np.random.default_rng(0).permutation(len(images))]


def against_gan(data: Path) -> tuple[Any, Any]:
    generated = np.load(data / "mnist" / "mnist_generated_wgan_gp.npz")["images"]
    return digits(data)[:ROWS], generated[:ROWS]


def against_themselves(data: Path) -> tuple[Any, Any]:
    images = digits(data)
    return images[:ROWS], images[ROWS : 2 * ROWS]


def table_of(name: str) -> Callable[[Path], tuple[Any, Any]]:
    """Rows labelled 0 against rows labelled 1, columns standardised together."""

    def load(data: Path) -> tuple[Any, Any]:
        with np.load(data / "pairs" / f"{name}.npz", allow_pickle=False) as file:
            rows, labels = file["X"].astype(np.float64), file["y"]
        rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
        return rows[labels == 0], rows[labels == 1]

    return load


def at_least(value: float, seconds: float | None = None) -> Callable[[list[Run]], bool]:
    """Whether the mean value reaches a goal, and no run takes longer than it may."""
    return lambda runs: mean_value(runs) >= value and (seconds is None or max(run.seconds for run in runs) <= seconds)


def mean_value(runs: list[Run]) -> float:
    return statistics.fmean(run.value for run in runs)


CASES = [
    Case("diamonds", diamonds, {}, "value >= 0.72", at_least(0.72)),
    Case("wine", table_of("wine_quality"), {"baseline_rows": 0, "steps": 3_000}, "value >= 3.9", at_least(3.9)),
    Case("magic04", table_of("magic04"), {"baseline_rows": 0, "steps": 3_000}, "value >= 1.93", at_least(1.93)),
    Case("adult", table_of("adult"), {"baseline_rows": 0, "steps": 3_000}, "value >= 0.63", at_least(0.63)),
    Case("electricity", table_of("electricity"), {"baseline_rows": 0, "steps": 3_000}, "value >= 1.34", at_least(1.34)),
    Case("gan", against_gan, {"baseline_rows": 0, "max_seconds": 48}, "value >= 3.6 within 60 s", at_least(3.6, 60)),
    Case(
        "gan-quick",
        against_gan,
        {"baseline_rows": 0, "max_seconds": 6.7},
        "value >= 3.4 within 10 s",
        at_least(3.4, 10),
    ),
    Case(
        "digits",
        against_themselves,
        {"baseline_rows": 0, "max_seconds": 40},
        "|value| <= 3 standard errors, lower bound 0, p > 0.01",
        lambda runs: all(r.errors <= 3 and r.lower_bound == 0 and (r.p_value or 0) > 0.01 for r in runs),
    ),
]


def standard_error(result: Result, x: Any, y: Any) -> float:
    """Of the held-out mean difference: the scores are independent given the critic."""
    parts = ((x, 0), (y, 1))
    scores = [result.critic.evaluate(rows[split_rows(len(rows), result.seed, side).test]) for rows, side in parts]
    return float(np.sqrt(sum(s.var(ddof=1) / len(s) for s in scores))) / result.lipschitz_bound


def measure(case: Case, data: Path, seed: int) -> Run:
    x, y = case.load(data)
    started = time.perf_counter()
    result = estimate_w1(x, y, seed=seed, **case.options)
    seconds = time.perf_counter() - started
    return Run(
        seed=seed,
        seconds=seconds,
        value=result.value,
        lower_bound=result.lower_bound,
        p_value=result.p_value,
        mean_difference=result.trivial["mean_difference"],
        lipschitz_bound=result.lipschitz_bound,
        errors=abs(result.value) / standard_error(result, x, y),
        critic=result.critic.family,
    )


def spread(values: list[float]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.3f} ± {deviation:.3f}"


def table(case: Case, runs: list[Run]) -> None:
    print(f"{case.name}: {case.goal} ({', '.join(f'{k}={v}' for k, v in case.options.items()) or 'default options'})")
    for name in ("value", "lower_bound", "mean_difference", "p_value", "errors", "seconds"):
        values = [getattr(run, name) for run in runs]
        if None not in values:
            print(f"  {name:<16} {spread(values)}   {', '.join(f'{v:.4g}' for v in values)}")
    print(f"  lipschitz_bound  {max(r.lipschitz_bound for r in runs):.8f} at most; critics {[r.critic for r in runs]}")
    print(f"  {'reached' if case.reached(runs) else 'NOT reached'}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES], help="default: all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    beside = ROOT.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("WDIST_BENCH_DATA") or beside))
    parser.add_argument("--json", action="store_true", help="one line of JSON a run, instead of tables")
    arguments = parser.parse_args()
    for case in CASES:
        if arguments.case and case.name not in arguments.case:
            continue
        if case.load is not diamonds and not (arguments.data / "mnist").is_dir():
            print(f"{case.name}: left out, no data in {arguments.data}; give --data or WDIST_BENCH_DATA")
            continue
        seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
        runs = [measure(case, arguments.data, seed) for seed in seeds]
        if arguments.json:
            for run in runs:
                print(json.dumps({"case": case.name, **asdict(run)}))
        else:
            table(case, runs)


if __name__ == "__main__":
    main()
