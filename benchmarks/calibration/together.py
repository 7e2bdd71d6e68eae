"""Cells of several statements at once (columns of a table, pairs of sets), and of upper bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.calibration.cell import ALPHA, Cell, Wrong
from benchmarks.calibration.statements import ABOVE_VALUE, Values, above, allowed_of, case_of, lower_bound, opened
from wdist import certify
from wdist.data.pair import SamplePair
from wdist.inference import units
from wdist.inference.registry import METHODS
from wdist.inference.simultaneous import column_lower_bounds
from wdist.options import Options

COLUMNS = "any column"
UPPER = "upper bound"


def quantiles(u: Values, shift: float) -> Values:
    """A table (n, 4) whose columns all rise with u: even, exponential, heavy-tailed, and rounded to ties."""
    exponential = -np.log1p(-u)
    return np.stack([u + shift, exponential, np.expm1(exponential) ** 0.6, np.floor(exponential)], axis=1)


def columns() -> Iterator[Cell]:
    """`column_lower_bounds`: at the given error, none of the columns may have a bound above its own W1."""

    def cell(about: str, shift: float) -> Cell:
        truth = np.array([shift, 0.0, 0.0, 0.0])

        def run(generator: np.random.Generator, number: int) -> Wrong:
            order = 1 if number % 2 else -1
            x, y = (np.sort(generator.random(n))[::order] for n in (500, 400))
            pair = opened(quantiles(x, 0.0), quantiles(y, shift), number)
            before = units.bounds_above_value
            _, bounds = column_lower_bounds(*pair.rows("train", 1_000), *pair.test_rows(1_000), ALPHA)
            return {COLUMNS: bool((bounds > truth).any()), above(COLUMNS): units.bounds_above_value > before}

        return Cell(about, about, {COLUMNS: ALPHA, above(COLUMNS): ABOVE_VALUE}, run)

    yield cell("4 columns of sorted files, equal", 0.0)
    yield cell("4 columns of sorted files, one shifted by 0.3", 0.3)


def pairs_of_sets() -> Iterator[Cell]:
    """`statements`: six pairs of four sets at error alpha / 6 each. Wrong if any of the six bounds is."""

    def cell(about: str, shift: float) -> Cell:
        def run(generator: np.random.Generator, number: int) -> Wrong:
            sets = [generator.standard_normal(400) + k * shift for k in range(4)]
            wrong = dict.fromkeys(allowed_of(), False)
            for i, j in combinations(range(4), 2):
                case = case_of(opened(sets[i], sets[j], number), within=(-4.0, 5.0))
                for method in METHODS:
                    bound, is_above = lower_bound(case, method, ALPHA / 6)
                    wrong[method] |= bound > (j - i) * shift
                    wrong[above(method)] |= is_above
            return wrong

        return Cell(about, about, allowed_of(), run)

    yield cell("6 pairs of 4 equal sets, together", 0.0)
    yield cell("6 pairs of 4 sets, shifts of 0.3, together", 0.3)


def upper_bounds() -> Iterator[Cell]:
    """A point mass at -1 as the source: transport has no choice, so that no bias hides a bound that is too low.

    Both bounds share the error, so that an upper bound may be wrong with half of it.
    """

    def cell(about: str, draw: Callable[[np.random.Generator], Values], truth: float, diameter: float) -> Cell:
        def run(generator: np.random.Generator, number: int) -> Wrong:
            pair = opened(np.full((150, 1), -1.0), draw(generator), number, diameter=diameter)
            return {UPPER: _upper(pair, diameter) < truth}

        return Cell(about, about, {UPPER: ALPHA / 2}, run)

    yield cell("point mass against two points, even", _zero_or_ten(0.5), 5.0 + 1.0, 11.0)
    yield cell("point mass against two points, the farther in 2 %", _zero_or_ten(0.02), 0.2 + 1.0, 11.0)
    yield cell("point mass against an even interval", lambda generator: generator.random((150, 1)), 0.5 + 1.0, 2.0)
    yield _standardized()


def _zero_or_ten(chance: float) -> Callable[[np.random.Generator], Values]:
    return lambda generator: np.where(generator.random((150, 1)) < chance, 10.0, 0.0)


def _standardized() -> Cell:
    """A point mass against 20 indicator columns, of which one is 1: rare levels, and deviations fitted on 30 rows."""
    levels = 20
    chances = 1.0 / np.arange(1, levels + 1)
    chances /= chances.sum()

    def run(generator: np.random.Generator, number: int) -> Wrong:
        y = np.eye(levels)[generator.choice(levels, 150, p=chances)]
        pair = opened(np.zeros_like(y), y, number, scale="standardize")
        lengths = 1 / pair.scaling.divisor
        two = np.sort(lengths)[-2:]
        upper = _upper(pair, float(np.hypot(*two)))
        return {UPPER: upper < float(chances @ lengths)}

    about = "point mass against 20 indicators, standardized"
    return Cell(about, about, {UPPER: ALPHA / 2}, run)


def _upper(pair: SamplePair, diameter: float) -> float:
    """The upper bound of an estimate. Options refuse a diameter after standardize, whose unit users do not know."""
    options: Any = SimpleNamespace(diameter=diameter, alpha=Options.checked(diameter=diameter).alpha)
    bound = certify._upper(pair, options)
    assert bound is not None
    return bound.value
