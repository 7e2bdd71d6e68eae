"""What may be, what was found, and the tables of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from scipy import stats

from benchmarks.calibration.cell import ABOVE, REFUSED, Cell
from benchmarks.calibration.results import Tally

CHANCE = 0.001  # that a study of correct statements fails
REFUSED_SHARE = 0.01  # of the samples of a cell, at most


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


def tables(cells: Iterable[Cell], tallies: Mapping[str, Tally], limits: int) -> str:
    """One table for each set of statements, in the order of the cells: wrong, and in brackets what is allowed."""
    by_statements: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        if tallies.get(cell.name, Tally()).runs:
            by_statements.setdefault((cell.layer, *cell.allowed), []).append(cell)
    parts = []
    for (layer, *statements), group in by_statements.items():
        own = [statement for statement in statements if not statement.endswith(ABOVE)]
        above = [statement for statement in statements if statement.endswith(ABOVE)]
        titles = ["data", "runs", *own] + (["above value"] if above else [])
        lines = [f"{layer}\n", f"| {' | '.join(titles)} |", "| --- |" + " ---: |" * (len(titles) - 1)]
        for cell in group:
            tally = tallies[cell.name]
            entries = [cell.about, f"{tally.runs:,}", *(_entry(cell, tally, [each], limits) for each in own)]
            lines.append(f"| {' | '.join(entries + ([_entry(cell, tally, above, limits)] if above else []))} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _entry(cell: Cell, tally: Tally, statements: list[str], limits: int) -> str:
    """How often the worst of these statements was wrong, and in brackets how often it may be."""
    wrong, allowed = max(tally.wrong.get(each, 0) for each in statements), cell.allowed[statements[0]]
    return f"{wrong:,}" if allowed is None else f"{wrong:,} ({limit(tally.runs, allowed, limits):,})"


def as_json(cells: Iterable[Cell], tallies: Mapping[str, Tally], limits: int) -> list[dict[str, Any]]:
    """The figures of the cells with runs."""
    return [
        {
            "cell": cell.name,
            "about": cell.about,
            "layer": cell.layer,
            "runs": tally.runs,
            "seconds": round(tally.seconds, 1),
            "wrong": tally.wrong,
            "allowed": {s: None if a is None else limit(tally.runs, a, limits) for s, a in cell.allowed.items()},
        }
        for cell in cells
        if (tally := tallies.get(cell.name, Tally())).runs
    ]
