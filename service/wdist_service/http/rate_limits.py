"""Rate limits: one token bucket per key, in the memory of each API process."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from wdist_service.errors import RequestError

WINDOW_SECONDS = 60
_MAX_BUCKETS = 10_000


class TooManyRequestsError(RequestError):
    status, type, title = 429, "too_many_requests", "Too many requests"


@dataclass(frozen=True)
class Allowance:
    """How much of a limit is left."""

    limit: int
    remaining: int
    reset_seconds: int

    def headers(self) -> dict[str, str]:
        """RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10)."""
        return {
            "RateLimit-Policy": f'"key";q={self.limit};w={WINDOW_SECONDS}',
            "RateLimit": f'"key";r={self.remaining};t={self.reset_seconds}',
        }


class RateLimiter:
    """Token buckets: each holds `limit` tokens and refills within a minute, and a request takes one token."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}  # key: (tokens, when they were counted)
        self._lock = threading.Lock()

    def take(self, key: str, limit: int) -> tuple[Allowance, bool]:
        """Take a token; returns what is left, and whether the request may pass."""
        rate = limit / WINDOW_SECONDS
        with self._lock:
            now = time.monotonic()
            tokens, at = self._buckets.get(key, (float(limit), now))
            tokens = min(float(limit), tokens + (now - at) * rate)
            may_pass = tokens >= 1
            tokens -= may_pass
            if len(self._buckets) >= _MAX_BUCKETS and key not in self._buckets:
                self._buckets.clear()  # resets every key's limit, which is better than unbounded memory
            self._buckets[key] = (tokens, now)
        wait = (1 - tokens) / rate if tokens < 1 else 0.0
        return Allowance(limit, int(tokens), max(1, round(wait + 0.5))), may_pass
