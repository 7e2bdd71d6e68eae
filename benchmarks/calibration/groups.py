"""Cells of groups: in none, some or all of them in both sets, of equal and unequal sizes, in files sorted by label."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.calibration.cell import Cell, Wrong
from benchmarks.calibration.statements import P_ALLOWED, Case, Values, allowed_of, case_of, judged, judged_p, opened
from wdist.data.seeded import SeededScores
from wdist.inference.units import units_of_groups

Labels = NDArray[np.int64]
Side = tuple[Values, Labels]

OF_MIXED = ("betting", "empirical_bernstein", "target_stakes")  # paired_betting: all groups or none in both sets
BY_SIZE = "groups of 1 to 1,000 rows"
SEPARATION = 6.0  # deviations, between groups in both sets and the others


def rows_of(
    generator: np.random.Generator, labels: Labels, effects: Values, sizes: Labels, order: int, noise: float = 1.0
) -> Side:
    """Rows of groups with an effect each, and noise; the file is sorted by label, ascending (1) or descending (-1).

    noise: its deviation.
    """
    place = np.repeat(np.argsort(labels)[::order], sizes[np.argsort(labels)[::order]])
    return effects[place] + noise * generator.standard_normal(len(place)), labels[place]


def strata(generator: np.random.Generator, share: float, number: int) -> tuple[Side, Side]:
    """360 groups; on either side, a share of the groups is in both sets, has small labels and lies 6 deviations away.

    Each group is drawn by itself, so that both sides have one population.
    """
    kind = generator.choice(3, 360, p=np.array([share, 1 - share, 1 - share]) / (2 - share))  # both, source, target
    effects = generator.standard_normal(360) + SEPARATION * (kind == 0)
    labels = np.arange(360) + 1_000 * kind
    sides = []
    for other in (2, 1):
        mine = kind != other
        sizes = generator.integers(1, 4, mine.sum())
        sides.append(rows_of(generator, labels[mine], effects[mine], sizes, 1 if number % 2 else -1))
    return sides[0], sides[1]


def mixed() -> Iterator[Cell]:
    def cell(share: float) -> Cell:
        def run(generator: np.random.Generator, number: int) -> Wrong:
            (x, labels_x), (y, labels_y) = strata(generator, share, number)
            case = case_of(opened(x, y, number, (labels_x, labels_y)))
            return judged(case, 0.0, OF_MIXED) | judged_p(case, number)

        about = f"{100 * share:.0f} % of the groups in both sets, 6 deviations away"
        return Cell(about, about, allowed_of(OF_MIXED) | P_ALLOWED, run)

    for share in (0.05, 0.5, 0.95):
        yield cell(share)


def own(generator: np.random.Generator, shift: float, order: int) -> tuple[Side, Side]:
    """200 groups that are all in both sets; labels are in the order of how much their effect differs between them.

    Either side has effects of the same distribution, half of whose variance the sides share.
    """
    shared, *only = generator.standard_normal((3, 200)) / np.sqrt(2)
    by_difference = np.argsort(only[1] - only[0])
    effects = [(shared + each)[by_difference] for each in only]
    sides = [
        rows_of(generator, np.arange(200), mine + moved, generator.integers(1, 4, 200), order)
        for mine, moved in zip(effects, (0.0, shift), strict=True)
    ]
    return sides[0], sides[1]


def apart(generator: np.random.Generator, shift: float, order: int) -> tuple[Side, Side]:
    """170 and 220 groups, none in both sets; labels are in the order of the effects."""
    sides = []
    for first, count, moved in ((0, 170, 0.0), (1_000, 220, shift)):
        effects = np.sort(generator.standard_normal(count)) + moved
        sides.append(rows_of(generator, first + np.arange(count), effects, generator.integers(1, 4, count), order))
    return sides[0], sides[1]


def by_size(generator: np.random.Generator, shift: float, order: int) -> tuple[Side, Side]:
    """110 groups a side, none in both sets, of 1 to 1,000 rows; only in the source, large ones have large effects."""
    sides = []
    for first, moved in ((0, 0.0), (1_000, shift)):
        sizes = np.floor(1_000 ** generator.random(110)).astype(np.int64)
        effects = np.log(sizes) / 2 + generator.standard_normal(110)
        if first:  # the same effects, of other groups
            effects = generator.permutation(effects)
        sides.append(rows_of(generator, first + np.arange(110), effects + moved, sizes, order))
    return sides[0], sides[1]


def whole_groups() -> Iterator[Cell]:
    """All methods and, where P = Q, p-values."""
    kinds = {
        "all groups in both sets": own,
        "no group in both sets": apart,
        BY_SIZE: by_size,
    }

    def cell(about: str, order: int, shift: float) -> Cell:
        most = 5_000 if about == BY_SIZE else None

        def run(generator: np.random.Generator, number: int) -> Wrong:
            (x, labels_x), (y, labels_y) = kinds[about](generator, shift, order)
            case = case_of(opened(x, y, number, (labels_x, labels_y)))
            return judged(case, shift) | ({} if shift else judged_p(case, number))

        name = f"{about}, {'ascending' if order == 1 else 'descending'}" + (f", shift {shift:g}" if shift else "")
        return Cell(name, name, allowed_of() | ({} if shift else P_ALLOWED), run, most=most)

    for about in kinds:
        yield cell(about, 1, 0.0)
        if about != BY_SIZE:
            yield cell(about, -1, 0.0)
            yield cell(about, -1, 0.5)


def uneven(generator: np.random.Generator) -> Case:
    """Test groups only, in the order they were drawn in: 60 groups of 1 row against 600 of 50; P = Q."""
    sides = []
    for first, count, size in ((0, 60, 1), (1_000, 600, 50)):
        codes = first + np.repeat(np.arange(count), size)
        scores = generator.standard_normal(count * size).clip(-4, 4)
        places = np.arange(count * size)
        sides.append((SeededScores.of(scores, places, places), codes))
    (fx, codes_x), (fy, codes_y) = sides
    return Case(units_of_groups(fx, fy, codes_x, codes_y, "apart"), -4.0, 4.0, ((0.0, 1.0), (0.0, 0.14)))


def sizes() -> Iterator[Cell]:
    def run(generator: np.random.Generator, number: int) -> Wrong:
        case = uneven(generator)
        return judged(case, 0.0) | judged_p(case, number)

    about = "60 groups of 1 row against 600 of 50"
    yield Cell(about, about, allowed_of() | P_ALLOWED, run)


def cells() -> Iterator[Cell]:
    yield from mixed()
    yield from whole_groups()
    yield from sizes()
