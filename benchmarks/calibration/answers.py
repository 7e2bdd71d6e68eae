"""Cells of the answer itself: how often "They differ" is said of two samples of one population.

The words are those of `wdist.definitions.results.verdict`, made from the bound and the p-value of each sample. The
critic is fixed, and scores are those of held-out rows, or means of held-out groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.calibration.cell import ALPHA, Cell, Wrong
from benchmarks.calibration.rows import Draw, lognormal, normal, points, student
from benchmarks.calibration.statements import DEFAULT, Case, lower_bound
from wdist.data.seeded import SeededScores
from wdist.definitions.results.verdict import verdict
from wdist.errors import SampleError
from wdist.inference.mean_bounds import clip_interval
from wdist.inference.units import Layout, Units, p_value_of

EITHER_TEST, SAID, UNDECIDED = "either test", "they differ", "undecided"
ALLOWED: dict[str, float | None] = {SAID: ALPHA, EITHER_TEST: None, UNDECIDED: None}
SPLITS = {"rows": "random", "apart": "groups", "own": "groups"}


@dataclass(frozen=True)
class Null:
    """One population, how many held-out units of each set are drawn from it, and what the units are."""

    about: str
    draw: Draw
    units: tuple[int, int]
    layout: Layout = "rows"
    most: int | None = None


NULLS = (
    Null("normal, 50 rows", normal, (50, 50), most=2_000),
    Null("coins, 50 rows", points(0.5, 1.0), (50, 50), most=2_000),
    Null("lognormal, 50 rows against 200", lognormal, (50, 200), most=2_000),
    Null("Student t, 2.5 degrees, 200 rows", student, (200, 200), most=2_000),
    Null("normal, 6,000 rows", normal, (6_000, 6_000), most=2_000),
    Null("normal, 50 groups, none in both sets", normal, (50, 50), "apart"),
    Null("coins, 200 groups, none in both sets", points(0.5, 1.0), (200, 200), "apart"),
    Null("coins, 200 groups, all in both sets", points(0.5, 1.0), (200, 200), "own"),
    Null("lognormal, 50 groups against 500, none in both sets", lognormal, (50, 500), "apart"),
)


def case_of(null: Null, generator: np.random.Generator) -> Case:
    """Held-out scores, clipped and bet on as as many other ones advise. Raises SampleError for constant ones."""
    seen = [null.draw(generator, n) for n in null.units]
    low, high = clip_interval(seen[0], seen[1], *null.units, ALPHA, DEFAULT)
    if not low < high:
        raise SampleError("all scores are equal")
    prior_x, prior_y = ((float(side.mean()), float(side.std())) for side in (each.clip(low, high) for each in seen))
    sides = (null.draw(generator, n).clip(low, high) for n in null.units)
    fx, fy = (SeededScores.of(side, np.arange(len(side)), np.arange(len(side))) for side in sides)
    return Case(Units(fx, fy, null.layout), low, high, (prior_x, prior_y))


def answer(null: Null, case: Case, number: int) -> Wrong:
    """What the bound, the p-value and the verdict say."""
    bound, _ = lower_bound(case)
    p_value = p_value_of(case.units, case.low, case.high, ALPHA, case.prior, number)
    figures = {
        "value": bound,
        "lower_bound": max(0.0, bound),
        "p_value": p_value,
        "confidence": 1 - ALPHA,
        "split": SPLITS[null.layout],
        "groups": None if null.layout == "rows" else {"source": null.units[0], "target": null.units[1]},
        "method_version": 2,
    }
    said = verdict(figures)
    return {
        SAID: said.headline.startswith("They differ"),
        EITHER_TEST: bound > 0 or p_value <= ALPHA,
        UNDECIDED: said.kind == "undecided",
    }


def cells() -> Iterator[Cell]:
    def cell(null: Null) -> Cell:
        def run(generator: np.random.Generator, number: int) -> Wrong:
            return answer(null, case_of(null, generator), number)

        return Cell(f"answer: {null.about}", null.about, ALLOWED, run, most=null.most)

    for null in NULLS:
        yield cell(null)
