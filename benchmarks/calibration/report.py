"""What may be, what was found, and the tables of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scipy import stats

from benchmarks.calibration.cell import ABOVE, REFUSED, Cell
from benchmarks.calibration.results import Tally
from benchmarks.calibration.statements import COMMON

CHANCE = 0.001  # that a study of correct statements fails
REFUSED_SHARE = 0.01  # of the samples of a cell, at most
ABOVE_TITLE = "above value"


def limits_of(cells: Mapping[str, Cell]) -> int:
    """How many statements have a limit. Controls have to exceed theirs, so that they take no share of the chance."""
    return sum(allowed is not None for cell in cells.values() for allowed in cell.allowed.values())


def limit(runs: int, allowed: float, limits: int) -> int:
    """The 99.9 % point, corrected for the number of limits, of how often a statement is wrong that may be so."""
    return int(stats.binom.ppf(1 - CHANCE / limits, runs, allowed))


def exceeded(cell: Cell, tally: Tally, limits: int) -> list[str]:
    """The statements of a cell that were wrong more often than chance explains, with figures."""
    found = []
    for statement, allowed in cell.allowed.items():
        wrong = tally.wrong.get(statement, 0)
        if allowed is not None and tally.runs and wrong > (most := limit(tally.runs, allowed, limits)):
            found.append(f"{cell.name}: {statement}: {wrong:,} of {tally.runs:,}, at most {most:,} are explained")
    return found


def failures(cells: Mapping[str, Cell], tallies: Mapping[str, Tally], limits: int) -> list[str]:
    """Statements that are wrong too often, and controls that were not found to be."""
    found = []
    for cell in cells.values():
        tally = tallies.get(cell.name, Tally())
        too_many = exceeded(cell, tally, limits)
        if (refused := tally.wrong.get(REFUSED, 0)) > REFUSED_SHARE * tally.runs:
            found.append(f"{cell.name}: {refused:,} of {tally.runs:,} samples were refused, so that little was tried")
        if cell.layer != "control":
            found += too_many
        elif not too_many:
            found.append(f"{cell.name}: the mistake was not found in {tally.runs:,} runs")
    return found


def unfinished(cells: Mapping[str, Cell], tallies: Mapping[str, Tally], runs: Mapping[str, int]) -> list[str]:
    """Cells with fewer runs than a complete study makes."""
    made = {cell.name: (tallies.get(cell.name, Tally()).runs, cell.wanted(runs)) for cell in cells.values()}
    return [f"{name}: {done:,} of {wanted:,} runs" for name, (done, wanted) in made.items() if done < wanted]


def figures_of(
    by_topic: Mapping[str, Iterable[Cell]], tallies: Mapping[str, Tally], limits: int
) -> list[dict[str, Any]]:
    """Figures of the cells that have runs, as plain JSON types."""
    return [
        {
            "topic": topic,
            "data": cell.about,
            "runs": tally.runs,
            "seconds": round(tally.seconds),
            "wrong": tally.wrong,
            "limits": {each: None if a is None else limit(tally.runs, a, limits) for each, a in cell.allowed.items()},
        }
        for topic, cells in by_topic.items()
        for cell in cells
        if (tally := tallies.get(cell.name, Tally())).runs
    ]


def tables(figures: Sequence[dict[str, Any]]) -> dict[str, str]:
    """A table for each topic: how often each statement was wrong, and in brackets how often it may be.

    Of statements without a limit, the share that was wrong.
    """
    topics: dict[str, list[dict[str, Any]]] = {}
    for each in figures:
        topics.setdefault(each["topic"], []).append(each)
    return {topic: _table(cells) for topic, cells in topics.items()}


def with_tables(page: str, new: Mapping[str, str]) -> str:
    """A page in which the first table below the heading of each topic is the new one.

    Raises ValueError if it has no such heading.
    """
    for topic, table in new.items():
        if (found := re.search(rf"^## {re.escape(topic)}\n(?:(?!\||## ).*\n)*((?:\|.*\n)+)", page, re.M)) is None:
            raise ValueError(f"the page has no table below the heading {topic!r}")
        page = page[: found.start(1)] + table + "\n" + page[found.end(1) :]
    return page


def _table(cells: Sequence[dict[str, Any]]) -> str:
    statements = list(dict.fromkeys(_title(each) for cell in cells for each in cell["limits"]))
    statements.sort(key=lambda title: (title == ABOVE_TITLE, title.startswith("p ≤"), title in COMMON))  # stable
    lines = [f"| data | runs | {' | '.join(statements)} |", "| --- |" + " ---: |" * (1 + len(statements))]
    for cell in cells:
        entries = [_entry(cell, title) for title in statements]
        lines.append(f"| {cell['data']} | {cell['runs']:,} | {' | '.join(entries)} |")
    return "\n".join(lines)


def _title(statement: str) -> str:
    if statement.endswith(ABOVE):
        return ABOVE_TITLE
    return f"p ≤ {float(statement[5:]):.0%}".replace("%", " %") if statement.startswith("p <=") else statement


def _entry(cell: dict[str, Any], title: str) -> str:
    """The worst of the statements that share a column."""
    own = [each for each in cell["limits"] if _title(each) == title]
    if not own:
        return "-"
    wrong, most = max(cell["wrong"][each] for each in own), cell["limits"][own[0]]
    return f"{wrong / cell['runs']:.1%}".replace("%", " %") if most is None else f"{wrong:,} ({most:,})"
