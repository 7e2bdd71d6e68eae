"""Codes of tables as points: rows of equal columns, whose Euclidean distances are those that the reading declares.

A category is one column a level, a missing value a level of its own. Which columns there are depends on the sets that
are compared, so that both have the same ones. docs/guides/tables.md defines the distance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from wdist.data.columns import check_names
from wdist.data.tables.schema import TableColumn, TableSchema
from wdist.errors import SampleError

Values = NDArray[np.float64]
Kind = Literal["number", "optional", "indicator", "level"]
"""Of an encoded column. number: a number or a time; optional: the same, NaN where it is missing; indicator: 0 or 1;
level: 0 or 1, with one 1 among the columns of a category."""

LEVELS_OF_BOOLEANS = ("false", "true")
_BOOLEANS = {"False": "false", "FALSE": "false", "True": "true", "TRUE": "true"}
BLOCK_ELEMENTS = 1 << 20  # of encoded rows, where many are asked for at once
MOST_SHOWN = 5  # names in a message
UTC = "+00:00"  # ends the start of times that have a zone


@dataclass(frozen=True)
class EncodedColumn:
    """A column of encoded rows. table_column: the place in the table of the column that it belongs to."""

    name: str
    kind: Kind
    table_column: int


@dataclass(frozen=True)
class Encoding:
    """How the codes of sets that are compared become rows of the same columns.

    schema: the columns that all sets have, with the levels of all of them, sorted.
    """

    schema: TableSchema

    @classmethod
    def of(cls, schemas: Sequence[TableSchema], called: Sequence[str] = ()) -> Self:
        """The encoding of these sets; `called` is what messages call them.

        Missing values are levels if they are in one of the sets. Raises SampleError for columns that do not agree.
        """
        called = called or [f"set {k + 1}" for k in range(len(schemas))]
        first = schemas[0]
        for schema, name in zip(schemas[1:], called[1:], strict=True):
            _check_agreement(first, schema, called[0], name)
        columns = tuple(
            replace(column, levels=_together([each.columns[k].levels for each in schemas]))
            for k, column in enumerate(first.columns)
        )
        return cls(TableSchema(columns, any(each.has_levels_of_missing for each in schemas)))

    def check(self, schema: TableSchema, name: str, called: str = "the encoding") -> None:
        """Raise SampleError unless a set of this schema can be encoded; its levels may be others.

        name: of the set in messages; called: of the encoding.
        """
        _check_agreement(self.schema, schema, called, name, is_fixed=True)

    @cached_property
    def columns(self) -> tuple[EncodedColumn, ...]:
        """The encoded columns, in the order of the table."""
        return tuple(self._columns())

    def _columns(self) -> Iterator[EncodedColumn]:
        has_missing = self.schema.has_levels_of_missing
        for k, column in enumerate(self.schema.columns):
            levels = self._levels_of(k)
            if levels is not None:
                for level in levels:
                    yield EncodedColumn(f"{column.name}={level}", "level", k)
                if has_missing:
                    yield EncodedColumn(f"{column.name} is missing", "level", k)
            elif column.kind == "boolean":
                yield EncodedColumn(column.name, "indicator", k)
            else:
                yield EncodedColumn(column.name, "optional" if has_missing else "number", k)
                if has_missing:
                    yield EncodedColumn(f"{column.name} is missing", "indicator", k)

    def _levels_of(self, k: int) -> tuple[str, ...] | None:
        """The levels of a column of the table that becomes one column a level, else None."""
        column = self.schema.columns[k]
        if column.kind == "category":
            return column.levels
        is_level = column.kind == "boolean" and self.schema.has_levels_of_missing
        return LEVELS_OF_BOOLEANS if is_level else None

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def kinds(self) -> list[Kind]:
        return [column.kind for column in self.columns]

    @property
    def blocks(self) -> list[tuple[str, int]]:
        """The kind of each column of the table as encoded, and how many columns it became.

        number (1), optional (2: the number, and where it is missing), indicator (1), levels (one each).
        """
        widths = np.bincount(self.table_columns)
        first = np.concatenate([[0], np.cumsum(widths)[:-1]])
        kinds = [self.columns[place].kind for place in first]
        return [("levels" if kind == "level" else kind, int(width)) for kind, width in zip(kinds, widths, strict=True)]

    @cached_property
    def is_number(self) -> NDArray[np.bool_]:
        """(D,): the encoded columns that hold numbers or times; they have the scale, the others category_cost."""
        return np.array([column.kind in ("number", "optional") for column in self.columns])

    @cached_property
    def table_columns(self) -> NDArray[np.int64]:
        """(D,): the column of the table that each encoded column belongs to."""
        return np.array([column.table_column for column in self.columns])

    def rows(self, codes: NDArray[Any], schema: TableSchema) -> Values:
        """The encoded rows (m, D) of codes (m, k) of a set of this schema. Levels that are none here are all 0."""
        return _Encoder.of(self, schema).rows(codes)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types: the columns of the table, and whether missing values are levels."""
        return self.schema.to_json()

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(TableSchema.from_json(stored))


