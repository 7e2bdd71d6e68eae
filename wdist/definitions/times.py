"""Times of batches: numbers, or ISO 8601 dates and times, which only ever grow."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import datetime
from typing import Any

from wdist.definitions.monitoring import When
from wdist.errors import OptionError

LONGEST = 100  # characters of a time as text


def checked_time(at: Any, last: When | None = None) -> When | None:
    """The time of a batch as a number or as ISO 8601 text; None if it has none.

    at: a number, a text, or a date or time that has `isoformat`. last: the time of the last batch that had one. Raises
    OptionError for what is no time, for one of another kind than the last, and for one that is not later.
    """
    if at is None:
        return None
    given = _plain(at)
    if last is None:
        _moment(given)
        return given
    moment, before = _moment(given), _moment(last)
    if isinstance(moment, datetime) != isinstance(before, datetime):
        raise OptionError(f"at is {given!r}, and the batch before has {last!r}: give all times as numbers, or as dates")
    if isinstance(moment, datetime) and isinstance(before, datetime):
        if (moment.tzinfo is None) != (before.tzinfo is None):
            raise OptionError(
                f"at is {given!r}, and the batch before has {last!r}: give all times with a zone, or all without"
            )
        is_later = moment > before
    else:
        is_later = float(moment) > float(before)  # type: ignore[arg-type]
    if not is_later:
        raise OptionError(
            f"at is {given!r}, which is not later than that of the batch before, {last!r}: give a later one, or none"
        )
    return given


def _plain(at: Any) -> When:
    if hasattr(at, "isoformat"):
        return str(at.isoformat())
    if getattr(at, "ndim", None) == 0 and hasattr(at, "item"):  # a scalar of NumPy or torch
        if getattr(at.dtype, "kind", None) == "M":
            return str(at)  # item() of datetime64 in nanoseconds is a number
        return _plain_number(at.item(), at)
    return at if isinstance(at, str) else _plain_number(at, at)


def _plain_number(number: Any, given: Any) -> float:
    found = math.nan
    if isinstance(number, int | float) and not isinstance(number, bool):
        with suppress(OverflowError):  # a whole number beyond float64
            found = float(number)
    if not math.isfinite(found):
        raise OptionError(f"at is {_shown(given)}; it must be a finite number, or a date or time in ISO 8601")
    return found


def _shown(given: Any) -> str:
    try:
        return repr(given)[:LONGEST]
    except Exception:  # an int of more than 4,300 digits, or an object of the caller's own
        return f"of type {type(given).__name__}"


def _moment(at: When) -> float | datetime:
    if not isinstance(at, str):
        return at
    try:
        if len(at) > LONGEST:
            raise ValueError
        return datetime.fromisoformat(at)
    except ValueError:
        raise OptionError(
            f"at is {at[:LONGEST]!r}; it must be a number, or a date or time in ISO 8601, as 2026-03-31"
        ) from None
