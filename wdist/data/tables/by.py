"""Many groups in one table: the levels of one column become sets of their own, which the other columns describe."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from wdist.data.tables.coder import level_of
from wdist.data.tables.schema import TableSchema
from wdist.definitions.reading import Reading, Selection
from wdist.errors import OptionError, SampleError

MOST_SETS = 50  # compared pair by pair: 1,225 pairs
MISSING = "missing"  # what the set of the rows without a level is called
_SHOWN = 300  # characters of a list of levels in a message
_BLOCK_BYTES = 16 << 20


def reading_by(reading: Reading, by: str) -> Reading:
    """The reading of a table that is split by a column: this column is taken too, as a category."""
    fields = reading.model_dump()
    if fields["columns"] is not None and by not in fields["columns"]:
        fields["columns"] = [*fields["columns"], by]
    fields["drop"] = [name for name in fields["drop"] if name != by]  # it is left out of the sets in any case
    fields["dates"] = [name for name in fields["dates"] if name != by]
    fields["categories"] = [*(name for name in fields["categories"] if name != by), by]
    return Reading.checked(**fields)


def without(take: Selection, by: str) -> Selection:
    """The selection of the same columns but `by`, by which a file is read that holds one of the sets."""
    columns = None if take.columns is None else [name for name in take.columns if name != by]
    return take.model_copy(update={"columns": columns, "categories": [name for name in take.categories if name != by]})


@dataclass(frozen=True, eq=False)
class Partition:
    """The rows of a table by the levels of a column.

    levels: names of the sets. order: (n,) int64, the rows of the first set in the order of the table, then those of the
    second, and so on. ends: (sets + 1,) int64; set k has the rows order[ends[k]:ends[k + 1]].
    """

    by: str
    levels: list[str]
    order: NDArray[np.int64]
    ends: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        by: str,
        codes: NDArray[Any],
        names: Sequence[str],
        *,
        chosen: Sequence[Any] | None = None,
        reference: Any = False,
        least: int = 1,
    ) -> Self:
        """The rows of each level that is chosen, in this order; by default of all, sorted as numbers or as text.

        codes: (n,), the level of each row, a place in `names`; NaN is the missing level. reference: the level that
        comes first, or True or False, which leave the order as it is; with False all pairs will be compared. least:
        rows that a set must have. Raises OptionError for a level that is not there and for more levels than can be
        compared pair by pair, SampleError, in words that name the level, for one that has too few rows.
        """
        names = list(names)
        places = np.where(np.isnan(codes), len(names), codes).astype(np.int64)
        names.append(MISSING if MISSING not in names else f"({MISSING})")
        counts = np.bincount(places, minlength=len(names))
        present = _sorted([name for name, count in zip(names, counts, strict=True) if count])
        levels = present if chosen is None else _chosen(by, chosen, present)
        if not isinstance(reference, bool):
            first = _chosen(by, [reference], present)
            levels = [*first, *(level for level in levels if level not in first)]
        if reference is False:
            _refuse_many(by, levels)
        rows = {name: int(count) for name, count in zip(names, counts, strict=True)}
        _refuse_small(by, levels, rows, least)
        rank = np.full(len(names), len(levels))  # rows of other levels come last, and are cut off
        rank[[names.index(level) for level in levels]] = np.arange(len(levels))
        ends = np.cumsum([0, *(rows[level] for level in levels)])
        order = np.argsort(rank[places], kind="stable")[: ends[-1]]
        return cls(by, levels, order.astype(np.int64), ends.astype(np.int64))

    def blocks(self, array: NDArray[Any]) -> Iterator[NDArray[Any]]:
        """The rows of an array (n, ...) set by set, in blocks of bounded size."""
        step = max(1, _BLOCK_BYTES // max(1, array.dtype.itemsize * math.prod(array.shape[1:])))
        for start in range(0, len(self.order), step):
            yield np.asarray(array[self.order[start : start + step]])

    def parts(self, ordered: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The rows of each set, from an array whose rows are in the order of `blocks`: views, no copies."""
        ends = self.ends.tolist()
        return {level: ordered[ends[k] : ends[k + 1]] for k, level in enumerate(self.levels)}


def split_schema(schema: TableSchema, by: str) -> tuple[list[int], TableSchema | None]:
    """Places of the columns that describe the sets, and their schema: None where they are plain numbers."""
    kept = [k for k, name in enumerate(schema.names) if name != by]
    if not kept:
        raise SampleError(f"there are no columns beside {by!r} by which its levels could differ")
    columns = tuple(schema.columns[k] for k in kept)
    is_plain = all(column.kind == "number" for column in columns) and not schema.has_levels_of_missing
    return kept, None if is_plain else replace(schema, columns=columns)


def _sorted(names: Sequence[str]) -> list[str]:
    """The names by their values if all are numbers, else as text."""
    numbers = [_number(name) for name in names]
    if any(number is None for number in numbers):
        return sorted(names)
    return [name for _, name in sorted(zip(numbers, names, strict=True))]


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _chosen(by: str, chosen: Sequence[Any], present: Sequence[str]) -> list[str]:
    """The names of the levels that were asked for. Raises OptionError for one that is not there, or is given twice."""
    names = [_as_written(each if isinstance(each, str) else level_of(each), present) for each in chosen]
    for k, name in enumerate(names):
        if name not in present:
            near = difflib.get_close_matches(name, present, 1)
            shown = ", ".join(present)
            shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
            hint = f"did you mean {near[0]!r}?" if near else f"there are {shown}"
            raise OptionError(f"{by!r} has no level {name!r}; {hint}")
        if name in names[:k]:
            raise OptionError(f"level {name!r} of {by!r} is given twice: name each level once")
    return names


def _refuse_many(by: str, levels: Sequence[str]) -> None:
    """Raise OptionError for more levels than can be compared pair by pair."""
    if len(levels) > MOST_SETS:
        raise OptionError(
            f"{by!r} has {len(levels):,} levels, which make {math.comb(len(levels), 2):,} pairs: compare one of them "
            f"with the others by reference={levels[0]!r}, or name at most {MOST_SETS} of them as levels"
        )


def _as_written(name: str, present: Sequence[str]) -> str:
    """The level that is this number, however the table writes it: 9.0 for 9. Other names stay as they are."""
    if name in present or (number := _number(name)) is None:
        return name
    same = [level for level in present if _number(level) == number]
    return same[0] if len(same) == 1 else name


def _refuse_small(by: str, levels: Sequence[str], rows: dict[str, int], least: int) -> None:
    """Raise SampleError if a level has too few rows, with the levels that have enough."""
    small = [level for level in levels if rows[level] < least]
    if not small:
        return
    large = [level for level in levels if rows[level] >= least]
    shown = ", ".join(f"{level!r} ({rows[level]})" for level in small)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
    said = f"{by!r} has levels with fewer than the {least} rows that a comparison needs: {shown}"
    if len(large) < 2:
        raise SampleError(f"{said}; only {len(large)} have enough")
    way = f"levels={large!r} leaves them out" if len(large) <= MOST_SETS else "name the others as levels"
    raise SampleError(f"{said}; {way}")
