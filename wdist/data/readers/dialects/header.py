"""Whether the first line of a table holds names or values."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence

from wdist.data.readers.dialects.numbers import WHOLE, is_missing, is_number
from wdist.data.tables.found import DecodeError
from wdist.data.tables.naming import asked

Row = Sequence[str]
_SIGNED = re.compile(r"[+-]?\d+")
_SHARE = 0.1  # of rows that look like the first one, from which on the first one is a row like any other


def has_names(first: Row, rest: Sequence[Row]) -> bool:
    """Whether `first` names the columns of `rest`, the rows of a sample.

    Raises DecodeError, with the option that settles it, where it could be either.
    """
    if all(is_number(cell) or is_missing(cell) for cell in first):
        if not rest or not any(cell.strip() for cell in first):
            return False
        if _counts(first[1:]) and not first[0].strip() and all(row[0].strip() for row in rest):
            return True  # as pandas writes an index and columns without names
        if (why := _like_names(first, rest)) is not None:
            raise DecodeError(
                f"the first line holds {_shown(first)}, {why}: say {asked('header', 'true')} if it names the columns, "
                f"{asked('header', 'false')} if it is a row like the others"
            )
        return False
    if rest and _looks_like_rows(first, rest):
        raise DecodeError(
            f"the first line holds {_shown(first)}, which looks like the lines below it: say {asked('header', 'true')} "
            f"if it names the columns, {asked('header', 'false')} if it is a row like the others"
        )
    return True


def _like_names(first: Row, rest: Sequence[Row]) -> str | None:
    """Why a line of numbers may be names, or None."""
    texts = [cell.strip() for cell in first]
    if not _could_be_names(first) or any([cell.strip() for cell in row] == texts for row in rest):
        return None
    for k in range(len(first)):
        column = [row[k].strip() for row in rest if not is_missing(row[k])]
        if column and not any(_SIGNED.fullmatch(cell) for cell in column):
            return "whole numbers above fractions"
    if _share(rest, _is_regular) < _SHARE and (_is_regular(first) or _counts(first)):
        return "in regular steps, which no line below has"
    return "which may be years" if _are_years(first) and _share(rest, _are_years) < _SHARE else None


def _could_be_names(row: Row) -> bool:
    """Whether the cells are different whole numbers, written without a sign or a leading zero."""
    texts = [cell.strip() for cell in row]
    return all(WHOLE.fullmatch(text) and str(int(text)) == text for text in texts) and len(set(texts)) == len(texts)


def _is_regular(row: Row) -> bool:
    """Whether the cells are in equal steps; two cells always are, so that these are to be 0 and 1, or two years."""
    if len(row) < 2 or not _could_be_names(row):
        return False
    values = [int(cell) for cell in row]
    steps = {after - before for before, after in itertools.pairwise(values)}
    return len(steps) == 1 and (len(row) > 2 or _counts(row) or (steps == {1} and _are_years(row)))


def _counts(row: Row) -> bool:
    return [cell.strip() for cell in row] == [str(k) for k in range(len(row))]


def _are_years(row: Row) -> bool:
    return _could_be_names(row) and all(1900 <= int(cell) <= 2100 for cell in row)


def _share(rows: Sequence[Row], is_so: Callable[[Row], bool]) -> float:
    return sum(is_so(row) for row in rows) / len(rows)


def _looks_like_rows(first: Row, rest: Sequence[Row]) -> bool:
    """Whether a line with some text has numbers where the lines below have, and no text above their numbers."""
    of_numbers = [all(is_number(row[k]) or is_missing(row[k]) for row in rest) for k in range(len(first))]
    is_one = [is_number(cell) for cell in first]
    above = [one for one, numbers in zip(is_one, of_numbers, strict=True) if numbers]
    return bool(above) and all(above) and any(is_one)


def _shown(row: Row) -> str:
    return ", ".join(cell.strip() for cell in row[:4])[:80] + (", ..." if len(row) > 4 else "")
