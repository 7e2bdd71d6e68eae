"""The figures of a matrix of pairs: what they are called, what they mean, and how they are arranged and adjusted.

The library's `matrix_w1`, the server's batches and local batches of the client share this definition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wdist.inference.simultaneous import adjusted_matrix

Values = NDArray[np.float64]

FIGURES: Final = {
    "value": "What the critics show: low on average.",
    "lower_bound": "Each holds by itself.",
    "simultaneous_lower_bound": "All hold together; of a single pair it is the lower bound.",
    "upper_bound": "Each holds by itself, at the same confidence.",
    "p_value": "Of each pair by itself.",
}
ADJUSTED: Final = "adjusted_p_value"


def places(sets: int, *, reference: bool) -> list[tuple[int, int]]:
    """Row and column of each pair: all (i, j) with i < j of a square matrix, or one row that is the first set."""
    return [(0, k) for k in range(sets - 1)] if reference else list(combinations(range(sets), 2))


def pair_matrix(
    sets: int, results: Iterable[tuple[int, Mapping[str, Any] | None]], *, reference: bool
) -> dict[str, Values]:
    """Arrange results, as `Result.to_dict` gives them, by row and column.

    Args:
        sets: number of sets.
        results: position of each pair in `places`, and its result, None where there is none (yet).
        reference: one row, the first set, instead of a square.

    Returns the FIGURES and the p-values adjusted by Holm's method, each (sets, sets) or (1, sets - 1). A square is
    mirrored; a set against itself is 0, with p-value 1. NaN stands where there is no result or no such figure.
    """
    where = places(sets, reference=reference)
    shape = (1, sets - 1) if reference else (sets, sets)
    figures = {name: np.full(shape, np.nan) for name in FIGURES}
    for position, result in results:
        i, j = where[position]
        for name, values in figures.items():
            number = None if result is None else _figure(result, name, is_only_pair=len(where) == 1)
            values[i, j] = np.nan if number is None else number
            if not reference:
                values[j, i] = values[i, j]
    if not reference:
        for name, values in figures.items():
            np.fill_diagonal(values, 1.0 if name == "p_value" else 0.0)
    return figures | {ADJUSTED: adjusted_matrix(figures["p_value"])}


def as_lists(values: Values) -> list[list[float | None]]:
    """For JSON: None instead of NaN."""
    return [[None if number != number else number for number in row] for row in values.tolist()]


def _figure(result: Mapping[str, Any], name: str, *, is_only_pair: bool) -> float | None:
    if name == "simultaneous_lower_bound":
        result, name = result.get("simultaneous") or (result if is_only_pair else {}), "lower_bound"
    return result.get(name)
