"""`matrix_w1`: compares all pairs of several sample sets, or one reference with each of the others."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from wdist.data.pair import Shared
from wdist.data.sources.files import FileRows
from wdist.data.sources.rows import coded, labels_of, partition_of, refuse_absent, rows_of, split_rows
from wdist.data.tables.by import reading_by
from wdist.data.tables.naming import ANOTHER, NO_CATEGORY
from wdist.definitions.arguments import Arguments
from wdist.definitions.figures import percent
from wdist.definitions.installing import pip_install
from wdist.definitions.reading import Reading, Selection
from wdist.definitions.results.reprs import in_a_line
from wdist.errors import OptionError, SampleError, WdistError
from wdist.estimate import called, compared
from wdist.inference.pair_matrix import (
    ADJUSTED,
    FIGURES,
    UpperKind,
    as_lists,
    cells,
    claim,
    common_kind,
    kinds,
    pair_matrix,
    places,
    whole_answer,
)
from wdist.options import Options, options_and_reading, takes_options
from wdist.result import Result
from wdist.training.progress import Progress
from wdist.training.progress_line import ProgressLine

_FEW = "give at least two sets, or one table with by='column' to compare its levels"

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Matrix:
    """Distances between sample sets: source in the row, target in the column.

    A square matrix is mirrored, and a set against itself is 0, with p-value 1.

    Attributes:
        rows, columns: names of the sets.
        value, lower_bound, p_value: float64, (rows, columns); each bound holds by itself, with `confidence`.
        simultaneous_lower_bound: weaker, and all of them hold together with `confidence`.
        upper_bound: each holds by itself, with `confidence`; nan where a pair has none.
        simultaneous_upper_bound: weaker, and all of them hold together with `confidence`; nan where a pair has none.
        adjusted_p_value: Holm's adjustment: all pairs at most alpha differ, with an error of at most alpha in all.
        confidence, units, split: as in each `Result`; all cells are in one unit.
        upper_kind: that of the upper bounds: approximate if that of any pair is, None if there are none.
        warnings: (row, column, warning) of each pair.
        results: the results, in the order of the pairs.
    """

    rows: list[str]
    columns: list[str]
    value: Values
    lower_bound: Values
    simultaneous_lower_bound: Values
    upper_bound: Values
    simultaneous_upper_bound: Values
    p_value: Values
    adjusted_p_value: Values
    confidence: float
    units: str
    split: str
    warnings: list[tuple[str, str, str]]
    results: list[Result]
    upper_kind: UpperKind | None = None

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain JSON, None where there is none."""
        return {
            "rows": self.rows,
            "columns": self.columns,
            "confidence": self.confidence,
            "units": self.units,
            "split": self.split,
            "upper_kind": self.upper_kind,
            "pairs": len(self.results),
            **{name: as_lists(getattr(self, name)) for name in (*FIGURES, ADJUSTED)},
            "warnings": [dict(zip(("row", "column", "warning"), each, strict=True)) for each in self.warnings],
        }

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Values:
        """Makes numpy.asarray(matrix) return `value`."""
        return np.array(self.value, dtype=dtype) if copy else np.asarray(self.value, dtype=dtype)

    def to_frame(self) -> Any:
        """A pandas frame with a line a pair: source, target, and a column for each figure; nan where there is none.

        Raises WdistError if pandas is not installed.
        """
        try:
            pandas: Any = import_module("pandas")
        except ImportError as error:
            raise WdistError(f"to_frame() needs pandas: {pip_install('pandas')}") from error
        named = {
            "source": [self.rows[i] for i, _ in self._places],
            "target": [self.columns[j] for _, j in self._places],
        }
        figures = {name: [getattr(self, name)[place] for place in self._places] for name in (*FIGURES, ADJUSTED)}
        return pandas.DataFrame(named | figures)

    def __repr__(self) -> str:
        names = ", ".join([*self.rows, *self.columns] if len(self.rows) == 1 < len(self.columns) else self.rows)
        return in_a_line(f"<Matrix: {len(self.results):,} pairs of {names}>")

    def __str__(self) -> str:
        several, pairs = len(self.results) > 1, f"all {len(self.results):,} pairs together"
        each = self._cells(self.lower_bound, self.upper_bound, self.p_value)
        parts: list[tuple[str, list[list[str]]]] = [(self._answer(), [])]
        parts.append((f"{self._claim(self.upper_bound, 'each pair by itself')} ({self.units})", each))
        if several:
            title = self._claim(self.simultaneous_upper_bound, pairs)
            parts.append((title, self._cells(*self._together, self.adjusted_p_value)))
        if self.results[0].p_value is not None:
            holm = f", adjusted so that {pairs} may be judged by it (Holm)" if several else ""
            title = f"p-value: how often equal populations would show this much{holm}"
            parts.append((title, [[f"{number:.4g}" for number in row] for row in self.adjusted_p_value.tolist()]))
        lines = "\n\n".join("\n".join([title, *self._table(cells)]) for title, cells in parts).splitlines()
        return "\n".join([*lines, *self._warning_lines()])

    @property
    def _together(self) -> tuple[Values, Values]:
        return self.simultaneous_lower_bound, self.simultaneous_upper_bound

    def _cells(self, lower: Values, upper: Values, p_value: Values) -> list[list[str]]:
        return cells(lower, upper, kinds(lower, upper, p_value, self.confidence, self.split))

    def _answer(self) -> str:
        """Which pairs differ, in a sentence: of a single pair its verdict."""
        if len(self.results) == 1:
            return self.results[0].verdict.headline
        said = kinds(*self._together, self.adjusted_p_value, self.confidence, self.split)
        return whole_answer([said[i][j] for i, j in self._places], self._sure)

    @property
    def _places(self) -> list[tuple[int, int]]:
        """Row and column of each pair, in the order of the results."""
        reference = len(self.rows) == 1
        return places(len(self.columns) + reference, reference=reference)

    @property
    def _sure(self) -> str:
        about = "approximately " if self.split == "blocks" else ""
        return f"{about}{percent(self.confidence)}"

    def _warning_lines(self) -> list[str]:
        """Each warning once, with the first pair that has it: those of other pairs differ in their figures only."""
        alike: dict[str, list[tuple[str, str, str]]] = {}
        for warning in self.warnings:
            alike.setdefault(re.sub(r"\d[\d.,]*(e[+-]\d+)?", "#", warning[2]), []).append(warning)
        lines = []
        for (row, column, text), *others in alike.values():
            more = f", and {len(others)} more {'pair' if len(others) == 1 else 'pairs'}" if others else ""
            lines.append(f"warning: {row} (source) and {column} (target){more}: {text}")
        return lines

    def _claim(self, upper: Values, who: str) -> str:
        """What the cells of a table of bounds say."""
        return claim(upper, self.upper_kind, who, self._sure)

    def _table(self, cells: list[list[str]]) -> list[str]:
        """A set is not compared with itself, so its cell is "-"; 0 would mean a pair that shows no difference."""
        if not cells:
            return []
        is_square = len(self.rows) > 1
        shown = [["-" if i == j and is_square else text for j, text in enumerate(row)] for i, row in enumerate(cells)]
        width = max(10, *map(len, [*self.rows, *self.columns, *(text for row in shown for text in row)]))
        lines = [" " * width + "".join(f"  {name:>{width}}" for name in self.columns)]
        for name, row in zip(self.rows, shown, strict=True):
            lines.append(f"{name:<{width}}" + "".join(f"  {text:>{width}}" for text in row))
        return lines


