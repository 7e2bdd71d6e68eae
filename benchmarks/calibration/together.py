"""Cells of several statements at once (columns of a table, pairs of sets)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from benchmarks.calibration.cell import ALPHA, Cell, Wrong
from benchmarks.calibration.statements import ABOVE_VALUE, Values, above, allowed_of, case_of, lower_bound, opened
from benchmarks.calibration.upper import upper_end
from wdist.data.pair import Shared
from wdist.inference import units
from wdist.inference.registry import METHODS
from wdist.inference.simultaneous import column_lower_bounds

COLUMNS = "any column"
UPPER = "upper end"


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

        return Cell(about, about, {COLUMNS: ALPHA, above(COLUMNS): ABOVE_VALUE}, run, most=5_000)

    yield cell("4 columns of sorted files, equal", 0.0)
    yield cell("4 columns of sorted files, one shifted by 0.3", 0.3)


def pairs_of_sets() -> Iterator[Cell]:
    """`statements`: six pairs of four sets, each split once, at error alpha / 6. Wrong if any of the six bounds is.

    Sets that are apart are each above the one before, so that transport has no choice (`benchmarks.calibration.upper`).
    """

    def cell(about: str, shift: float) -> Cell:
        allowed = allowed_of() | {UPPER: ALPHA}

        def run(generator: np.random.Generator, number: int) -> Wrong:
            sets = [generator.random(400) + k * shift for k in range(4)]
            wrong = dict.fromkeys(allowed, False)
            for i, j in combinations(range(4), 2):
                pair = opened(sets[i], sets[j], number, shared=Shared((i, j), sets[0], "0"))
                case = case_of(pair, within=(i * shift, j * shift + 1.0))
                for method in METHODS:
                    bound, is_above = lower_bound(case, method, ALPHA / 6)
                    wrong[method] |= bound > (j - i) * shift
                    wrong[above(method)] |= is_above
                wrong[UPPER] |= upper_end(pair).bound(ALPHA / 6) < (j - i) * shift
            return wrong

        return Cell(about, about, allowed, run, most=5_000)

    yield cell("6 pairs of 4 equal sets, together", 0.0)
    yield cell("6 pairs of 4 sets, each above the one before, together", 1.0)