@dataclass(frozen=True)
class _Encoder:
    """Encodes the codes of one set.

    copied, copied_to: columns of codes that stay as they are, and where they go. indicators: the encoded columns that
    say where the one before them is missing. looked_up: for categories, the column of codes, the first encoded column,
    and the encoded values of each code (codes + 1, width), at last of a missing value.
    """

    width: int
    copied: NDArray[np.int64]
    copied_to: NDArray[np.int64]
    indicators: list[int]
    looked_up: list[tuple[int, int, Values]]

    @classmethod
    def of(cls, encoding: Encoding, schema: TableSchema) -> Self:
        copied, indicators, looked_up = [], [], []
        place = 0
        for k, column in enumerate(encoding.schema.columns):
            width = int(np.count_nonzero(encoding.table_columns == k))
            levels = encoding._levels_of(k)
            if levels is None:
                copied.append((k, place))
                if width > 1:
                    indicators.append(place + 1)
            else:
                own = schema.columns[k].levels if column.kind == "category" else levels
                places = {_meant(level): i for i, level in enumerate(levels)}
                values = np.zeros((len(own) + 1, width))
                for code, level in enumerate(own):
                    if _meant(level) in places:
                        values[code, places[_meant(level)]] = 1
                if encoding.schema.has_levels_of_missing:
                    values[-1, -1] = 1
                looked_up.append((k, place, values))
            place += width
        pairs = np.array(copied, dtype=np.int64).reshape(-1, 2)
        return cls(place, pairs[:, 0], pairs[:, 1], indicators, looked_up)

    def rows(self, codes: NDArray[Any]) -> Values:
        out = np.zeros((len(codes), self.width))
        out[:, self.copied_to] = codes[:, self.copied]
        for place in self.indicators:
            is_missing = np.isnan(out[:, place - 1])
            out[is_missing, place - 1] = np.nan  # one pattern of bits, so that equal rows have equal bytes
            out[:, place] = is_missing
        for column, place, values in self.looked_up:
            given = codes[:, column]
            is_missing = np.isnan(given)
            code = np.where(is_missing, -1, given).astype(np.intp) if is_missing.any() else given.astype(np.intp)
            out[:, place : place + values.shape[1]] = values[code]
        return out


