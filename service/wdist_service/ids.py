"""Identifiers that sort by the time they were made: a prefix, 48 bits of milliseconds, 80 random bits."""

from __future__ import annotations

import secrets
import threading
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_LENGTH = 26
_lock = threading.Lock()
_last = 0


def new_id(prefix: str) -> str:
    """A new identifier such as `est_01jd...`; within one process strictly increasing."""
    return new_ids(prefix, 1)[0]


def new_ids(prefix: str, count: int) -> list[str]:
    """That many consecutive identifiers: no other one, of whatever process, sorts between the first and the last."""
    global _last
    with _lock:
        # One bit less than there is room for, so that counting on never reaches the next millisecond.
        number = time.time_ns() // 1_000_000 << 80 | secrets.randbits(79)
        # Two made in the same millisecond would sort at random: lists are paged by id.
        number = max(number, _last + 1)
        _last = number + count - 1
    return [f"{prefix}_{_written(number + place)}" for place in range(count)]


def _written(number: int) -> str:
    digits = [_ALPHABET[number >> 5 * place & 31] for place in range(_LENGTH)]
    return "".join(reversed(digits))
