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

_NAME, _SETS = 24, 40  # characters of a name and of a pair of names, at most
_WIDE = 150  # columns of a terminal that has room for an estimate in one line


def listed(estimates: Sequence[Estimate], name_of: Callable[[str], str]) -> str:
    """Id, status, date in local time, name, sets and answer of each: in a line, in two on a narrow terminal.

    name_of: the name of a stored set.
    """
    columns = width()
    jobs = [(e.id, e.status, local(e.created_at), _cut(e.name or "", _NAME)) for e in estimates]
    said = [(_sets(e, name_of), answer(e)) for e in estimates]
    if columns >= _WIDE:
        return "\n".join(_aligned([(*job, *each) for job, each in zip(jobs, said, strict=True)], columns))
    lines = zip(_aligned(jobs, columns), _aligned(said, columns - 4), strict=True)
    return "\n".join(f"{first}\n    {second}" for first, second in lines)


def _aligned(rows: Sequence[Sequence[str]], columns: int) -> list[str]:
    """Lines that are cut where the terminal ends; a column that is empty in all of them is left out."""
    kept = [column for column in zip(*rows, strict=True) if any(column)]
    widths = [max(map(len, column)) for column in kept]
    return [_cut("  ".join(map(str.ljust, cells, widths)).rstrip(), columns) for cells in zip(*kept, strict=True)]


def width() -> int:
    """Columns of the terminal; where there is none, lines are as long as they are."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000


def local(time: datetime | None) -> str:
    """A time as clocks here show it."""
    return "" if time is None else f"{time.astimezone():%Y-%m-%d %H:%M}"


def _sets(estimate: Estimate, name_of: Callable[[str], str]) -> str:
    """What is compared with what."""
    names = (estimate.source_name or name_of(estimate.source), estimate.target_name or name_of(estimate.target))
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
