"""When a batch is from: a number, or an ISO 8601 date or time. How such times are read, and which is later."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime

_WORDS = "a finite number, or an ISO 8601 date or time such as 2026-11-30 or 2026-11-30T08:00:00Z"


def checked_time(given: object) -> float | str:
    """A time as it is kept: a float, or ISO 8601 text as it was given. Text that is a number is that number.

    Raises ValueError, which says what a time must be.
    """
    if isinstance(given, datetime | date):
        return given.isoformat()
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise ValueError(f"a time is {_WORDS}")
    try:
        number = float(given)
    except OverflowError:
        number = math.inf
    except ValueError:
        moment_of(given)
        return given
    if not math.isfinite(number):
        raise ValueError(f"a time is {_WORDS}")
    return number


def moment_of(at: float | str) -> float:
    """The number by which times of one kind are ordered; of ISO 8601 text, seconds since 1970 in UTC.

    Without an offset, a time is in UTC; a date is its first moment. Raises ValueError for other text.
    """
    if not isinstance(at, str):
        return float(at)
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        raise ValueError(f"{at[:60]!r} is no time: give {_WORDS}") from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def refuse_time(at: float | str | None, last: float | str | None) -> str | None:
    """Why a batch of time `at` cannot follow one of time `last`, in words; None if it can.

    Batches come in the order of their times, and all of a monitor have times of one kind, or none of them has any.
    """
    if at is None and last is None:
        return None
    if at is None or last is None or isinstance(at, str) != isinstance(last, str):
        return f"the batch before has {_kind(last)} and this one {_kind(at)}: give all batches of a monitor the same"
    if moment_of(at) <= moment_of(last):
        return f"the batch is of {at}, which is not later than {last}, the time of the batch before"
    return None


def _kind(at: float | str | None) -> str:
    if at is None:
        return "no time"
    return "a date or time" if isinstance(at, str) else "a number as its time"
