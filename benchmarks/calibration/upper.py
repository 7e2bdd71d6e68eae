"""Cells of the upper end, and of both ends of one estimate.

Transport has no choice in them: the source is a point mass, or all mass moves in one direction along a line. Then every
plan costs the mean difference of the rows, which is W1 on average, and no bias hides an end that is too low.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.calibration.cell import ALPHA, Cell, Wrong
from benchmarks.calibration.groups import Side, rows_of
from benchmarks.calibration.rows import Draw, Kind, drawn
from benchmarks.calibration.statements import Values, case_of, first_column, lower_bound, opened
from wdist import certify
from wdist.data.pair import SamplePair
from wdist.options import Options
from wdist.transport.upper import UpperEnd, upper_end_of_rows

LOWER, APPROXIMATE, FINITE, EITHER = "lower", "approximate", "finite-sample", "either end"
RULER = "standardized by the rows that the end uses"
EVEN = np.full(100, 0.01)  # the chances of 100 indicators
LEVELS = (ALPHA, 2 * ALPHA)  # of the table where the approximate end fails

Ends = tuple[float, float]


def upper_end(pair: SamplePair, **options: Any) -> UpperEnd:
    """As `estimate_w1` computes it from these options."""
    end = certify.upper_end(pair, Options.checked(seed=pair.seed, **options))
    assert isinstance(end, UpperEnd), end
    return end


def judged_ends(
    pair: SamplePair,
    truth: float,
    potential: Callable[[Values], Values] = first_column,
    within: Ends | None = None,
    ranges: Ends | None = None,
) -> dict[str, bool]:
    """Which ends of one estimate are on the wrong side of W1. ranges: of all columns, for the finite-sample end."""
    lower, _ = lower_bound(case_of(pair, potential, within))
    wrong = {LOWER: lower > truth, APPROXIMATE: upper_end(pair).bound(ALPHA) < truth}
    wrong[EITHER] = any(wrong.values())
    if ranges is not None:
        wrong[FINITE] = upper_end(pair, ranges=list(ranges)).bound(ALPHA) < truth
    return wrong


def allowed_ends(has_ranges: bool) -> dict[str, float | None]:
    """For the statements of `judged_ends`."""
    finite: dict[str, float | None] = {FINITE: ALPHA} if has_ranges else {}
    return {LOWER: ALPHA, APPROXIMATE: ALPHA} | finite | {EITHER: 2 * ALPHA}


def at(place: float) -> Draw:
    """A point mass."""
    return lambda generator, n: np.full(n, place)


def even(low: float) -> Draw:
    """An even interval of length 1."""
    return lambda generator, n: low + generator.random(n)


def two(near: float, far: float, chance: float) -> Draw:
    """Two points, the farther one with this chance."""
    return lambda generator, n: np.where(generator.random(n) < chance, far, near)


def normal(mean: float) -> Draw:
    return lambda generator, n: mean + generator.standard_normal(n)


ON_THE_LINE = (
    Kind("point mass against an even interval, 150 rows", at(-1), even(0), 1.5, (150, 150), (-1, 1)),
    Kind("point mass against 0 or 10, even, 600 rows", at(-1), two(0, 10, 0.5), 6.0, (100, 600), (-1, 10)),
    Kind("two points against two beyond", two(0, 1, 0.5), two(1, 4, 0.3), 1.4, (300, 500), (0, 4)),
    Kind("even interval against the next one, 100 rows against 2,000", even(-1), even(0), 1.0, (100, 2_000), (-1, 1)),
    Kind("normal, shift 1, 500 rows", normal(0), normal(1), 1.0, (500, 500)),
)


def on_the_line() -> Iterator[Cell]:
    def cell(kind: Kind) -> Cell:
        def run(generator: np.random.Generator, number: int) -> Wrong:
            pair = opened(*drawn(kind, generator), number)
            return judged_ends(pair, kind.w1, within=kind.within, ranges=kind.within)

        return Cell(kind.about, kind.about, allowed_ends(kind.within is not None), run)

    for kind in ON_THE_LINE:
        yield cell(kind)


def length(rows: Values) -> Values:
    """Distance from 0: the potential of a point mass there."""
    return np.asarray(np.linalg.norm(rows, axis=1))


def along(rows: Values) -> Values:
    """The place along the diagonal."""
    return rows.sum(axis=1) / np.sqrt(rows.shape[1])


def in_columns() -> Iterator[Cell]:
    """Populations on the diagonal of three columns, where the variance of a row is that of the potential."""

    def cell(about: str, source: Draw, target: Draw, truth: float, potential: Callable[[Values], Values]) -> Cell:
        def run(generator: np.random.Generator, number: int) -> Wrong:
            x, y = (draw(generator, n)[:, None] * np.ones(3) for draw, n in ((source, 100), (target, 150)))
            within = (-np.sqrt(3.0), np.sqrt(3.0))
            return judged_ends(opened(x, y, number), truth, potential, within, ranges=(-1.0, 1.0))

        return Cell(about, about, allowed_ends(has_ranges=True), run)

    yield cell("3 columns: point mass against a diagonal", at(0), even(0), np.sqrt(0.75), length)
    yield cell("3 columns: half a diagonal against the other half", even(-1), even(0), np.sqrt(3.0), along)


def indicators(generator: np.random.Generator, chances: Values, n: int) -> Values:
    """Rows (n, levels) with a 1 in one column, each with its chance."""
    return np.eye(len(chances))[generator.choice(len(chances), n, p=chances)]


def of_indicators() -> Iterator[Cell]:
    """Distances in deviations of the columns, which come from the select rows: the end uses all others."""

    def cell(about: str, chances: Values, n: int, most: int | None = None) -> Cell:
        def run(generator: np.random.Generator, number: int) -> Wrong:
            y = indicators(generator, chances, n)
            pair = opened(np.zeros((100, len(chances))), y, number, scale="standardize")
            lengths = 1 / pair.scaling.divisor
            within = (0.0, float(lengths.max()))
            return judged_ends(pair, float(chances @ lengths), length, within, ranges=(0.0, 1.0))

        return Cell(about, about, allowed_ends(has_ranges=True), run, most=most)

    falling = 1.0 / np.arange(1, 21)
    yield cell("standardized: point mass against 20 indicators, some rare", falling / falling.sum(), 150)
    yield cell("standardized: point mass against 100 indicators", EVEN, 300, 2_500)


def own_ruler(generator: np.random.Generator, number: int) -> Wrong:
    """A mistake: the deviations come from the rows that the end uses."""
    y = indicators(generator, EVEN, 300)
    deviations = y.std(axis=0)
    divisor = np.where(deviations > 0, deviations, 1.0)
    pair = opened(np.zeros((100, 100)), y, number, scale=list(divisor))
    return {APPROXIMATE: upper_end(pair).bound(ALPHA) < float(EVEN @ (1 / divisor))}


@dataclass(frozen=True)
class Layout:
    """Groups of 1 to 3 equal rows, with effects from 0 to -1 in the source and from 0 to 1 in the target.

    shared groups are in both sets, with opposite effects: what chance does to one side it does to the other, too. The
    other groups are in one set.
    """

    shared: int
    source: int
    target: int

    def draw(self, generator: np.random.Generator, order: int) -> tuple[Side, Side]:
        """Both files, sorted by label, ascending (1) or descending (-1)."""
        effects = generator.random(self.shared)
        sides = []
        for sign, count, first in ((-1, self.source, 1_000), (1, self.target, 2_000)):
            mine = sign * np.concatenate([effects, generator.random(count)])
            labels = np.concatenate([np.arange(self.shared), first + np.arange(count)])
            rows, of_rows = rows_of(generator, labels, mine, generator.integers(1, 4, len(labels)), order, noise=0.0)
            sides.append((rows, of_rows))
        return sides[0], sides[1]


LAYOUTS = {
    "no group in both sets": Layout(0, 150, 220),
    "all groups in both sets, opposite effects": Layout(200, 0, 0),
    "90 % of the groups in both sets, opposite effects": Layout(180, 20, 20),
}


def of_groups() -> Iterator[Cell]:
    def cell(about: str, layout: Layout) -> Cell:
        def run(generator: np.random.Generator, number: int) -> Wrong:
            (x, labels_x), (y, labels_y) = layout.draw(generator, 1 if number % 2 else -1)
            pair = opened(x, y, number, (labels_x, labels_y))
            return judged_ends(pair, 1.0, within=(-1.0, 1.0))

        return Cell(f"groups: {about}", f"groups: {about}", allowed_ends(has_ranges=False), run)

    for about, layout in LAYOUTS.items():
        yield cell(about, layout)


def cells() -> Iterator[Cell]:
    yield from on_the_line()
    yield from in_columns()
    yield from of_indicators()
    yield from of_groups()


@dataclass(frozen=True)
class _Rows:
    """Rows (n, 1) in memory."""

    values: Values

    @property
    def n(self) -> int:
        return len(self.values)

    def rows(self, index: NDArray[np.integer[Any]] | slice) -> Values:
        return self.values[index]


def at_level(level: float) -> str:
    return f"{APPROXIMATE} at {level:.0%}".replace("%", " %")


@dataclass(frozen=True)
class Hard:
    """A population on the line from 0 on, against a point mass at 0: W1 is its mean.

    draw: (generator, n) -> (n,). largest: of its values, if they have one.
    """

    about: str
    draw: Draw
    mean: float
    n: int
    largest: float | None = None

    def run(self, generator: np.random.Generator, number: int) -> Wrong:
        """The rows in the order they were drawn in, since the upper end does not depend on it."""
        y = self.draw(generator, self.n)[:, None]
        sides = _Rows(np.zeros((2, 1))), _Rows(y)
        make = partial(upper_end_of_rows, *sides, (np.arange(2), np.arange(self.n)), "none", number)
        end = make()
        assert isinstance(end, UpperEnd)
        wrong = {at_level(level): end.bound(level) < self.mean for level in LEVELS}
        if self.largest is not None:
            finite = make(diameter=self.largest)
            assert isinstance(finite, UpperEnd)
            wrong[FINITE] = finite.bound(ALPHA) < self.mean
        return wrong


def hard() -> Iterator[Hard]:
    """Heavy tails, rare parts of a population, and few rows of few values."""
    tails: tuple[tuple[str, Draw, float], ...] = (
        ("lognormal", lambda generator, n: generator.lognormal(0.0, 1.0, n), float(np.exp(0.5))),
        ("size of Student t, 2.5 degrees", _student_size, float(stats.t.expect(np.abs, (2.5,)))),
        ("Pareto 1.5", lambda generator, n: generator.pareto(1.5, n), 2.0),
    )
    for about, draw, mean in tails:
        for n in (100, 500, 2_000):
            yield Hard(f"{about}, {n:,} rows", draw, mean, n)
    for rows in (1, 3, 10):
        yield Hard(f"0 or 10, ten in {rows} of 500 rows on average", two(0, 10, rows / 500), 10 * rows / 500, 500, 10.0)
    yield Hard("0 or 1, one in 30 %, 200 rows", two(0, 1, 0.3), 0.3, 200, 1.0)


def _student_size(generator: np.random.Generator, n: int) -> Values:
    return np.abs(generator.standard_t(2.5, n))


def failing() -> Iterator[Cell]:
    """The approximate end promises nothing here, and is counted. The finite-sample end has to hold."""
    for each in hard():
        allowed: dict[str, float | None] = {at_level(level): None for level in LEVELS}
        allowed |= {} if each.largest is None else {FINITE: ALPHA}
        yield Cell(f"upper fails: {each.about}", each.about, allowed, each.run)
