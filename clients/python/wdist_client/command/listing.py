"""Estimates in lines that fit the terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from wdist_client.display.numbers import rounded_down, rounded_up

if TYPE_CHECKING:
    from datetime import datetime

    from wdist_client.models import Estimate

_NAME, _SETS, _ANSWER = 24, 40, 30  # characters of a name and of a pair of names, at most; of an answer, at least


def listed(estimates: Sequence[Estimate], name_of: Callable[[str], str]) -> str:
    """A line for each: id, status, date in local time, name, sets, answer. name_of: the name of a stored set."""
    rows = [
        (e.id, e.status, local(e.created_at), _cut(name_of_estimate(e), _NAME), _sets(e, name_of), answer(e))
        for e in estimates
    ]
    columns = [column for column in zip(*rows, strict=True) if any(column)]
    widths = [max(map(len, column)) for column in columns[:-1]]
    left = width() - sum(widths) - 2 * len(widths)
    lines = []
    for *cells, last in zip(*columns, strict=True):
        start = "  ".join(map(str.ljust, cells, widths))
        lines.append(f"{start}  {_cut(last, max(left, _ANSWER))}".rstrip())
    return "\n".join(lines)


def width() -> int:
    """Columns of the terminal; where there is none, lines are as long as they are."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000


def local(time: datetime | None) -> str:
    """A time as clocks here show it."""
    return "" if time is None else f"{time.astimezone():%Y-%m-%d %H:%M}"


def name_of_estimate(estimate: Estimate) -> str:
    return getattr(estimate, "name", None) or ""


def _sets(estimate: Estimate, name_of: Callable[[str], str]) -> str:
    """What is compared with what."""
    names = [
        getattr(estimate, f"{side}_name", None) or name_of(getattr(estimate, side)) for side in ("source", "target")
    ]
    return " and ".join(_cut(name, _SETS // 2) for name in names)


def answer(estimate: Estimate) -> str:
    """The answer in short: the verdict's headline and both ends, or how far the estimate is, or why there is none."""
    if (result := estimate.result) is not None:
        marks = f" ({', '.join(result.withdrawn.figures)} withdrawn: run again)" if result.withdrawn is not None else ""
        ends = f"W1 >= {rounded_down(result.lower_bound)}"
        if result.upper_bound is not None:
            ends = f"W1 {rounded_down(result.lower_bound)} .. {rounded_up(result.upper_bound)}"
        return f"{result.verdict.headline or ''} {ends}{marks}".strip()
    if estimate.error:
        return estimate.error.message
    return f"step {estimate.progress.step:,}" if estimate.progress and not estimate.ended else ""


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."
