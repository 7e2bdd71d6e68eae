"""Are the numbers of rows that `plan_w1` gives the right ones? Plans from pilots, then estimates with as many rows.

    .venv/bin/python benchmarks/row_plan.py [--pilots 12] [--runs 60] [--case NAME]

Each line is one pair of distributions whose distance, or mean difference along the critic, is known. A plan is the mean
over pilots, from fresh rows each. For a margin, fresh estimates with as many rows give the median of value less bound,
and with it the number of rows that would have given the margin asked for. To detect, estimates with .6, 1 and 1.6 times
as many rows give the share of bounds above 0, and a curve through these shares the number of rows at which it is .8; 60
runs leave the last column open by about .06.
The last column is planned over needed: right is 1, and the goal is .8 to 1.25. A few minutes on one core.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist, fmean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wdist import Result, estimate_w1, plan_w1
from wdist.inference.sample_size.design import MARGIN as MARGIN_RATIO

Rows = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Rows]
FACTORS = 0.6, 1.0, 1.6
GOAL = 0.8, 1.25
POWER = 0.8
QUICK: dict[str, Any] = {"critic": "affine", "steps": 1}
AUTO: dict[str, Any] = {"critic": "auto", "steps": 50}
WHOLE: dict[str, Any] = {"critic": "auto"}  # one of 50 steps shows much less of so small a difference


def normal(shift: float = 0.0, deviation: float = 1.0, dimension: int = 1) -> Draw:
    """Normal rows, the first column moved by `shift`."""
    return lambda generator, n: deviation * generator.normal(size=(n, dimension)) + shift * (np.arange(dimension) == 0)


def heavy(shift: float = 0.0) -> Draw:
    """Student's t with 3 degrees of freedom, moved by `shift`."""
    return lambda generator, n: generator.standard_t(3, size=(n, 1)) + shift


@dataclass(frozen=True)
class Case:
    """One pair and what is asked. pilot: rows of each set."""

    name: str
    source: Draw
    target: Draw
    asked: dict[str, Any]
    options: dict[str, Any]
    pilot: int = 400
    ratio: float = 1.0

    def estimate(self, seed: int, n: int) -> Result:
        x, y = self.draw(seed, n, round(self.ratio * n))
        return estimate_w1(x, y, seed=seed, baseline_rows=0, empirical=False, **self.options)

    def draw(self, seed: int, n: int, m: int) -> tuple[Rows, Rows]:
        generator = np.random.default_rng([seed, n])
        return self.source(generator, n), self.target(generator, m)

    def planned(self, pilots: int) -> tuple[float, int]:
        """Mean number of source rows over the pilots whose number is known, and how many these are."""
        numbers = []
        for seed in range(pilots):
            x, y = self.draw(10_000 + seed, self.pilot, self.pilot)
            plan = plan_w1(x, y, ratio=self.ratio, seed=seed, **self.asked, **self.options)
            if plan.rows is not None:
                numbers.append(plan.rows["source"].about)
        return fmean(numbers), len(numbers)


MARGIN: dict[str, Any] = {"margin": 0.1}
DISTANCE: dict[str, Any] = {"detect": 0.25}
AGAIN: dict[str, Any] = {"detect": True}
CASES = [
    Case("normal, margin", normal(), normal(0.5), MARGIN, QUICK),
    Case("normal 1 to 3, margin", normal(), normal(0.5), MARGIN, QUICK, ratio=3.0),
    Case("deviations 1 and 2, 1 to 3, margin", normal(), normal(0.8, 2.0), MARGIN, QUICK, ratio=3.0),
    Case("t3, margin", heavy(), heavy(0.5), MARGIN, QUICK),
    Case("normal 2-d, auto, margin", normal(dimension=2), normal(0.5, dimension=2), MARGIN, AUTO),
    Case("normal, detect .25", normal(), normal(0.25), DISTANCE, QUICK),
    Case("normal 3 to 1, detect .25", normal(), normal(0.25), DISTANCE, QUICK, ratio=1 / 3),
    Case("deviations 1 and 2, detect .25", normal(), normal(0.25, 2.0), DISTANCE, QUICK),
    Case("t3, detect .25", heavy(), heavy(0.25), DISTANCE, QUICK),
    Case("normal, detect again", normal(), normal(0.25), AGAIN, QUICK, pilot=2_000),
    Case("t3, detect again", heavy(), heavy(0.4), AGAIN, QUICK, pilot=2_000),
    Case("normal 2-d, auto, detect .25", normal(dimension=2), normal(0.25, dimension=2), DISTANCE, WHOLE),
]


def needed_for_margin(case: Case, rows: int, runs: int) -> tuple[float, float]:
    """Median margin with as many rows, and the number that would have given the margin asked for."""
    results = [case.estimate(seed, rows) for seed in range(runs)]
    reached = median(result.value - result.lower_bound for result in results if result.lower_bound > 0)
    return reached, rows * (reached / case.asked["margin"]) ** 2


def needed_to_detect(case: Case, rows: int, runs: int) -> tuple[float, float]:
    """Share of bounds above 0 with as many rows, and the number with which it is .8.

    The normal quantile of the power is c sqrt(rows) - k z_confidence; c is fitted by least squares.
    """
    normal_quantile = NormalDist().inv_cdf
    shares = [
        fmean(case.estimate(1_000 * k + seed, round(factor * rows)).lower_bound > 0 for seed in range(runs))
        for k, factor in enumerate(FACTORS)
    ]
    at_zero = MARGIN_RATIO * normal_quantile(0.95)
    heights = [normal_quantile((runs * share + 0.5) / (runs + 1)) + at_zero for share in shares]
    slope = sum(math.sqrt(f) * height for f, height in zip(FACTORS, heights, strict=True)) / sum(FACTORS)
    return shares[FACTORS.index(1.0)], rows * ((normal_quantile(POWER) + at_zero) / slope) ** 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pilots", type=int, default=12)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--case", default="", help="only cases whose name contains this")
    arguments = parser.parse_args()
    print(f"{'case':<38}{'known':>7}{'planned':>9}{'reached':>9}{'needed':>9}{'ratio':>7}")
    for case in CASES:
        if arguments.case not in case.name:
            continue
        planned, known = case.planned(arguments.pilots)
        measure = needed_for_margin if "margin" in case.asked else needed_to_detect
        reached, needed = measure(case, round(planned), arguments.runs)
        ratio = planned / needed
        verdict = "" if GOAL[0] <= ratio <= GOAL[1] else "  NOT within 20 %"
        print(
            f"{case.name:<38}{known:>4}/{arguments.pilots:<2}{planned:9,.0f}{reached:9.3f}{needed:9,.0f}{ratio:7.2f}"
            f"{verdict}",
            flush=True,
        )


if __name__ == "__main__":
    main()
