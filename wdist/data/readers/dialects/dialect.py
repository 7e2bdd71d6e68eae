"""The dialect of a CSV file: what separates cells, what the first line is, how numbers are written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from wdist.data.readers.dialects.header import has_names
from wdist.data.readers.dialects.numbers import Cell, Notation, given_notation, is_missing, is_number, notation_of
from wdist.data.readers.dialects.sample import Sample
from wdist.data.readers.tables import check_width
from wdist.data.tables.found import DecodeError
from wdist.data.tables.naming import asked, names_of_cells
from wdist.definitions.reading import Selection

_SEPARATORS = (",", ";", "\t", "|")
_BEHIND_A_MARK = re.compile(r"(?:0\d+|\d{16,})(?:[eE].*)?")


@dataclass(frozen=True)
class Dialect:
    """How to read a file.

    names: of the columns, or None. width: cells of a line. start: where the rows begin, in bytes; line: and on which
    line, from 1. has_empty_end: whether lines end in a separator, after which there is nothing. rows: those of the
    sample.
    """

    separator: str
    names: list[str] | None
    width: int
    notation: Notation
    start: int
    line: int
    has_empty_end: bool
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)


def recognise(sample: Sample, take: Selection) -> Dialect:
    """The dialect of a sample. Raises DecodeError for one that could be read in two ways, and says how to settle it."""
    separator = take.separator or sample.separator or _separator(sample, take)
    records = sample.records(separator)
    width = len(records[0])
    check_width(width)
    is_commented, names = _names(sample, records, separator, take)
    rows = records if is_commented or names is None else records[1:]
    if not rows:
        raise DecodeError("it has names of columns, but no rows")
    _check_separator(sample, take, records)
    _check_widths(sample, records, width)
    rows = [row for row in rows if len(row) == width]
    seen = rows + sample.later_records(separator, width)
    has_empty_end = width > 1 and not any(row[-1].strip() for row in seen) and (names is None or not names[-1].strip())
    named = None if names is None else names_of_cells(names)
    start, line = sample.offsets[0], sample.numbers[0]
    if not is_commented and names is not None:  # the rows begin behind the names, whatever the next line holds
        last = sample.lines_of_first(separator) - 1
        start, line = sample.ends[last], sample.numbers[last] + 1
    cells = _cells_of_numbers(seen, named, width, take)
    notes = _notes(sample, is_commented)
    notes += ["the empty last column, after a separator at the end of each line, was left out"] if has_empty_end else []
    return Dialect(
        separator, named, width, given_notation(take) or notation_of(cells, separator), start, line,
        has_empty_end, seen, notes,
    )  # fmt: skip


def _notes(sample: Sample, is_commented: bool) -> list[str]:
    left_out = len(sample.comments) - int(is_commented)
    return [f"{left_out:,} comment {'lines' if left_out > 1 else 'line'} before the table left out"] if left_out else []


def _names(sample: Sample, records: list[list[str]], separator: str, take: Selection) -> tuple[bool, list[str] | None]:
    """Whether the last comment holds the names, and the names, if there are some."""
    comment = sample.comments[-1].lstrip("# ").split(separator) if sample.comments else []
    first = records[0]
    fits = len(comment) == len(first) and all(is_number(cell) or is_missing(cell) for cell in first)
    if fits and not all(is_number(cell) for cell in comment):
        if take.header is None:
            raise DecodeError(
                f"the comment {sample.comments[-1][:80]!r} above the first row may hold the names of the columns: say "
                f"{asked('header', 'true')} if it does, {asked('header', 'false')} if not"
            )
        return take.header, comment if take.header else None
    rest = [row for row in records[1:] if len(row) == len(first)]
    is_names = has_names(first, rest) if take.header is None else take.header
    return False, first if is_names else None


def _separator(sample: Sample, take: Selection) -> str:
    """The separator that gives every line of the sample equally many cells."""
    present = [each for each in _SEPARATORS if any(each in line for line in sample.lines)]
    fitting = [each for each in present if _share_of_width(sample.records(each)) == 1]
    clean = [each for each in fitting if _is_clean(sample.records(each), [other for other in fitting if other != each])]
    if clean == [","] and _are_numbers_with_commas(sample, take):
        return _unused(present)
    if clean == [","] and not _holds_numbers(sample.records(",")) and _is_of_spaces(sample):
        return " "  # between numbers with decimal commas
    if len(clean) == 1:
        return clean[0]
    if len(sample.lines) > 1 and not any(each in sample.lines[0] for each in present):
        below = [line.strip().strip('"') for line in sample.lines[1:]]
        if all((is_number(line) and " " not in line) or is_missing(line) for line in below):
            return _unused(present)  # a name above numbers, in which commas are no separators
    if fitting:
        shown = " or ".join(asked("separator", each) for each in fitting)
        raise DecodeError(f"more than one character could separate its cells: say which one does, {shown}")
    if _is_of_spaces(sample):
        return " "
    ragged = {each: _share_of_width(sample.records(each)) for each in present}
    best = max(ragged, key=lambda each: ragged[each], default=",")
    # Commas in a table of one column are decimal marks or part of a text.
    return best if ragged.get(best, 0) > 0.5 or len(sample.records(best)[0]) > 1 else _unused(present)


def _are_numbers_with_commas(sample: Sample, take: Selection) -> bool:
    """Whether each line is one number with commas, for which the reading speaks.

    Raises DecodeError where the cells do: 05 and 123 in all lines are what stands behind a decimal mark.
    """
    if not all(is_number(line) for line in sample.lines):
        return False
    if "," in (take.decimal, take.thousands):
        return True
    ends = [line.strip().rpartition(",")[2] for line in sample.lines]
    is_fixed = len(ends) > 2 and len({len(end) for end in ends}) == 1 and len(ends[0]) > 2
    if is_fixed or any(_BEHIND_A_MARK.fullmatch(end) for end in ends):
        shown = sample.lines[-1].strip()[:60]
        raise DecodeError(
            f"each line may be one number or several, as {shown!r}: say {asked('separator', ',')} if commas separate, "
            f"{asked('decimal', ',')} or {asked('thousands', ',')} if they do not"
        )
    return False


def _unused(present: Sequence[str]) -> str:
    return next((each for each in _SEPARATORS if each not in present), ",")


def _share_of_width(records: Sequence[Sequence[str]]) -> float:
    """The share of records with the commonest number of cells, if that is more than one."""
    width, count = Counter(len(record) for record in records).most_common(1)[0]
    return count / len(records) if width > 1 else 0.0


def _is_clean(records: Sequence[Sequence[str]], others: Sequence[str]) -> bool:
    """Whether no cell but a number holds another character that could separate cells."""
    return not any(other in cell and not is_number(cell) for record in records for cell in record for other in others)


def _holds_numbers(records: Sequence[Sequence[str]]) -> bool:
    return all(is_number(cell) or is_missing(cell) for record in records for cell in record)


def _is_of_spaces(sample: Sample) -> bool:
    """Whether spaces separate numbers. Raises DecodeError where they may be part of text, or group digits."""
    records = sample.records(" ")
    if not any(" " in line.strip() for line in sample.lines):
        return False
    rows = records[1:] or records
    if all(len(line.split()) == len(sample.lines[-1].split()) > 1 for line in sample.lines[1:]) and (
        any("  " in line.strip() or line.startswith(" ") for line in sample.lines)
        and all(is_number(cell) or is_missing(cell) for line in sample.lines[1:] for cell in line.split())
    ):
        raise DecodeError(
            "runs of spaces separate its cells: write one separator between two cells, such as a comma or a tab"
        )
    if rows is not records and all(len(row) == len(records[0]) + 1 for row in rows):
        return len(records[0]) > 1 and _holds_numbers([row[1:] for row in rows])  # refused: names of rows
    if _share_of_width(records) < 1:
        return False
    if not _holds_numbers(rows):
        return False
    if all(is_number(line) for line in sample.lines[1:] or sample.lines):
        raise DecodeError(
            f"{sample.lines[-1].strip()[:80]!r} may be one number or several: say {asked('thousands', ' ')} or "
            f"{asked('separator', ' ')}"
        )
    return True


def _check_separator(sample: Sample, take: Selection, records: Sequence[Sequence[str]]) -> None:
    """Refuse a separator that was given and fits badly, where the file shows another."""
    given = take.separator
    fits = _share_of_width(records) == 1 or (len(records[0]) == 1 and bool(take.categories))  # text may hold others
    if given is None or fits:
        return
    better = [each for each in _SEPARATORS if each != given and _share_of_width(sample.records(each)) == 1]
    if len(better) == 1:
        cells = len(sample.records(better[0])[0])
        raise DecodeError(
            f"{given!r} does not separate its cells, {better[0]!r} gives each line {cells}: say "
            f"{asked('separator', better[0])}"
        )


def _check_widths(sample: Sample, records: Sequence[Sequence[str]], width: int) -> None:
    """Refuse a first line that has one cell less than all others: what would then name what is not known."""
    if len(records) > 1 and all(len(record) == width + 1 for record in records[1:]):
        if not any(record[-1].strip() for record in records[1:]):
            raise DecodeError("all lines end in a separator, but the first does not: make them alike")
        raise DecodeError(
            f"the first line has {width} cells and all others have {width + 1}, as write.table of R writes names of "
            "rows: write it with row.names=FALSE, or name that column"
        )


def _cells_of_numbers(
    rows: Sequence[Sequence[str]], names: list[str] | None, width: int, take: Selection
) -> Iterator[Cell]:
    """The cells of the columns that are to be numbers."""
    shown = names or [str(k) for k in range(width)]
    left_out = {*take.drop, *take.categories, *take.dates}
    taken = set(shown if take.columns is None else take.columns) - left_out
    for k, name in enumerate(shown):
        if name not in taken:
            continue
        cells = [row[k] for row in rows]
        if 2 * sum(is_number(cell) for cell in cells) < sum(not is_missing(cell) for cell in cells):
            continue
        label = f"column {name[:100]!r}" if names else f"column {name}"
        yield from (Cell(cell, label) for cell in cells)
