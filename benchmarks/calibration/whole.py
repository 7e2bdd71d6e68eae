"""Cells that call `estimate_w1`. Trained critics stay below W1, and plans in several columns cost more than it.

Ends are therefore wrong less often than they may be. Where transport has no choice, nothing hides an upper end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.calibration.cell import ALPHA, Cell, Wrong
from benchmarks.calibration.groups import strata
from benchmarks.calibration.rows import (
    BETWEEN_STEPS,
    OFFSET_SHIFT,
    at_offset,
    in_order,
    offset_about,
    stored_w1,
    table,
)
from benchmarks.calibration.statements import ABOVE_VALUE, P_ALLOWED, above, p_name
from benchmarks.calibration.upper import EITHER, LAYOUTS, LOWER
from wdist import estimate_w1
from wdist.inference import units

UPPER = "upper"
STEPS = 20
Sample = tuple[Any, Any, dict[str, Any]]  # both sets, and options


def cell(about: str, w1: float, draw: Callable[[np.random.Generator, int], Sample]) -> Cell:
    """Counts wrong ends and, where W1 is 0, small p-values."""
    allowed: dict[str, float | None] = {LOWER: ALPHA, UPPER: ALPHA, EITHER: 2 * ALPHA, above(LOWER): ABOVE_VALUE}
    allowed |= {} if w1 else P_ALLOWED

    def run(generator: np.random.Generator, number: int) -> Wrong:
        x, y, options = draw(generator, number)
        before = units.bounds_above_value
        quick: dict[str, Any] = {"steps": STEPS, "seed": number, "baseline_rows": 0, "empirical": False}
        result = estimate_w1(x, y, **quick | options)
        assert result.upper_bound is not None
        wrong = {LOWER: result.lower_bound > w1, UPPER: result.upper_bound < w1}
        wrong |= {EITHER: any(wrong.values()), above(LOWER): units.bounds_above_value > before}
        if not w1:
            assert result.p_value is not None
            wrong |= {p_name(level): result.p_value <= level for level in (0.01, 0.05, 0.1)}
        return wrong

    return Cell(f"whole: {about}", about, allowed, run, "whole")


def sorted_null(generator: np.random.Generator, number: int) -> Sample:
    column, order = number % 3, 1 if number % 2 else -1
    return in_order(table(generator, 240), column, order), in_order(table(generator, 170), column, -order), {}


def mixed_null(generator: np.random.Generator, number: int) -> Sample:
    (x, labels_x), (y, labels_y) = strata(generator, 0.2, number)
    return x, y, {"groups": (labels_x, labels_y)}


def shifted(generator: np.random.Generator, number: int) -> Sample:
    x, y = generator.standard_normal((2, 300, 3))
    return x, y + 3**-0.5, {}


def heavy(generator: np.random.Generator, number: int) -> Sample:
    x, y = generator.standard_t(2.5, (2, 300, 2))
    return x, y + np.array([0.5, 0.0]), {}


def uneven(generator: np.random.Generator, number: int) -> Sample:
    return generator.standard_normal((100, 2)), generator.standard_normal((2_000, 2)), {}


def diagonal(generator: np.random.Generator) -> tuple[Any, Any]:
    return np.zeros((200, 2)), generator.random((200, 1)) * np.ones(2)


def plain(generator: np.random.Generator, number: int) -> Sample:
    return *diagonal(generator), {}


def declared(generator: np.random.Generator, number: int) -> Sample:
    return *diagonal(generator), {"diameter": float(np.sqrt(2))}


def within_ranges(generator: np.random.Generator, number: int) -> Sample:
    return *diagonal(generator), {"ranges": [0.0, 1.0]}


def linked(generator: np.random.Generator, number: int) -> Sample:
    layout = LAYOUTS["all groups in both sets, opposite effects"]
    (x, labels_x), (y, labels_y) = layout.draw(generator, 1 if number % 2 else -1)
    return x, y, {"groups": (labels_x, labels_y)}


def cells() -> Iterator[Cell]:
    yield cell("files sorted by any column, opposite orders, equal", 0.0, sorted_null)
    yield cell("20 % of the groups in both sets, 6 deviations away, equal", 0.0, mixed_null)
    yield cell("all groups in both sets, opposite effects", 1.0, linked)
    yield cell("shift 1 in 3-d", 1.0, shifted)
    yield cell("Student t, 2.5 degrees, 2-d, shift 0.5", 0.5, heavy)
    yield cell("100 rows against 2,000, equal", 0.0, uneven)
    yield cell("point mass against an even diagonal", float(np.sqrt(0.5)), plain)
    yield cell("point mass against an even diagonal, diameter", float(np.sqrt(0.5)), declared)
    yield cell("point mass against an even diagonal, ranges", float(np.sqrt(0.5)), within_ranges)
    yield from _offsets()


def _offsets() -> Iterator[Cell]:
    for dtype, offset, scale in (
        (np.float64, 1e12, None),
        (np.float64, 1e12, 3.0),
        (np.float32, 1e6, 3.0),
        (np.float32, BETWEEN_STEPS, 3.0),
    ):
        options = {"critic": "affine", "scale": scale}

        def draw(
            generator: np.random.Generator,
            number: int,
            dtype: Any = dtype,
            offset: float = offset,
            options: dict[str, Any] = options,
        ) -> Sample:
            return (*at_offset(generator, dtype, offset, 300), options)

        yield cell(offset_about(dtype, offset, scale), stored_w1(dtype, offset, OFFSET_SHIFT) / (scale or 1.0), draw)
