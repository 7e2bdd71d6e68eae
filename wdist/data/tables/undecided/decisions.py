"""Gathers over the rows of a table what its reading has to decide: columns of text, dates, missing values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from wdist.data.tables.columns import Column, ColumnType, missing_in
from wdist.data.tables.found import DecodeError
from wdist.data.tables.naming import NAMED, asked, asked_together, others_with_text, shown
from wdist.data.tables.undecided.quantities import has_mostly_numbers, is_number
from wdist.data.tables.undecided.refused import UndecidedError
from wdist.definitions.reading import Selection

MAX_LEVELS = 1_000  # of a column; one with more is an identifier or free text
FREE_TEXT_SHARE = 0.9  # of rows with a text of their own, above which a column is no category either
FEWEST_TEXTS = 20  # fewer may be names of levels with one row each
MOST_ROWS = 1 << 20  # that are looked at after a refusal: a second or two
DATE = re.compile(r"\d{4}-\d\d(-\d\d.*)?")
# 17/04/2026, 4.17.26, 2026/04/17, with or without a time: which part is the month, only who wrote it knows.
OTHER_DATE = re.compile(r"(\d{1,2}([./-])\d{1,2}\2(\d{4}|\d\d)|\d{4}([./])\d{1,2}\4\d{1,2})([ T].*)?")


class Decisions:
    """What has to be decided. False as long as nothing has."""

    def __init__(self, take: Selection, *, has_names: bool = True) -> None:
        self._take, self._has_names = take, has_names
        self._first: UndecidedError | None = None
        self._rows = self._incomplete = 0
        self._levels: dict[str, set[str]] = {}  # of columns of text that are not declared
        self._present: dict[str, int] = {}  # how many values they have
        self._times: dict[str, None] = {}  # columns of dates or times whose unit is not said
        self._missing: dict[str, None] = {}  # columns with missing values
        self._left_out: dict[str, str] = {}  # columns of no use, and why
        self._has_vectors = self._is_cut = False

    def __bool__(self) -> bool:
        return self._first is not None or bool(self._left_out)

    def leave_out(self, column: str, why: str) -> None:
        """Have the refusal say that a column is of no use. why: in the words of its own refusal."""
        self._left_out[column] = why

    def add(self, refused: UndecidedError) -> None:
        """Have the refusal begin with this one, unless it begins with another."""
        self._first = self._first or refused

    def look_at(self, columns: Sequence[Column], types: Sequence[ColumnType], before: int) -> None:
        """Look for what else has to be decided. before: how many rows there were. Raises DecodeError after many."""
        lost = np.zeros(len(columns[0].values), dtype=np.bool_)
        for column, kind in zip(columns, types, strict=False):
            if kind.name == self._take.labels:
                continue
            self._has_vectors |= kind.is_vector
            if kind.kind == "time" or kind.name in self._take.dates:
                if self._take.time_unit is None:
                    self._times[kind.name] = None
            elif kind.kind == "text":
                levels = self._levels.setdefault(kind.name, set())
                used = column.values if column.missing is None else column.values[~column.missing]
                self._present[kind.name] = self._present.get(kind.name, 0) + len(used)
                if len(levels) <= MAX_LEVELS:
                    levels.update(column.levels[k] for k in np.unique(used)[: MAX_LEVELS + 1])
            if self._take.missing == "error" and (missing := missing_in(column)) is not None and missing.any():
                lost |= missing
                self._missing.update(dict.fromkeys(_names_of_missing(kind, column)))
        self._rows = before + len(lost)
        self._incomplete += int(np.count_nonzero(lost))
        if self._rows >= MOST_ROWS:
            self._is_cut = True
            raise self.refusal()

    def refusal(self) -> DecodeError:
        """All that has to be decided, and the options that decide it."""
        unused = [*self._left_out.values()]
        first = self._first or next(map(DecodeError, unused), DecodeError("nothing has to be decided"))
        text, dates = self._text_and_dates()
        own = first.column if isinstance(first, UndecidedError) else None
        others = others_with_text(
            *([name for name in names if name != own] for names in (text, [*dates, *self._times]))
        )
        others_of_dates = [name for name in text if self._is_other_date(name)]
        numbers = [name for name in text if has_mostly_numbers(self._levels[name])]
        free = [name for name in text if name not in {*others_of_dates, *numbers} and self._is_free(name)]
        no_categories = [*others_of_dates, *free]
        said, _, declare = str(first).partition(": declare ")
        out = "" if own is None else f"leave it out with {asked('drop', own)}"
        if own in dates and declare:
            unit = "" if self._take.time_unit else f" and {asked('time_unit', 'days')}"
            declare = f"it with {asked('dates', str(own))}{unit}, or {out}"
        if own in numbers:
            is_long = len(self._levels[str(own)]) > MAX_LEVELS
            names = f"or {out}" if is_long else f"if these are names, declare {declare}"
            words = [level for level in self._levels[str(own)] if not is_number(level)]
            more = f" (it has {shown(words)})" if len(words) > 1 else ""
            said += f", as most of the column are{more}: mend it, or leave the cell empty for a missing value; {names}"
        elif declare:
            said += f": {out}" if own in no_categories else f": declare {declare}"
        said += others
        if self._incomplete:
            of = f"{self._incomplete:,} of {'the first ' if self._is_cut else ''}{self._rows:,} rows "
            where = shown(list(self._missing), has_names=self._has_names)
            of += "has " if self._incomplete == 1 else "have "
            said += f"; {of}" + (f"one, in {where}" if own is None else f"missing values, in {where}{self._ways()}")
        for name in others_of_dates[:NAMED]:
            earliest = min(self._levels[name])[:40]
            said += f"; {name[:100]!r} has dates such as {earliest!r}, which are read only as 2026-01-31 is written"
        for name in [each for each in numbers if each != own][:NAMED]:
            said += f"; {name[:100]!r} has words among its numbers: mend them, or leave the cells empty"
        said += "".join(f"; {why.partition(': leave')[0]}" for why in unused if self._first is not None)
        if free:
            said += f"; {', '.join(self._why_free(name) for name in free[:NAMED])}"
        out_of_text = [name for name in text if name in no_categories]
        options = [*self._options(text, dates, out=[*out_of_text, *self._left_out])]
        settled = {*text, *dates, *self._times, *self._left_out, own} - {None}
        is_for_several = len(settled) + bool(self._incomplete) > 1
        is_for_several &= bool(options)
        return DecodeError(f"{said}. All at once: {asked_together(options)}" if is_for_several else said)

    def _text_and_dates(self) -> tuple[list[str], list[str]]:
        dated = {name: bool(levels) and all(map(_is_date, levels)) for name, levels in self._levels.items()}
        return [name for name in dated if not dated[name]], [name for name in dated if dated[name]]

    def _is_other_date(self, name: str) -> bool:
        levels = self._levels[name]
        return bool(levels) and all(OTHER_DATE.fullmatch(level.strip()) for level in levels)

    def _is_free(self, name: str) -> bool:
        """Whether a column of text has so many values that it names rows, or is prose."""
        count = len(self._levels[name])
        return count > MAX_LEVELS or (count >= FEWEST_TEXTS and count > FREE_TEXT_SHARE * self._present[name])

    def _why_free(self, name: str) -> str:
        count = len(self._levels[name])
        many = f"{count:,}" if count <= MAX_LEVELS else f"more than {MAX_LEVELS:,}"
        return f"{name[:100]!r} has {many} different texts in {self._present[name]:,} rows"

    def _ways(self) -> str:
        more = "" if self._has_vectors else f", {asked('missing', 'level')} makes each a level of its own"
        return f": {asked('missing', 'drop')} leaves such rows out{more}"

    def _options(self, text: Sequence[str], dates: Sequence[str], out: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Options that settle everything. out: columns that are to be left out."""
        # Words among numbers are to be mended: as categories, numbers would be compared without their distances.
        yield from (
            ("categories", name) for name in text if name not in out and not has_mostly_numbers(self._levels[name])
        )
        yield from (("dates", name) for name in dates)
        if (dates or self._times) and self._take.time_unit is None:
            yield "time_unit", "days"
        if self._incomplete:
            yield "missing", "drop" if self._has_vectors else "level"
        yield from (("drop", name) for name in out)


def _is_date(level: str) -> bool:
    return DATE.fullmatch(level.strip()) is not None


def _names_of_missing(kind: ColumnType, column: Column) -> list[str]:
    if not kind.parts:
        return [kind.name]
    return [kind.parts[k] for k in np.flatnonzero(np.isnan(column.values).any(axis=0))]
