"""The critic's scores of single rows, and what it says of rows and columns."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wdist.definitions.figures import short
from wdist.definitions.results.numbers import rounded_down
from wdist.definitions.results.reprs import in_a_line
from wdist.witness.columns import Column
from wdist.witness.numbering import AMONG_KEPT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wdist.definitions.figures import Sides

Values = NDArray[np.float64]
Indices = NDArray[np.int64]

BINS = 40
SHOWN_COLUMNS = 20  # in text
SHOWN_ROWS = 5  # of each set, in text
LONGEST_NAME = 28


@dataclass(frozen=True)
class UnusualRow:
    """One row: its number, from 0, as `Witness.numbering` says; and its score f / L."""

    row: int
    score: float


@dataclass(frozen=True)
class Witness:
    """The critic's scores of the held-out rows, in units of the distance. f is large where the target has more mass.

    Attributes:
        source_rows, target_rows: numbers of the test rows in the data as given, from 0, (n_test,). Rows that were left
            out because of missing values have numbers, too.
        source_scores, target_scores: their scores f / L, float64, not clipped, (n_test,).
        columns: the columns by decreasing attribution, for tables with at most 200 columns; else empty.
        units: what a score of 1 means.
        means: mean score of each set; of groups, the mean of their means. Target less source is the result's
            `unclipped`. None for results of groups from a file of an earlier version, which does not have the groups.
        numbering: what the numbers of rows count, a sentence.
    """

    source_rows: Indices
    target_rows: Indices
    source_scores: Values
    target_scores: Values
    columns: list[Column]
    units: str
    means: Sides | None = None
    numbering: str = AMONG_KEPT

    def unusual(self, count: int = 10) -> dict[str, list[UnusualRow]]:
        """The held-out rows that are least like the other set: largest f in the target, smallest in the source."""
        low = np.argsort(self.source_scores, kind="stable")[:count]
        high = np.argsort(-self.target_scores, kind="stable")[:count]
        return {
            "source": [UnusualRow(int(self.source_rows[i]), float(self.source_scores[i])) for i in low],
            "target": [UnusualRow(int(self.target_rows[i]), float(self.target_scores[i])) for i in high],
        }

    def histogram(self, bins: int = BINS) -> dict[str, list[float]]:
        """Share of each set's scores in bins of equal width: {"edges": bins + 1, "source": bins, "target": bins}."""
        both = np.concatenate([self.source_scores, self.target_scores])
        edges = np.histogram_bin_edges(both, bins)
        shares = {
            name: (np.histogram(scores, edges)[0] / len(scores)).tolist()
            for name, scores in (("source", self.source_scores), ("target", self.target_scores))
        }
        return {"edges": edges.tolist(), **shares}

    def plot(self, names: tuple[str, str] = ("source", "target")) -> Figure:
        """Plot histograms of both sets in the columns that carry most, or of their scores if there are no columns.

        names: what to call the two sets. Returns a matplotlib Figure. Raises WdistError if matplotlib is not installed.
        """
        from wdist.witness.plot import draw_witness

        return draw_witness(self, names)

    def to_dict(self, count: int = 10) -> dict[str, Any]:
        """The witness as plain JSON types: attributes, unusual rows, histogram, columns. count: of unusual rows."""
        return {
            "units": self.units,
            "means": self.means,
            "numbering": self.numbering,
            "unusual": {side: [asdict(row) for row in rows] for side, rows in self.unusual(count).items()},
            "histogram": self.histogram(),
            "columns": [asdict(column) for column in self.columns],
        }

    def __repr__(self) -> str:
        return in_a_line(
            f"Witness(rows={len(self.source_rows)} and {len(self.target_rows)}, "
            f"columns={[column.name for column in self.columns[:SHOWN_ROWS]]!r})"
        )

    def __str__(self) -> str:
        lines = []
        if self.columns:
            lines = [f"Columns: what each carries of the difference, and how far apart it is alone; {self._note()}", ""]
            lines += [f"  {line}" for line in _aligned([_HEAD, *_lines(self.columns[:SHOWN_COLUMNS])], left=1)]
            more = len(self.columns) - SHOWN_COLUMNS
            lines += [*([f"  and {more} more"] if more > 0 else []), ""]
        lines += [f"{_UNUSUAL}, and the critic's scores", ""]
        lines += [f"  {line}" for line in _aligned(self._unusual_lines(), left=1)]
        return "\n".join([*lines, "", self.numbering])

    def _unusual_lines(self) -> list[list[str]]:
        return [
            line
            for side, rows in self.unusual(SHOWN_ROWS).items()
            for line in (
                [f"{side} row", *(str(entry.row) for entry in rows)],
                ["score", *(f"{entry.score:.3g}" for entry in rows)],
            )
        ]

    def _note(self) -> str:
        if any(column.lower_bound is None for column in self.columns):
            return "there are no bounds, because rows are not independent"
        return "all bounds (at least) hold at once"

    def _repr_html_(self) -> str:
        parts = []
        if self.columns:
            more = len(self.columns) - SHOWN_COLUMNS
            body = [_HEAD, *_lines(self.columns[:SHOWN_COLUMNS]), *([[f"and {more} more"]] if more > 0 else [])]
            told = "What each column carries of the difference, and how far apart it is alone"
            parts += [f"<p>{told}; {self._note()}.</p>", _as_table(body)]
        parts += [f"<p>{_UNUSUAL}, and the critic's scores.</p>", _as_table(self._unusual_lines())]
        parts += [f"<p>{html.escape(self.numbering)}</p>"]
        return "".join(parts)


_HEAD = ["column", "carries", "apart", "at least"]
_UNUSUAL = "Held-out rows least like the other set"


def _lines(columns: Sequence[Column]) -> list[list[str]]:
    is_shared = any(column.attribution for column in columns)
    return [
        [
            column.name if len(column.name) <= LONGEST_NAME else f"{column.name[: LONGEST_NAME - 1]}…",
            f"{100 * column.attribution:.0f} %" if is_shared else "-",  # a critic that shows nothing has none to share
            short(max(0.0, column.value)),  # below 0: the column alone shows nothing
            "no bound" if column.lower_bound is None else rounded_down(column.lower_bound),
        ]
        for column in columns
    ]


def _aligned(lines: Sequence[Sequence[str]], left: int) -> list[str]:
    """Cells in columns as wide as their widest cell. left: how many columns are aligned to the left."""
    widths = [max(len(line[k]) for line in lines if k < len(line)) for k in range(max(map(len, lines)))]
    return [
        "  ".join(
            cell.ljust(width) if k < left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(line, widths, strict=False))
        ).rstrip()
        for line in lines
    ]


def _as_table(lines: Sequence[Sequence[str]]) -> str:
    """Cells as HTML, the first of a line as its head."""
    rows = (
        f"<tr><th style='text-align:left'>{html.escape(first)}</th>"
        + "".join(f"<td style='text-align:right'>{html.escape(cell)}</td>" for cell in others)
        + "</tr>"
        for first, *others in lines
    )
    return f"<table>{''.join(rows)}</table>"
