"""The figures of a matrix of pairs: what they are called, what they mean, and how they are arranged and adjusted.

The library's `matrix_w1`, the server's batches and local batches of the client share this definition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from wdist.definitions.figures import percent
from wdist.definitions.results.numbers import rounded_down, rounded_up
from wdist.definitions.results.verdict import Ends, Kind, error_of, kind_of, verdict
from wdist.inference.simultaneous import adjusted_matrix

Values = NDArray[np.float64]
UpperKind = Literal["approximate", "finite-sample"]

FIGURES: Final = {
    "value": "What the critics show: low on average.",
    "lower_bound": "Each holds by itself.",
    "simultaneous_lower_bound": "All hold together; of a single pair it is the lower bound.",
    "upper_bound": "Each holds by itself, at the same confidence.",
    "simultaneous_upper_bound": "All hold together, at the same confidence; of a single pair it is the upper bound.",
    "p_value": "Of each pair by itself.",
}
ADJUSTED: Final = "adjusted_p_value"
TOGETHER: Final = "simultaneous_"
NAME_OF_FIRST: Final = "set 1"  # if it has no name, as `matrix_w1` calls it


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


def common_units(results: Iterable[Mapping[str, Any]]) -> str | None:
    """The units of all results, or None if they differ, so that cells cannot be compared, or there is no result.

    Matrices of earlier versions took other divisors for each pair; their "standardize" was that of both sets.
    """
    found = [(result.get("units"), result.get("scale")) for result in results]
    return found[0][0] if found and all(each == found[0] for each in found) else None


def common_kind(results: Iterable[Mapping[str, Any]]) -> UpperKind | None:
    """The kind of the upper bounds: "approximate" if that of any pair is; None if there are none."""
    kinds = {result.get("upper_kind") for result in results}
    if "approximate" in kinds:
        return "approximate"
    return "finite-sample" if "finite-sample" in kinds else None


def words_of(
    rows: Sequence[str],
    columns: Sequence[str],
    results: Sequence[tuple[int, Mapping[str, Any] | None]],
    figures: Mapping[str, Values],
) -> dict[str, Any]:
    """What is said of a matrix beside its figures: split, answer, and warnings by row and column.

    results: as in `pair_matrix`, which made the figures. The answer is None where nothing is known of all pairs
    together: of groups and blocks of time without simultaneous bounds.
    """
    known = [(position, result) for position, result in results if result is not None]
    if not known:
        return {"split": None, "answer": None, "warnings": []}
    reference = len(rows) == 1
    where = places(len(columns) + reference, reference=reference)
    first = known[0][1]
    confidence, split = first["confidence"], first.get("split", "random")
    lower, upper = (figures[f"{TOGETHER}{end}"] for end in ("lower_bound", "upper_bound"))
    if np.isnan(lower).any() and split == "random":  # rows are judged by their p-values
        lower, upper = figures["lower_bound"], figures["upper_bound"]
    answer = None
    if len(where) == 1:
        answer = verdict(first).headline
    elif not all(np.isnan(lower[where[position]]) for position, _ in known):
        said = kinds(lower, upper, figures[ADJUSTED], confidence, split)
        about = "approximately " if split == "blocks" else ""
        answer = whole_answer([said[i][j] for i, j in where], f"{about}{percent(confidence)}")
    warnings = [
        {"row": rows[where[position][0]], "column": columns[where[position][1]], "warning": warning}
        for position, result in known
        for warning in result.get("warnings", ())
    ]
    return {"split": split, "answer": answer, "warnings": warnings}


def claim(upper: Values, kind: UpperKind | None, who: str, confidence: str) -> str:
    """The title of a table of bounds. who: what the confidence, in words, is of: each pair, or all together."""
    if not has_upper(upper):
        return f"W1 is at least, {who} with {confidence} confidence"
    caveat = ", upper ends approximate" if kind == "approximate" else ""
    return f"W1 lies between, {who}, each end with {confidence} confidence{caveat}"


def kinds(lower: Values, upper: Values, p_value: Values, confidence: float, split: str) -> list[list[Kind | None]]:
    """What each pair says, as the verdict of a result does; None without a result. p_value: NaN where there is none."""
    alpha, found = error_of(confidence), []
    for rows in zip(lower.tolist(), upper.tolist(), p_value.tolist(), strict=True):
        ends = [
            (None if low != low else Ends(low, _or_none(high), alpha), p) for low, high, p in zip(*rows, strict=True)
        ]
        found.append([None if each is None else kind_of(each, _or_none(p), split) for each, p in ends])
    return found


def whole_answer(kinds_of_pairs: Sequence[Kind | None], confidence: str) -> str:
    """What the pairs say together, in a sentence. confidence: in words."""
    found = [kind for kind in kinds_of_pairs if kind is not None]
    differ = sum(kind in ("differ", "size_unknown") for kind in found)
    said = f"{_of(differ, len(found))}, all judged together with {confidence} confidence"
    others = {
        "no_evidence": "without evidence of a difference",
        "undecided": "undecided",
        "contradiction": "whose bounds contradict each other",
    }
    told = [f"{found.count(kind)} {words}" for kind, words in others.items() if kind in found]
    return f"{said}{''.join(f'; {each}' for each in told)}."


def _of(count: int, pairs: int) -> str:
    if count == 0:
        return f"None of the {pairs:,} pairs is shown to differ"
    return f"All of the {pairs:,} pairs differ" if count == pairs else f"{count:,} of {pairs:,} pairs differ"


def cells(lower: Values, upper: Values, said: Sequence[Sequence[Kind | None]]) -> list[list[str]]:
    """The cells of that table: "0.690 .. 0.850", ">= 0.690" without an upper end, "no evidence, <= 0.120".

    said: what each pair says (`kinds`). "-" stands where there is no result. Lower bounds are rounded down, upper ones
    up.
    """
    rows = zip(lower.tolist(), upper.tolist(), said, strict=True)
    return [[_cell(*pair) for pair in zip(*row, strict=True)] for row in rows]


def has_upper(upper: Values) -> bool:
    """Whether any pair of sets has an upper bound; the diagonal of a square matrix is no pair."""
    known = np.isfinite(upper)
    if len(upper) > 1:
        np.fill_diagonal(known, val=False)
    return bool(known.any())


_IN_WORDS: Final = {"size_unknown": "differ", "undecided": "undecided", "no_evidence": "no evidence"}


def _cell(lower: float, upper: float, kind: Kind | None) -> str:
    if kind is None:
        return "-"
    if lower > 0:
        ends = f">= {rounded_down(lower)}" if upper != upper else f"{rounded_down(lower)} .. {rounded_up(upper)}"
    else:
        ends = "" if upper != upper else f"<= {rounded_up(upper)}"
    return ", ".join(filter(None, (_IN_WORDS.get(kind), ends)))


def _or_none(number: float) -> float | None:
    return None if number != number else number


def as_lists(values: Values) -> list[list[float | None]]:
    """For JSON: None instead of NaN."""
    return [[None if number != number else number for number in row] for row in values.tolist()]


def _figure(result: Mapping[str, Any], name: str, *, is_only_pair: bool) -> float | None:
    if name.startswith(TOGETHER):
        result, name = result.get("simultaneous") or (result if is_only_pair else {}), name.removeprefix(TOGETHER)
    return result.get(name)
