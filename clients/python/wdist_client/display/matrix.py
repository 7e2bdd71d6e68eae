"""The cells of a matrix of pairs, and its warnings, as the library prints them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

from wdist_client.advice import in_python
from wdist_client.display.numbers import rounded_down, rounded_up

Cells = Sequence[Sequence[float]]

NO_RESULT = "nan"


def interval_cells(
    lower: Cells, upper: Cells | None, p_value: Cells, confidence: float | None, split: str | None
) -> list[list[str]]:
    """ "0.690 .. 0.850", ">= 0.690" without an upper end, "no evidence, <= 0.120"; nan where there is no result.

    p_value: what the pairs are judged by, nan where there is none. An older server does not say the split: then cells
    without a lower bound have their upper one alone.
    """
    alpha = None if confidence is None else float(1 - Decimal(repr(float(confidence))))
    missing = [[float("nan")] * len(row) for row in lower]
    return [
        [_cell(low, high, _word(low, high, p, alpha, split)) for low, high, p in zip(*rows, strict=True)]
        for rows in zip(lower, missing if upper is None else upper, p_value, strict=True)
    ]


def warning_lines(warnings: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    """Each warning once, with the first pair that has it: those of other pairs differ in their figures only."""
    alike: dict[str, list[tuple[str, str, str]]] = {}
    for warning in warnings:
        alike.setdefault(re.sub(r"\d[\d.,]*(e[+-]\d+)?", "#", warning[2]), []).append(warning)
    for (row, column, text), *others in alike.values():
        more = f", and {len(others)} more {'pair' if len(others) == 1 else 'pairs'}" if others else ""
        yield f"warning: {row} (source) and {column} (target){more}: {in_python(text)}"


def table_lines(rows: Sequence[str], columns: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    """A table in columns as wide as its widest cell."""
    width = max(10, *map(len, [*rows, *columns, *(text for row in cells for text in row)]))
    head = " " * width + "".join(f"  {name:>{width}}" for name in columns)
    return [
        head,
        *(
            f"{name:<{width}}" + "".join(f"  {cell:>{width}}" for cell in row)
            for name, row in zip(rows, cells, strict=True)
        ),
    ]


def _word(lower: float, upper: float, p_value: float, alpha: float | None, split: str | None) -> str:
    """What a pair says beside its bounds, as the verdict of a result does."""
    if alpha is None or split is None or upper < lower:
        return ""
    by_bound, by_p_value = lower > 0, p_value <= alpha
    if by_bound == by_p_value:
        return "" if by_bound else "no evidence"
    if split == "random" and p_value == p_value:
        return "differ" if by_p_value else "undecided"
    return "" if by_bound else "undecided"


def _cell(lower: float, upper: float, word: str) -> str:
    if lower != lower:
        return NO_RESULT
    if lower > 0:
        ends = f">= {rounded_down(lower)}" if upper != upper else f"{rounded_down(lower)} .. {rounded_up(upper)}"
    else:
        ends = "" if upper != upper else f"<= {rounded_up(upper)}"
    return ", ".join(filter(None, (word, ends))) or "0"
