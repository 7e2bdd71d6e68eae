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
    global _last
    with _lock:
        number = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
        # Two made in the same millisecond would sort at random: lists are paged by id.
        _last = number = max(number, _last + 1)
    digits = [_ALPHABET[number >> 5 * place & 31] for place in range(_LENGTH)]
    return prefix + "_" + "".join(reversed(digits))
