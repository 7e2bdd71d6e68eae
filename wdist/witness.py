"""Where two sets differ, according to a critic: scores of single rows, the most unusual rows, and the columns."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Indices = NDArray[np.int64]

BINS = 40


@dataclass(frozen=True)
class UnusualRow:
    """One row: its number in the sample set (from 0), and its score f / L."""

    row: int
    score: float


@dataclass(frozen=True)
class Column:
    """The contribution of one column of a table to the distance.

    Attributes:
        name: the frame's column name, or its number.
        attribution: mean of |df/dx_j| / L over held-out rows, from 0 to 1: how much of f's slope is along this column.
        value: held-out W1 of this column alone, from a critic of one variable. Its true W1 is at most that of the rows.
        lower_bound: lower bound on the column's W1; all columns' bounds hold at once at the result's confidence. None
            if rows are not independent (groups, blocks of time).
    """

    name: str
    attribution: float
    value: float
    lower_bound: float | None


@dataclass(frozen=True)
class Witness:
    """The critic's scores of the held-out rows, in units of the distance. f is large where the target has more mass.

    Attributes:
        source_rows, target_rows: numbers of the test rows in their sample sets, (n_test,).
        source_scores, target_scores: their scores f / L, float64, not clipped, (n_test,). The difference of their means
            is `value`, except for the effect of clipping.
        columns: the columns by decreasing attribution, for tables with at most 200 columns; else empty.
        units: what a score of 1 means.
    """

    source_rows: Indices
    target_rows: Indices
    source_scores: Values
    target_scores: Values
    columns: list[Column]
    units: str

    def unusual(self, count: int = 10) -> dict[str, list[UnusualRow]]:
        """The held-out rows that are least like the other set: largest f in the target, smallest in the source."""
        low = np.argsort(self.source_scores, kind="stable")[:count]
        high = np.argsort(-self.target_scores, kind="stable")[:count]
        return {
            "source": [UnusualRow(int(self.source_rows[i]), float(self.source_scores[i])) for i in low],
            "target": [UnusualRow(int(self.target_rows[i]), float(self.target_scores[i])) for i in high],
        }

    def histogram(self, bins: int = BINS) -> dict[str, list[float]]:
        """Share of each set in bins of equal width: {"edges": bins + 1, "source": bins, "target": bins}."""
        both = np.concatenate([self.source_scores, self.target_scores])
        edges = np.histogram_bin_edges(both, bins)
        shares = {
            name: (np.histogram(scores, edges)[0] / len(scores)).tolist()
            for name, scores in (("source", self.source_scores), ("target", self.target_scores))
        }
        return {"edges": edges.tolist(), **shares}

    def to_dict(self, count: int = 10) -> dict[str, Any]:
        """The witness as plain JSON types: unusual rows, histogram, columns."""
        unusual = {side: [vars(row) for row in rows] for side, rows in self.unusual(count).items()}
        columns = [vars(column) for column in self.columns]
        return {"unusual": unusual, "histogram": self.histogram(), "columns": columns, "units": self.units}

    def __str__(self) -> str:
        lines = ["most unusual held-out rows (row: f / L)"]
        for side, rows in self.unusual(5).items():
            lines.append(f"  {side}: " + ", ".join(f"{entry.row}: {entry.score:.4g}" for entry in rows))
        if self.columns:
            lines.append(f"columns (attribution, W1 of the column alone, {self._bounds_say()})")
            lines += [f"  {name:<16} {figures}" for name, figures in _shown(self.columns)]
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
        columns = "".join(
            f"<tr><th style='text-align:left'>{html.escape(c.name)}</th><td>{c.attribution:.3f}</td>"
            f"<td>{c.value:.4g}</td><td>{_bound(c.lower_bound)}</td></tr>"
            for c in self.columns[:20]
        )
        head = ""
        if columns:
            head = f"<tr><th>column</th><th>attribution</th><th>W1 alone</th><th>{self._bounds_say()}</th></tr>"
        return f"<p>Most unusual held-out rows (f / L)</p><table>{rows}</table><table>{head}{columns}</table>"


def _bound(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _shown(columns: Sequence[Column]) -> list[tuple[str, str]]:
    return [(c.name, f"{c.attribution:6.3f} {c.value:10.4g} {_bound(c.lower_bound):>10}") for c in columns[:20]]
