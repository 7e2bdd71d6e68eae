"""Cells of single rows: sorted files, heavy tails, atoms, unequal sizes, large offsets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.calibration.cell import Cell, Wrong
from benchmarks.calibration.statements import (
    COMMON,
    P_ALLOWED,
    Case,
    Values,
    allowed_of,
    case_of,
    in_common_use,
    judged,
    judged_p,
    opened,
    simulated,
)
from wdist.data.known_truth import Funnels, KnownTruth

SORTED_ROWS = 240, 170
Draw = Callable[[np.random.Generator, int], Values]


def table(generator: np.random.Generator, n: int, shift: float = 0.0) -> Values:
    """Rows (n, 3): the column that is scored, another that depends on it, and the label of one of five classes."""
    scored, own = generator.standard_normal((2, n))
    label = np.digitize(scored + own, (-1.5, -0.5, 0.5, 1.5))
    return np.stack([scored + shift, np.exp(0.8 * scored + 0.6 * own), label.astype(np.float64)], axis=1)


def in_order(rows: Values, column: int, order: int) -> Values:
    """Rows sorted by one column, ascending (1) or descending (-1)."""
    return rows[np.argsort(rows[:, column], kind="stable")[::order]]


def sorted_files() -> Iterator[Cell]:
    """The source is sorted like the target, or the other way round: that would be the worst for a bound.

    Files are ascending in one run and descending in the next.
    """

    def cell(by: str, column: int, other: int, shift: float) -> Cell:
        def run(generator: np.random.Generator, number: int) -> Wrong:
            order = 1 if number % 2 else -1
            x = in_order(table(generator, SORTED_ROWS[0]), column, order)
            y = in_order(table(generator, SORTED_ROWS[1], shift), column, order * other)
            return judged(case_of(opened(x, y, number)), shift)

        about = f"sorted by {by}, in {'the same order' if other == 1 else 'opposite orders'}"
        about += f", shift {shift:g}" if shift else ""
        return Cell(about, about, allowed_of(), run)

    for column, by in enumerate(("the scored column", "another column", "label")):
        yield cell(by, column, 1, 0.0)
    yield cell("the scored column", 0, -1, 0.0)
    yield cell("the scored column", 0, -1, 0.5)


@dataclass(frozen=True)
class Kind:
    """Two populations on the line, each sampled with (generator, rows), and their W1; Y is never to the left of X.

    within: the interval that scores lie in, if it is known and need not be chosen.
    """

    about: str
    source: Draw
    target: Draw
    w1: float
    rows: tuple[int, int] = (200, 200)
    within: tuple[float, float] | None = None


def student(generator: np.random.Generator, n: int) -> Values:
    return generator.standard_t(2.5, n)


def pareto(generator: np.random.Generator, n: int) -> Values:
    return generator.pareto(1.5, n)  # from 0 on; its mean is 2


def lognormal(generator: np.random.Generator, n: int) -> Values:
    return generator.lognormal(0.0, 1.0, n)


def normal(generator: np.random.Generator, n: int) -> Values:
    return generator.standard_normal(n)


def _even(generator: np.random.Generator, n: int) -> Values:
    return generator.random(n)


def points(chance: float, far: float) -> Draw:
    return lambda generator, n: np.where(generator.random(n) < chance, far, 0.0)


def _poisson(mean: float) -> Draw:
    return lambda generator, n: generator.poisson(mean, n).astype(np.float64)


def _changed(draw: Draw, shift: float = 0.0, factor: float = 1.0) -> Draw:
    return lambda generator, n: factor * draw(generator, n) + shift


KINDS = (
    Kind("normal, equal", normal, normal, 0.0),
    Kind("normal, shift 0.5", normal, _changed(normal, shift=0.5), 0.5),
    Kind("normal, equal, 50 test rows a side", normal, normal, 0.0, (100, 100)),
    Kind("normal, equal, 100 rows against 2,000", normal, normal, 0.0, (100, 2_000)),
    Kind("normal, shift 0.5, 2,000 rows against 100", normal, _changed(normal, shift=0.5), 0.5, (2_000, 100)),
    Kind("even interval, shift 0.3", _even, _changed(_even, shift=0.3), 0.3, within=(0.0, 1.3)),
    Kind("Student t, 2.5 degrees, equal", student, student, 0.0),
    Kind("Student t, 2.5 degrees, shift 0.5", student, _changed(student, shift=0.5), 0.5),
    Kind("Pareto 1.5, equal", pareto, pareto, 0.0),
    Kind("Pareto 1.5, stretched by 1.5", pareto, _changed(pareto, factor=1.5), 1.0),
    Kind("lognormal, equal", lognormal, lognormal, 0.0),
    Kind("lognormal, stretched by 1.5", lognormal, _changed(lognormal, factor=1.5), 0.5 * float(np.exp(0.5))),
    Kind("atoms: Poisson 0.5, equal", _poisson(0.5), _poisson(0.5), 0.0),
    Kind("atoms: Poisson 0.5 against 0.8", _poisson(0.5), _poisson(0.8), 0.3),
    Kind("two points, even, equal", points(0.5, 1.0), points(0.5, 1.0), 0.0, within=(0.0, 1.0)),
    Kind("two points, 0.3 against 0.5", points(0.3, 1.0), points(0.5, 1.0), 0.2, within=(0.0, 1.0)),
    Kind("0 or 10, ten in 1 %, equal", points(0.01, 10.0), points(0.01, 10.0), 0.0, (600, 600), (0.0, 10.0)),
    Kind(
        "0 or 10, ten in 1 %, equal, 100 rows against 2,000",
        *(points(0.01, 10.0), points(0.01, 10.0), 0.0, (100, 2_000), (0.0, 10.0)),
    ),
    Kind("0 or 10, ten in 1 % against 3 %", points(0.01, 10.0), points(0.03, 10.0), 0.2, (600, 600), (0.0, 10.0)),
)


def drawn(kind: Kind, generator: np.random.Generator) -> tuple[Values, Values]:
    """A sample of each population."""
    n, m = kind.rows
    return kind.source(generator, n), kind.target(generator, m)


def one_dimensional() -> Iterator[Cell]:
    """Heavy tails, atoms, two points, unequal sizes; beside our bounds, what is in common use."""

    def cell(kind: Kind) -> Cell:
        def run(generator: np.random.Generator, number: int) -> Wrong:
            case = case_of(opened(*drawn(kind, generator), number), within=kind.within)
            return judged(case, kind.w1) | in_common_use(case, kind.w1, generator)

        return Cell(kind.about, kind.about, allowed_of() | COMMON, run)

    for kind in KINDS:
        yield cell(kind)


@cache
def _funnels() -> KnownTruth:
    return Funnels(2, 4, 0).truth()  # simulates its W1 for a second


def two_dimensional() -> Iterator[Cell]:
    def run(generator: np.random.Generator, number: int) -> Wrong:
        pair = _funnels()
        x, y = pair.draw_source(300, generator), pair.draw_target(300, generator)
        case = case_of(opened(x, y, number), lambda rows: pair.potential(rows.astype(np.float32)))
        return judged(case, pair.w1) | in_common_use(case, pair.w1, generator)

    yield Cell("4 funnels in 2-d", "4 funnels in 2-d", allowed_of() | COMMON, run)


def stored_w1(dtype: Any, offset: float, shift: float) -> float:
    """W1 between offset + N(0, 1) and offset + shift + N(0, 1), as rounded to numbers of a type.

    Rounding keeps the order, so that this is the difference of the means: the step times the sum, over the points
    where rounding changes, of how much more often Y is beyond. For steps far below 1 it is the shift.
    """
    step = float(np.spacing(dtype(offset)))
    if step < 0.05:
        return shift
    nearest = float(dtype(offset))
    reach = int(np.ceil(40 / step)) + 2
    changes = nearest - offset + step * (np.arange(-reach, reach) + 0.5)
    return step * float((stats.norm.cdf(changes) - stats.norm.cdf(changes - shift)).sum())


# Half a step of float32 beyond 1e12: the rows have two values, 65,536 apart.
BETWEEN_STEPS = 1e12 + 0.5 * float(np.spacing(np.float32(1e12))) + (float(np.float32(1e12)) - 1e12)
OFFSETS: tuple[tuple[Any, float, float | None], ...] = (
    (np.float64, 1e9, 3.0),
    (np.float64, 1e12, None),
    (np.float32, 1e6, 3.0),
    (np.float32, 3e7, 3.0),
    (np.float32, BETWEEN_STEPS, 3.0),
)
OFFSET_SHIFT = 0.25


def at_offset(generator: np.random.Generator, dtype: Any, offset: float, n: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows (n, 1) of N(0, 1) and of its shift, added to an offset and stored as a type."""
    x, y = generator.standard_normal((2, n, 1)) + offset
    return x.astype(dtype), (y + OFFSET_SHIFT).astype(dtype)


