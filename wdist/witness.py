"""Where two sets differ, according to a critic: scores of single rows, the most unusual rows, and the columns."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wdist.definitions.figures import WITNESS_COLUMNS
from wdist.inference.simultaneous import column_lower_bounds
from wdist.rounding import UNIT_ROUNDOFF
from wdist.transport.exact import one_dimensional_w1

if TYPE_CHECKING:
    from wdist.critics.critic import Critic
    from wdist.data.pair import SamplePair
    from wdist.data.splits import HeldOutRows
    from wdist.data.tables.encoding import Encoding

Values = NDArray[np.float64]
Indices = NDArray[np.int64]

BINS = 40
COLUMN_ROWS = 100_000  # rows a side for the one-dimensional distances of the columns
SLOPE_ROWS = 5_000  # test rows a side for the attribution to columns

Coordinate = Callable[[Values], Values]
"""A 1-Lipschitz function of rows, (n, D) -> (n,), that depends on one column of a table."""


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
        attribution: mean of |df/dx_j| / L over held-out rows, from 0 to 1: how much of f's slope is along this column;
            of a category, how much is between its levels.
        value: held-out W1 of this column alone, from a critic of one variable; of a category, the difference of the
            shares of the levels that the target has more of, times category_cost. The true W1 of the column is at most
            that of the rows.
        lower_bound: lower bound on the column's W1; all columns' bounds hold at once at the result's confidence. None
            if rows are not independent (groups, blocks of time).
    """

    name: str
    attribution: float
    value: float
    lower_bound: float | None


def columns_of(pair: SamplePair, critic: Critic, alpha: float) -> list[Column]:
    """The columns of a table by decreasing attribution, with bounds that hold together at error alpha.

    None for tables of more than 200 columns. Each bound is that of a 1-Lipschitz function of its column alone, which
    only train rows decide.
    """
    encoding = pair.source.encoding
    names = pair.source.columns if encoding is None else encoding.schema.names
    if len(names) > WITNESS_COLUMNS:
        return []
    fit_x, fit_y = pair.rows("train", COLUMN_ROWS)
    test_x, test_y = pair.test_rows(COLUMN_ROWS)
    slopes = np.concatenate([critic.slopes(rows.sample(SLOPE_ROWS)) for rows in (test_x, test_y)])
    if encoding is None:
        sizes = np.abs(slopes).reshape(len(slopes), -1)
    else:
        sizes = _slopes_of_columns(slopes, encoding)
        coordinates = _coordinates(fit_x, fit_y, encoding, pair.scaling.category_cost or 1.0)
        fit_x, fit_y = (_through(coordinates, rows) for rows in (fit_x, fit_y))
        test_x, test_y = (_held_out_through(coordinates, rows) for rows in (test_x, test_y))
    attribution = sizes.mean(axis=0) / critic.lipschitz_bound
    values, bounds = column_lower_bounds(fit_x, fit_y, test_x, test_y, alpha)
    columns = [
        Column(name, float(share), float(value), float(bound))
        for name, share, value, bound in zip(names, attribution, values, bounds, strict=True)
    ]
    return sorted(columns, key=lambda column: -column.attribution)


def _slopes_of_columns(slopes: Values, encoding: Encoding) -> Values:
    """Norm of the gradient (n, D) along each column of the table, (n, k). That along all levels at once is nothing."""
    sizes = np.empty((len(slopes), len(encoding.schema.columns)))
    kinds = np.array(encoding.kinds)
    for k in range(sizes.shape[1]):
        own = encoding.table_columns == k
        block = slopes[:, own]
        if (kinds[own] == "level").all():
            block = block - block.mean(axis=1, keepdims=True)
        sizes[:, k] = np.linalg.norm(block, axis=1)
    return sizes


def _coordinates(fit_x: Values, fit_y: Values, encoding: Encoding, cost: float) -> list[Coordinate]:
    """For each column of the table the function that its W1 is bounded by, chosen on the train rows.

    Of numbers, the value, or the indicator of missing values if the sets differ by that more. Of a category, the cost
    of a level that the target has more of, and 0 of others: levels are the cost apart, so it is 1-Lipschitz, and it
    attains W1, which is the cost times the total variation of the levels.
    """
    kinds = np.array(encoding.kinds)
    found: list[Coordinate] = []
    for k in range(len(encoding.schema.columns)):
        places = np.flatnonzero(encoding.table_columns == k)
        if (kinds[places] == "level").all():
            more = places[(fit_y[:, places] > 0).mean(axis=0) > (fit_x[:, places] > 0).mean(axis=0)]
            # The divisors of levels are rounded, so that their distance may be slightly less than the cost.
            found.append(_cost_of(more, cost * (1 - 8 * UNIT_ROUNDOFF)))
        else:
            apart = [one_dimensional_w1(fit_x[:, place], fit_y[:, place]) for place in places]
            found.append(_number_at(int(places[int(np.argmax(apart))])))
    return found


def _cost_of(places: Indices, cost: float) -> Coordinate:
    return lambda rows: np.where((rows[:, places] > 0).any(axis=1), cost, 0.0)


def _number_at(place: int) -> Coordinate:
    return lambda rows: rows[:, place]


def _through(coordinates: list[Coordinate], rows: Values) -> Values:
    return np.stack([coordinate(rows) for coordinate in coordinates], axis=1)


def _held_out_through(coordinates: list[Coordinate], held_out: HeldOutRows) -> HeldOutRows:
    return replace(held_out, rows=_through(coordinates, held_out.rows))


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

    def __repr__(self) -> str:
        columns = f", {len(self.columns):,} columns, first {self.columns[0].name[:40]!r}" if self.columns else ""
        return f"<Witness: scores of {len(self.source_rows):,} and {len(self.target_rows):,} held-out rows{columns}>"

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