@dataclass(frozen=True, eq=False)
class Sets:
    """Open sets that are compared.

    names: of the sets; rows: of each set, as `estimate_w1` takes them; labels: of the groups of each set's rows, or
    None. first: what the unit of "standardize" calls the first set. notes: what was left out of a table that they are
    the levels of, each a sentence.
    """

    names: list[str]
    rows: list[Any]
    labels: list[NDArray[Any]] | None = None
    first: str = ""
    notes: Sequence[str] = ()


@takes_options
def matrix_w1(
    sets: Any,
    *,
    by: str | None = None,
    levels: Sequence[Any] | None = None,
    reference: Any = False,
    groups: str | None = None,
    progress: bool | Callable[[Progress], object] | None = None,
    **arguments: Unpack[Arguments],
) -> Matrix:
    """Bound the Wasserstein-1 distance of every pair of sample sets, each by itself and all together.

    Args:
        sets: two or more sets, each as `estimate_w1` takes it, perhaps by name: a list, or {name: rows}. A set without
            a name is called by its path, or by its number from 1. With `by`, one table: a frame, or the path of a file.
        by: column of the table whose levels are the sets. It is no column of these sets. Rows without a level are what
            `missing` says.
        levels: with `by`, the levels that are compared, in this order; by default all, sorted as numbers if all of them
            are numbers, else as text. More than 50 are compared with a reference only.
        reference: True compares only the first set with each of the others; with `by`, a level does so with this one.
        groups: column of tables with labels of rows that belong together.
        progress: True shows a line on standard error; a function is called with each `Progress`.
        {reading}
        {options}

    The options hold for every pair; `statements` counts only where it is more than the pairs of this matrix. Each set
    is split once for all its pairs, and "standardize" divides by the deviations of the first set,
    so that all cells are in one unit.

    Raises what `estimate_w1` raises; messages name the sets.
    """
    options, reading = options_and_reading(arguments)  # before any file is read
    if by is None:
        refuse_levels(levels, reference)
        if isinstance(sets, str | Path) or hasattr(sets, "columns"):  # their characters or columns would be the sets
            raise OptionError(_FEW)
        opened = open_sets(sets, reading, groups)
    else:
        opened = open_levels(sets, by, reading, levels, reference, groups)
    return matrix_of(opened, options, reference=reference is not False, progress=progress)


