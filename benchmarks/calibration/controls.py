"""Cells with a mistake in them. A study that does not find them broken would not find others either."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.calibration.cell import ALPHA, Cell, Wrong
from benchmarks.calibration.groups import uneven
from benchmarks.calibration.statements import LEVELS, P_ALLOWED, allowed_of, judged, p_name, simulated
from benchmarks.calibration.upper import APPROXIMATE, RULER, own_ruler
from wdist.inference.permutation_test import permutation_p_value

BETTING = ("betting", "paired_betting", "target_stakes")


def unshuffled(generator: np.random.Generator, number: int) -> Wrong:
    """Scores in the order of a sorted file, which are said to be in a seeded one."""
    x, y = np.sort(generator.standard_normal((2, 60)), axis=1)
    return judged(simulated(x, y[::-1], -4.0, 4.0), 0.0, BETTING)


def permuted_means(generator: np.random.Generator, number: int) -> Wrong:
    """The permutation test of rows, used on means of groups of 1 row and of 50 rows."""
    units = uneven(generator).units
    p = permutation_p_value(units.fx.values, units.fy.values, number, permutations=999)
    return {p_name(level): p <= level for level in LEVELS}


def cells() -> Iterator[Cell]:
    about = "scores in the order of a sorted file"
    yield Cell(f"control: {about}", about, allowed_of(BETTING), unshuffled, "control")
    about = "permutation test of means of groups of 1 row and of 50"
    yield Cell(f"control: {about}", about, P_ALLOWED, permuted_means, "control")
    yield Cell(f"control: {RULER}", f"100 indicators, {RULER}", {APPROXIMATE: ALPHA}, own_ruler, "control")
