"""What each column of a table contributes to the distance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wdist.definitions.figures import WITNESS_COLUMNS
from wdist.inference.simultaneous import column_lower_bounds
from wdist.rounding import UNIT_ROUNDOFF
from wdist.transport.exact import one_dimensional_w1
from wdist.witness.histograms import histograms_of
from wdist.witness.shares import carried_shares

if TYPE_CHECKING:
    from wdist.critics.critic import Critic
    from wdist.data.pair import SamplePair
    from wdist.data.splits import HeldOutRows
    from wdist.data.tables.encoding import Encoding
    from wdist.definitions.results.witness import ColumnHistogram

Values = NDArray[np.float64]
Indices = NDArray[np.int64]

ROWS = 100_000  # rows a side for distances and histograms of columns
LEAST_ROWS = 2_000  # of wide rows
# Values of these rows together. The bounds of 64 columns then take 4 s of a processor, with three times as many 12 s.
VALUES = 1 << 21

Coordinate = Callable[[Values], Values]
"""A 1-Lipschitz function of rows, (n, D) -> (n,), that depends on one column of a table."""


@dataclass(frozen=True)
class Column:
    """The contribution of one column of a table to the distance.

    Attributes:
        name: the frame's column name, or its number.
        attribution: share of the critic's difference that this column carries, from 0 to 1 (`carried_shares`). Those of
            all columns sum to 1; all are 0 if none is more than noise.
        value: held-out W1 of this column alone, from a critic of one variable; of a category, the difference of the
            shares of the levels that the target has more of, times category_cost. The true W1 of the column is at most
            that of the rows.
        lower_bound: lower bound on the column's W1; all columns' bounds hold at once at the result's confidence. None
            if rows are not independent (groups, blocks of time).
        histogram: the column's values in the held-out rows of both sets, in the table's own units. None if it was not
            asked for, or in a file of an earlier version.
    """

    name: str
    attribution: float
    value: float
    lower_bound: float | None
    histogram: ColumnHistogram | None = None


def columns_of(pair: SamplePair, critic: Critic, alpha: float, *, with_histograms: bool = True) -> list[Column]:
    """The columns of a table by decreasing attribution, with bounds that hold together at error alpha.

    None for tables of more than 200 columns. Each bound is that of a 1-Lipschitz function of its column alone, which
    only train rows decide.
    """
    encoding, width = pair.source.encoding, pair.source.dimension
    names = pair.source.columns if encoding is None else encoding.schema.names
    if len(names) > WITNESS_COLUMNS:
        return []
    limit = min(ROWS, max(LEAST_ROWS, VALUES // width))
    fit_x, fit_y = pair.rows("train", limit)
    test_x, test_y = pair.test_rows(limit)
    owners = np.arange(width) if encoding is None else encoding.table_columns
    shares = carried_shares(critic, test_x.in_order(), test_y.in_order(), owners)
    if encoding is not None:
        coordinates = _coordinates(fit_x, fit_y, encoding, pair.scaling.category_cost or 1.0)
        fit_x, fit_y = (_through(coordinates, rows) for rows in (fit_x, fit_y))
        test_x, test_y = (_held_out_through(coordinates, rows) for rows in (test_x, test_y))
    values, bounds = column_lower_bounds(fit_x, fit_y, test_x, test_y, alpha)
    histograms: list[ColumnHistogram | None] = [None] * len(names)
    if with_histograms:
        rows_x, rows_y = pair.source.rows(test_x.numbers), pair.target.rows(test_y.numbers)
        histograms[:] = histograms_of(rows_x, rows_y, encoding)
    columns = [
        Column(name, float(share), float(value), float(bound), histogram)
        for name, share, value, bound, histogram in zip(names, shares, values, bounds, histograms, strict=True)
    ]
    return sorted(columns, key=lambda column: (-column.attribution, -(column.lower_bound or 0.0), -column.value))


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