def matrix_of(
    sets: Sets, options: Options, *, reference: bool, progress: bool | Callable[[Progress], object] | None = None
) -> Matrix:
    """`matrix_w1` of open sets."""
    names, rows = sets.names, sets.rows
    if len(rows) < 2:
        raise OptionError(_FEW)
    pairs = places(len(rows), reference=reference)
    options = options.model_copy(update={"statements": max(options.statements, len(pairs))})
    results, axis = [], names[1:] if reference else names
    for k, (i, j) in enumerate(pairs, start=1):
        j = j + 1 if reference else j
        shared = Shared((i, j), rows[0], sets.first or names[0], sets.labels)
        with ProgressLine(progress or False, f"pair {k} of {len(pairs)}, {names[i]} and {names[j]}, ") as tell:
            results.append(compared((names[i], names[j]), rows[i], rows[j], options, shared=shared, progress=tell))
    figures = pair_matrix(len(rows), enumerate(each.to_dict() for each in results), reference=reference)
    warnings = [(names[0], axis[pairs[0][1]], note) for note in sets.notes]
    warnings += [
        (names[i], axis[j], warning)
        for (i, j), result in zip(pairs, results, strict=True)
        for warning in result.warnings
    ]
    first = results[0]  # options are the same for all
    return Matrix(
        rows=names[:1] if reference else names, columns=axis, **figures, confidence=first.confidence, units=first.units,
        split=first.split, warnings=warnings, results=results,
        upper_kind=common_kind(each.to_dict() for each in results),
    )  # fmt: skip


def refuse_levels(levels: Sequence[Any] | None, reference: Any) -> None:
    """Raise OptionError for what means nothing without `by`."""
    if levels is not None:
        raise OptionError("levels are those of a column of one table: name it as by, or leave levels out")
    if not isinstance(reference, bool):
        raise OptionError(
            f"reference is {reference!r}; it must be true or false, or with by a level. Without by, the first set is "
            "the reference"
        )


def open_levels(
    table: Any, by: str, reading: Reading, levels: Sequence[Any] | None, reference: Any, groups: str | None
) -> Sets:
    """The levels of a column as sets, the reference first."""
    if isinstance(table, Mapping | list | tuple):
        raise OptionError("by splits one table: give one frame, or the path of one file")
    if not isinstance(by, str):
        raise OptionError(f"by is {by!r}; it must be the name of a column")
    if by == groups:
        raise OptionError(f"by and groups are both {by!r}: a group would be a set of its own; leave groups out")
    name, take = called(table, "the table"), reading_by(reading, by)
    with by_comes_first(lambda alone: coded(table, name, Selection.of(alone)), by, reading, levels, reference):
        rows = coded(table, name, Selection.of(take, groups=groups))
    return sets_by(rows, by, levels, reference, None if groups is None else labels_of(table, groups, name, take))


@contextmanager
def by_comes_first(
    opened: Callable[[Reading], FileRows], by: str, reading: Reading, levels: Sequence[Any] | None, reference: Any
) -> Iterator[None]:
    """Where a table is opened: what is wrong with `by` is told before what the other columns still need.

    opened: the table as another reading takes it.
    """
    try:
        yield
    except SampleError as error:
        alone = {"columns": [by], "drop": [], "categories": [by], "dates": []}
        try:
            rows = opened(reading.model_copy(update=alone))
        except (SampleError, OptionError) as own:
            if NO_CATEGORY in str(own):
                wrong, _, _ = str(own).partition(". ")
                raise SampleError(f"{wrong}. Compare the levels of another column, with another by") from None
            raise SampleError(str(error).partition(ANOTHER)[0]) from None
        partition_of(rows, by, [levels] if isinstance(levels, str) else levels, reference)
        raise


def sets_by(rows: FileRows, by: str, levels: Sequence[Any] | None, reference: Any, labels: NDArray[Any] | None) -> Sets:
    """The levels of a column of an open table as sets, with the labels of their rows."""
    if levels is not None and not isinstance(levels, Sequence):
        raise OptionError(f"levels is {levels!r}; it must be a list of levels of {by!r}")
    partition = partition_of(rows, by, [levels] if isinstance(levels, str) else levels, reference)
    parts = split_rows(rows, by, partition)
    groups = None if labels is None else list(partition.parts(labels[partition.order]).values())
    return Sets(
        list(parts), list(parts.values()), groups, partition.levels[0], [f"{rows.given}: {note}" for note in rows.notes]
    )


def open_sets(sets: Sequence[Any] | Mapping[str, Any], reading: Reading, groups: str | None) -> Sets:
    """Names, rows and group labels of the sets; each file is read once, whatever the number of its pairs."""
    given = list(sets.values() if isinstance(sets, Mapping) else sets)
    own = [_name(data, k) for k, data in enumerate(given, start=1)]
    names = list(map(str, sets)) if isinstance(sets, Mapping) else own
    take = Selection.of(reading, groups=groups)
    refuse_absent(given, names)
    rows = [rows_of(data, name, take) for data, name in zip(given, names, strict=True)]
    first = Path(names[0]).name if names and names[0] == own[0] else ""  # of a path: its last part
    if groups is None:
        return Sets(names, rows, None, first)
    labels = [labels_of(data, groups, name, reading) for data, name in zip(given, names, strict=True)]
    return Sets(names, rows, labels, first)


def _name(data: Any, number: int) -> str:
    if isinstance(data, FileRows):
        return data.given
    return str(data) if isinstance(data, str | Path) else f"set {number}"