class EncodedRows:
    """The encoded rows (n, D) of an array of codes (n, k); they are made where they are read, never all at once.

    Slices and index arrays give float64 arrays, as those of an array do.
    """

    ndim = 2
    dtype: np.dtype[Any] = np.dtype(np.float64)

    def __init__(self, codes: NDArray[Any], schema: TableSchema, encoding: Encoding) -> None:
        self.codes, self.schema, self.encoding = codes, schema, encoding
        self.shape = (len(codes), len(encoding.columns))
        self._encoder = _Encoder.of(encoding, schema)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | NDArray[np.integer[Any]]) -> Values:
        codes = self.codes[index]
        step = max(1, BLOCK_ELEMENTS // max(1, self.shape[1]))
        if len(codes) <= step:
            return self._encoder.rows(codes)
        out = np.empty((len(codes), self.shape[1]))
        for start in range(0, len(codes), step):
            out[start : start + step] = self._encoder.rows(codes[start : start + step])
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All rows, in memory."""
        return self[:].astype(dtype or self.dtype, copy=False)


def _check_agreement(first: TableSchema, other: TableSchema, one: str, two: str, *, is_fixed: bool = False) -> None:
    """Raise SampleError unless two tables have the same columns of the same kinds, in the same order.

    is_fixed: it is the other one that has to be changed.
    """
    check_names(first.names, other.names, one, two, is_fixed=is_fixed)
    for a, b in zip(first.columns, other.columns, strict=True):
        if a.kind != b.kind:
            raise SampleError(
                f"column {a.name!r} holds {_said(a)} in {one} and {_said(b)} in {two}: "
                + (f"give {two} {_said(a)} there" if is_fixed else _advice(a, b))
            )
        if (a.unit, _instant(a)) != (b.unit, _instant(b)):
            raise SampleError(
                f"column {a.name!r} holds times in {a.unit} since {a.start} in {one}, and in {b.unit} since {b.start} "
                f"in {two}: read {two if is_fixed else 'both'} with the same unit and start"
            )


def _instant(column: TableColumn) -> str | None:
    """The start of times, written as that of times with a zone: those without one are taken as UTC."""
    return None if column.start is None else column.start.removesuffix(UTC) + UTC


def _said(column: TableColumn) -> str:
    return {"number": "numbers", "boolean": "booleans", "category": "a category", "time": "times"}[column.kind]


def _advice(a: TableColumn, b: TableColumn) -> str:
    if "category" in (a.kind, b.kind) and "time" not in (a.kind, b.kind):
        return "name it in categories for both, or leave it out"
    return "give both the same type, or leave it out"


def agreement_warnings(first: TableSchema, other: TableSchema, one: str, two: str) -> list[str]:
    """Warn about columns whose values two tables may write differently: levels, and times of which one has zones."""
    return [
        *_warnings_of_levels(first, other, one, two),
        *_warnings_of_spelling(first, other, one, two),
        *_warnings_of_zones(first, other, one, two),
    ]


def _warnings_of_levels(first: TableSchema, other: TableSchema, one: str, two: str) -> list[str]:
    """Categories of which the tables have no level in common, as spelled differently or of other codes."""
    apart = [
        repr(a.name)
        for a, b in zip(first.columns, other.columns, strict=True)
        if a.kind == "category" and a.levels and b.levels and not {*map(_meant, a.levels)} & {*map(_meant, b.levels)}
    ]
    if not apart:
        return []
    shown = ", ".join(apart[:MOST_SHOWN]) + (", ..." if len(apart) > MOST_SHOWN else "")
    return [
        f"{one} and {two} have no level of {shown} in common: if the levels are only spelled differently, every row is "
        "at least category_cost away from those of the other set"
    ]


def _warnings_of_spelling(first: TableSchema, other: TableSchema, one: str, two: str) -> list[str]:
    """Levels that only one table has, and that the other one has in another spelling: 1 and 1.0, Yes and yes."""
    found = []
    for a, b in zip(first.columns, other.columns, strict=True):
        own, others = _only_in(a, b), _only_in(b, a)
        spelled = {_spelling(level): level for level in own}
        found += [(a.name, spelled[key], level) for level in others if (key := _spelling(level)) in spelled]
    if not found:
        return []
    shown = ", ".join(f"{mine!r} and {theirs!r} of {name!r}" for name, mine, theirs in found[:MOST_SHOWN])
    shown += ", ..." if len(found) > MOST_SHOWN else ""
    return [
        f"levels that {one} and {two} may only spell differently are category_cost apart: {shown}; write them alike in "
        "both"
    ]


def levels_not_known(encoding: Encoding, schema: TableSchema, critic: str, rows: str) -> list[str]:
    """Warn about levels that neither set of an encoding had, and about those that may only be spelled differently."""
    new = [
        (column.name, level)
        for known, column in zip(encoding.schema.columns, schema.columns, strict=True)
        if known.kind == "category"
        for level in _only_in(column, known)
    ]
    if not new:
        return []
    shown = ", ".join(f"{level[:100]!r} of {name!r}" for name, level in new[:MOST_SHOWN])
    shown += f" and {len(new) - MOST_SHOWN:,} more" if len(new) > MOST_SHOWN else ""
    said = f"{critic} was trained without levels that {rows} have, and takes all of them alike: {shown}"
    return [said, *_warnings_of_spelling(encoding.schema, schema, critic, rows)]


def _only_in(column: TableColumn, other: TableColumn) -> list[str]:
    """The levels of one column that the other has not."""
    there = {*map(_meant, other.levels)}
    return [level for level in column.levels if _meant(level) not in there]


def _together(levels: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The levels of a column in all tables, sorted; one that they write differently is called as booleans are."""
    spelled: dict[str, set[str]] = {}
    for level in {level for each in levels for level in each}:
        spelled.setdefault(_meant(level), set()).add(level)
    return tuple(sorted(next(iter(each)) if len(each) == 1 else level for level, each in spelled.items()))


def _meant(level: str) -> str:
    """The level as a boolean is called, if its text is that of one: pandas writes True, R and Excel TRUE."""
    return _BOOLEANS.get(level, level)


def _spelling(level: str) -> float | str:
    """What levels have in common that may be one: their number, as float32 has it, or their text in lower case."""
    text = level.strip().casefold()
    with np.errstate(over="ignore"):
        try:
            number = float(np.float32(float(text)))
        except ValueError:
            return text
    return number if np.isfinite(number) else text


def _warnings_of_zones(first: TableSchema, other: TableSchema, one: str, two: str) -> list[str]:
    """Times that have a zone in one table and none in the other, where they are taken as UTC."""
    found = []
    for a, b in zip(first.columns, other.columns, strict=True):
        if a.kind == "time" and a.start != b.start:
            with_zone, without = (one, two) if (a.start or "").endswith(UTC) else (two, one)
            found.append(
                f"the times of column {a.name!r} have a zone in {with_zone} and none in {without}: those without are "
                "taken as UTC; if they are in another zone, give them that zone"
            )
    return found