def offset_about(dtype: Any, offset: float, scale: float | None) -> str:
    shown = f"{offset:.0e}".replace("e+0", "e").replace("e+", "e")
    divided = f", scale {scale:g}" if scale else ""
    return f"{np.dtype(dtype).name}, offset {shown} times the spread{divided}"


def offsets() -> Iterator[Cell]:
    def cell(dtype: Any, offset: float, scale: float | None) -> Cell:
        truth = stored_w1(dtype, offset, OFFSET_SHIFT) / (scale or 1.0)

        def run(generator: np.random.Generator, number: int) -> Wrong:
            pair = opened(*at_offset(generator, dtype, offset, 200), number, scale=scale)
            return judged(case_of(pair), truth)

        about = offset_about(dtype, offset, scale)
        return Cell(about, about, allowed_of(), run)

    for each in OFFSETS:
        yield cell(*each)


def p_values() -> Iterator[Cell]:
    """Only nulls. Beyond 10,000 test scores, the permutations are cyclic shifts."""

    def cell(about: str, case: Callable[[np.random.Generator, int], Case], most: int | None = None) -> Cell:
        def run(generator: np.random.Generator, number: int) -> Wrong:
            return judged_p(case(generator, number), number)

        return Cell(about, about, P_ALLOWED, run, most=most)

    def of_files(generator: np.random.Generator, number: int) -> Case:
        x, y = in_order(table(generator, 120), 0, 1), in_order(table(generator, 100), 0, -1)
        return case_of(opened(x, y, number), within=(-8.0, 8.0))

    def of_few(generator: np.random.Generator, number: int) -> Case:
        pair = opened(lognormal(generator, 100), lognormal(generator, 300), number)
        return case_of(pair, within=(0.0, 1e3))

    def of_many(generator: np.random.Generator, number: int) -> Case:
        return simulated(lognormal(generator, 100), lognormal(generator, 10_000), 0.0, 1e6)

    yield cell("p: rows of sorted files", of_files, 2_500)
    yield cell("p: lognormal rows, 100 against 300", of_few, 2_500)
    yield cell("p: lognormal scores, 100 against 10,000", of_many)
