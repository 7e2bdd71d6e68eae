"""Histograms of the columns of two sets, in the units of the table."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wdist.data.tables.encoding import LEVELS_OF_BOOLEANS, UTC
from wdist.data.tables.times import MICRO, SECONDS, start_of, written
from wdist.definitions.results.witness import ColumnHistogram

if TYPE_CHECKING:
    from wdist.data.tables.encoding import Encoding
    from wdist.data.tables.schema import TableColumn

Values = NDArray[np.float64]
Two = tuple[Values, Values]

BINS = 20
LEVELS = 8  # of a category; the others are one
ENDS = 0.005, 0.995  # quantiles between which the bins lie: one row far away does not flatten the others
_DAY = 86400.0
_FIRST, _LAST = (
    (end.replace(tzinfo=datetime.UTC) - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)).total_seconds()
    for end in (datetime.datetime.min, datetime.datetime.max)
)


def histograms_of(x: Values, y: Values, encoding: Encoding | None) -> list[ColumnHistogram]:
    """One for each column of the table. x, y: rows (n, D), (m, D) as `SampleSet.rows` returns them, not rescaled."""
    if encoding is None:
        return [of_numbers((x[:, k], y[:, k])) for k in range(x.shape[1])]
    kinds = np.array(encoding.kinds)
    found = []
    for k, column in enumerate(encoding.schema.columns):
        places = np.flatnonzero(encoding.table_columns == k)
        own = x[:, places], y[:, places]
        match kinds[places[0]]:
            case "level":
                found.append(_of_levels(own, column, has_missing=encoding.schema.has_levels_of_missing))
            case "indicator":
                found.append(_shares(list(LEVELS_OF_BOOLEANS), *((1 - side.mean(), side.mean()) for side in own)))
            case _:
                values = own[0][:, 0], own[1][:, 0]
                found.append(_of_values(values, column, may_be_missing=kinds[places[0]] == "optional"))
    return found


def of_numbers(sides: Two) -> ColumnHistogram:
    """The histogram of numbers (n,) and (m,), none of which is missing."""
    edges = edges_of(*_ends(sides), is_whole=_are_whole(sides))
    first, second = (_in_bins(side, edges, len(side)) for side in sides)
    return {"edges": edges.tolist(), "source": first, "target": second}


def _of_values(sides: Two, column: TableColumn, *, may_be_missing: bool) -> ColumnHistogram:
    """That of numbers or times of an encoded table, in which NaN is a missing value."""
    first, second = (side[~np.isnan(side)] for side in sides)
    if column.unit is None:
        edges = edges_of(*_ends((first, second)), is_whole=_are_whole((first, second)))
        shown: list[float] | list[str] = edges.tolist()
    else:
        in_seconds, start = SECONDS[column.unit], start_of(column.start) / MICRO
        first, second = (side * in_seconds + start for side in (first, second))
        edges = _edges_of_times(*_ends((first, second)))
        shown = _in_words(edges, has_zone=(column.start or "").endswith(UTC))
    x, y = (_in_bins(values, edges, len(side)) for values, side in zip((first, second), sides, strict=True))
    histogram: ColumnHistogram = {"edges": shown, "source": x, "target": y}
    if may_be_missing:
        histogram["missing"] = {
            "source": 1 - len(first) / len(sides[0]), "target": 1 - len(second) / len(sides[1]),
        }  # fmt: skip
    return histogram


def _of_levels(sides: Two, column: TableColumn, *, has_missing: bool) -> ColumnHistogram:
    """The most frequent levels; of a boolean, in its own order."""
    shares = [side.mean(axis=0) for side in sides]
    names = list(LEVELS_OF_BOOLEANS if column.kind == "boolean" else column.levels)
    x, y = (each[: len(names)] for each in shares)
    if column.kind == "boolean":
        histogram = _shares(names, x, y)
    else:
        order = np.argsort(-(x + y), kind="stable")
        # One level more takes no more space than the word for it.
        kept = order if len(order) <= LEVELS + 1 else order[:LEVELS]
        shown = [names[place] for place in kept]
        x, y = x[order], y[order]
        if (rest := len(order) - len(kept)) > 0:
            shown.append(f"other ({rest} levels)")
            x, y = (np.append(each[: len(kept)], each[len(kept) :].sum()) for each in (x, y))
        histogram = _shares(shown, x, y)
    if has_missing:
        histogram["missing"] = {"source": float(shares[0][-1]), "target": float(shares[1][-1])}
    return histogram


def _shares(levels: list[str], x: Sequence[float] | Values, y: Sequence[float] | Values) -> ColumnHistogram:
    first, second = ([float(share) for share in side] for side in (x, y))
    return {"levels": levels, "source": first, "target": second}


def _are_whole(sides: Two) -> bool:
    return all(bool((side == np.rint(side)).all()) for side in sides)


def _ends(sides: Two) -> tuple[float, float]:
    """Between which values the bins lie: the outer quantiles of both sets, or all values if these are too few."""
    there = [side for side in sides if len(side)]
    if not there:
        return 0.0, 0.0
    # Values that occur: between two of them, one far away would still move the end.
    low = float(min(np.quantile(side, ENDS[0], method="higher") for side in there))
    high = float(max(np.quantile(side, ENDS[1], method="lower") for side in there))
    if low >= high:  # one value, or few of them
        low, high = float(min(side.min() for side in there)), float(max(side.max() for side in there))
    return low, high


def edges_of(low: float, high: float, *, is_whole: bool = False) -> Values:
    """Edges of at most 20 bins of equal width, at round numbers, from at most low to at least high.

    Whole numbers get a bin of their own each if there are few, around the number.
    """
    if not math.isfinite(high - low):  # numbers near the end of float64
        edges_of_halves: Values = np.linspace(low / 2, high / 2, BINS + 1)
        return 2 * edges_of_halves
    if is_whole and high - low < BINS and max(abs(low), abs(high)) < 2.0**52:  # beyond, no half lies between two
        return np.arange(low, high + 2) - 0.5
    if low == high:
        half = max(0.5, 1e-6 * abs(low))
        return np.array([low - half, high + half])
    finest = 8 * float(np.finfo(np.float64).eps) * max(abs(low), abs(high))
    step = _round_step(max((high - low) / (BINS - 1), finest))
    first, last = math.floor(low / step), math.ceil(high / step)
    last = max(last, first + 1)
    digits = max(0, 1 - math.floor(math.log10(step)))
    edges = [number * step for number in range(first, last + 1)]
    return np.array([round(edge, digits) if digits < 300 else edge for edge in edges]) + 0.0  # no -0


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is at least this."""
    power: float = 10.0 ** math.floor(math.log10(least))
    return power * next((factor for factor in (1.0, 2.0, 2.5, 5.0) if power * factor >= least), 10.0)


def _edges_of_times(low: float, high: float) -> Values:
    """The same of seconds since 1970: whole days if the times are weeks apart, else whole seconds."""
    unit = _DAY if high - low >= BINS * _DAY / 2 else 1.0
    step = unit * max(1, math.ceil((high - low) / unit / (BINS - 1)))
    first = math.floor(low / unit) * unit
    count = max(1, math.ceil((high - first) / step))
    return np.clip(first + step * np.arange(count + 1), _FIRST, _LAST)


def _in_words(edges: Values, *, has_zone: bool) -> list[str]:
    """Edges in seconds since 1970 in ISO 8601: as dates if all of them are."""
    if (edges % _DAY == 0).all():
        return [written(round(edge) * MICRO, has_zone=False)[:10] for edge in edges]
    return [written(round(edge) * MICRO, has_zone=has_zone) for edge in edges]


def _in_bins(values: Values, edges: Values, n: int) -> list[float]:
    counts = np.histogram(values.clip(edges[0], edges[-1]), edges)[0]
    shares: list[float] = (counts / n).tolist()
    return shares
