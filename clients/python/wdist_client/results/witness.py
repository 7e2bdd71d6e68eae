"""Where two sets differ, according to the critic, as a server tells it."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from wdist_client import contract
from wdist_client.base import Model


class Column(Model):
    """The contribution of one column of a table to the distance.

    Attributes:
        name: of the column.
        attribution: from 0 to 1: how much of the critic's slope is along this column.
        value: held-out W1 of this column alone.
        lower_bound: lower bound on the column's W1; all columns' bounds hold at once. None if rows are not independent.
        histogram: shares of both sets in bins or of levels, in the table's own units; None from an older server.
    """

    name: str
    attribution: float
    value: float
    lower_bound: float | None = None
    histogram: dict[str, Any] | None = None


class Record(Model):
    """The witness as it is sent and stored."""

    unusual: dict[str, list[contract.UnusualRow]]
    histogram: dict[str, Any]
    columns: list[Column] = Field(default_factory=list)
    units: str | None = None
    means: dict[str, float] | None = None


class Witness:
    """Where the sets differ: the most unusual rows, a histogram of the scores and, for tables, the columns.

    The scores of all held-out rows stay where the result was made: ask the critic, or the library's `Result`, for them.

    Attributes:
        columns: by decreasing attribution; empty for images and wide tables.
        units: of scores and columns.
        means: mean score of each set; they are the result's `unclipped` apart. None from an older server.
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        """record: as the library's `Witness.to_dict` gives it. Raises pydantic's ValidationError for anything else."""
        self._given = dict(record)
        self._record = Record.model_validate(self._given)
        self.columns = self._record.columns
        self.units = self._record.units
        self.means = self._record.means

    def unusual(self, count: int = 10) -> dict[str, list[contract.UnusualRow]]:
        """The source rows with the lowest scores and the target rows with the highest, at most as many as are kept."""
        return {side: rows[:count] for side, rows in self._record.unusual.items()}

    def histogram(self) -> dict[str, Any]:
        """Share of each set in bins of equal width: {"edges": bins + 1, "source": bins, "target": bins}."""
        return dict(self._record.histogram)

    def to_dict(self) -> dict[str, Any]:
        """The witness as plain JSON types: the keys are those of the library's."""
        return dict(self._given)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Witness) and self._given == other._given

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        columns = f", {len(self.columns):,} columns, first {self.columns[0].name[:40]!r}" if self.columns else ""
        rows = sum(map(len, self._record.unusual.values()))
        return f"<Witness: {rows:,} unusual rows{columns}>"

    def __str__(self) -> str:
        lines = ["most unusual held-out rows (row: f / L)"]
        for side, rows in self.unusual(5).items():
            lines.append(f"  {side}: " + ", ".join(f"{entry.row}: {entry.score:.4g}" for entry in rows))
        if self.columns:
            lines.append(f"columns (attribution, W1 of the column alone, {self._bounds_say()})")
            lines += [
                f"  {c.name:<16} {c.attribution:6.3f} {c.value:10.4g} {_bound(c.lower_bound):>10}"
                for c in self.columns[:20]
            ]
        return "\n".join(lines)

    def _bounds_say(self) -> str:
        has_bounds = self.columns[0].lower_bound is not None
        return "at least, all at once" if has_bounds else "no bound: rows are not independent"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{side}</th><td>"
            + ", ".join(f"{entry.row} ({entry.score:.4g})" for entry in entries)
            + "</td></tr>"
            for side, entries in self.unusual(5).items()
        )
        return f"<p>Most unusual held-out rows (f / L)</p><table>{rows}</table>{self.columns_html()}"

    def columns_html(self) -> str:
        """The first 20 columns as a table; empty without columns."""
        if not self.columns:
            return ""
        head = f"<tr><th>column</th><th>attribution</th><th>W1 alone</th><th>{self._bounds_say()}</th></tr>"
        columns = "".join(
            f"<tr><th style='text-align:left'>{html.escape(c.name)}</th><td>{c.attribution:.3f}</td>"
            f"<td>{c.value:.4g}</td><td>{_bound(c.lower_bound)}</td></tr>"
            for c in self.columns[:20]
        )
        return f"<table>{head}{columns}</table>"


def _bound(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
