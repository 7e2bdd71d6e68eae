"""Cells of mixed tables whose W1 is known: levels that only test rows have, and missing values.

The source is one point, so that transport has no choice: W1 is the mean distance of the target from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.calibration.cell import ALPHA, Cell, Wrong
from benchmarks.calibration.upper import EITHER, LOWER
from benchmarks.calibration.whole import STEPS, UPPER
from wdist import estimate_w1
from wdist.data.sources.files import FileRows
from wdist.data.tables.schema import TableColumn, TableSchema

RARE = 400  # levels, of which most are in few rows or none
COST = 2.0
Drawn = tuple[FileRows, FileRows, dict[str, Any]]
Truth = Callable[[Any], float]


def cell(about: str, draw: Callable[[np.random.Generator, int], Drawn], truth: Truth) -> Cell:
    """Counts wrong ends; truth: W1 under the distance of a result's `scale`, whose centre depends on the rows."""

    def run(generator: np.random.Generator, number: int) -> Wrong:
        x, y, options = draw(generator, number)
        quick: dict[str, Any] = {"steps": STEPS, "seed": number, "baseline_rows": 0, "empirical": False}
        result = estimate_w1(x, y, **quick | options)
        assert result.upper_bound is not None
        w1 = truth(result.scale)
        wrong = {LOWER: result.lower_bound > w1 * (1 + 1e-12), UPPER: result.upper_bound < w1 * (1 - 1e-12)}
        return wrong | {EITHER: any(wrong.values())}

    return Cell(f"tables: {about}", about, {LOWER: ALPHA, UPPER: ALPHA, EITHER: 2 * ALPHA}, run, "whole")


def categories(codes: np.ndarray, count: int) -> FileRows:
    """A table of one category with levels 0, 1, ..., each as it was first met."""
    levels = tuple(f"{k:04}" for k in range(count))
    return FileRows("table", codes[:, None].astype(np.float64), ["kind"], _schema("category", levels))


def numbers(values: np.ndarray) -> FileRows:
    """A table of one column of numbers that may be missing, NaN."""
    return FileRows("table", values[:, None], ["price"], _schema("number"))


def _schema(kind: Any, levels: tuple[str, ...] = ()) -> TableSchema:
    name = "kind" if kind == "category" else "price"
    return TableSchema((TableColumn(name, kind, levels),), has_levels_of_missing=kind == "number")


def rare_levels(chance: float) -> tuple[Callable[[np.random.Generator, int], Drawn], Truth]:
    """The source has one level. The target has it, too, or with this chance one of many others."""

    def draw(generator: np.random.Generator, number: int) -> Drawn:
        is_other = generator.random(300) < chance
        codes = np.where(is_other, 1 + generator.integers(0, RARE, 300), 0)
        codes = np.sort(codes) if number % 2 else np.sort(codes)[::-1]
        return categories(np.zeros(200), RARE + 1), categories(codes, RARE + 1), {"category_cost": COST}

    return draw, lambda scale: COST * chance


def equal_levels() -> tuple[Callable[[np.random.Generator, int], Drawn], Truth]:
    """Both sets draw from the same many levels."""

    def draw(generator: np.random.Generator, number: int) -> Drawn:
        sides = [np.sort(generator.integers(0, RARE, n)) for n in (200, 300)]
        return categories(sides[0], RARE), categories(sides[1], RARE), {"critic": "groupsort"}

    return draw, lambda scale: 0.0


def missing(share: float, scale: Any) -> tuple[Callable[[np.random.Generator, int], Drawn], Truth]:
    """The source is 0. The target is even in [0, 1], or missing with this chance: sqrt(c^2 + (m / s)^2) from 0."""

    def draw(generator: np.random.Generator, number: int) -> Drawn:
        values = generator.random(400)
        values[generator.random(400) < share] = np.nan
        return numbers(np.zeros(200)), numbers(values), {"category_cost": COST, "scale": scale}

    def truth(fitted: Any) -> float:
        at, divisor = fitted["missing"]["center"][0], fitted["divisor"][0]
        return float((1 - share) * 0.5 / divisor + share * np.hypot(COST, at / divisor))

    return draw, truth


def cells() -> Iterator[Cell]:
    yield cell("one level against it and 400 rare ones, 30 %", *rare_levels(0.3))
    yield cell("one level against it and 400 rare ones, 10 %", *rare_levels(0.1))
    yield cell("equal populations of 400 levels", *equal_levels())
    yield cell("0 against an even interval, 20 % missing", *missing(0.2, None))
    yield cell("0 against an even interval, 20 % missing, standardized", *missing(0.2, "standardize"))
    yield cell("0 against an even interval, 5 % missing, robust", *missing(0.05, "robust"))
