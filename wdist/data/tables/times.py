"""Dates and times as numbers: units of time since a start, from whole counts, so that nanoseconds are kept."""

from __future__ import annotations

import datetime
import math
import re

import numpy as np
from numpy.typing import NDArray

from wdist.data.tables.found import DecodeError

SECONDS = {"seconds": 1.0, "minutes": 60.0, "hours": 3600.0, "days": 86400.0}
MICRO, NANO = 1_000_000, 1_000_000_000  # in a second
PER_SECOND = {"s": 1, "ms": 1_000, "us": MICRO, "ns": NANO}  # by the units of timestamps in frames

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_FINER = re.compile(r"[.,]\d{6}(\d{1,3})")  # digits of a second that Python's times do not hold


def microseconds(time: datetime.date) -> int:
    """Microseconds since 1970-01-01 of a date or a time; one without a zone is taken as UTC."""
    if not isinstance(time, datetime.datetime):
        time = datetime.datetime.combine(time, datetime.time())
    time = time if time.tzinfo else time.replace(tzinfo=datetime.UTC)
    return (time - _EPOCH) // datetime.timedelta(microseconds=1)


def nanoseconds_of(text: str) -> tuple[int, bool]:
    """Nanoseconds since 1970-01-01 of a date or time in ISO 8601, and whether it has a zone. Raises ValueError."""
    time = datetime.datetime.fromisoformat(text)
    finer = _FINER.search(text)
    return microseconds(time) * 1_000 + (int(finer[1].ljust(3, "0")) if finer else 0), time.tzinfo is not None


def start_of(text: str | None) -> int:
    """Microseconds since 1970-01-01 of the time that is 0. Raises DecodeError."""
    try:
        start = 0 if text is None else microseconds(datetime.datetime.fromisoformat(text))
    except ValueError:
        raise DecodeError(
            f"time_start {text!r} is no date or time in ISO 8601, such as 2026-01-31 or 2026-01-31T09:30"
        ) from None
    try:
        written(start, has_zone=True)
    except OverflowError:
        raise DecodeError(f"time_start {text!r} is not in the years 1 to 9999 of UTC") from None
    return start


def written(start: int, *, has_zone: bool) -> str:
    """The start as schemas hold it: with a zone, UTC, if the column's times have one."""
    time = _EPOCH + datetime.timedelta(microseconds=start)
    return (time if has_zone else time.replace(tzinfo=None)).isoformat()


def seconds_since(counts: NDArray[np.int64], per_second: int, start: int) -> NDArray[np.float64]:
    """Seconds (m,) since the start, in microseconds since 1970, of times that are counted in units since 1970.

    A time is the same number whatever unit it is counted in: the seconds and the rest are rounded by themselves.
    """
    before, rest = divmod(start * per_second, MICRO)
    least, most = int(counts.min(initial=0)) - before, int(counts.max(initial=0)) - before
    if max(-least, most) >= 1 << 63:
        return counts / per_second - start / MICRO
    since = counts - before
    part = np.fmod(since, per_second)
    whole = (since - part) // per_second
    seconds: NDArray[np.float64] = whole + part / per_second
    return seconds - rest / (MICRO * per_second) if rest else seconds


def seconds_of(nanoseconds: int, start: int) -> float:
    """The same of one time."""
    since = nanoseconds - start * 1_000
    whole, part = divmod(abs(since), NANO)
    return math.copysign(whole + part / NANO, since)
