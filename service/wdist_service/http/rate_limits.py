"""Rate limits of each key, in the memory of each API process."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from throttled.rate_limiter import per_duration
from throttled.rate_limiter.gcra import GCRARateLimiter
from throttled.store import MemoryStore

from wdist_service.errors import RequestError

WINDOW_SECONDS = 60
_MAX_KEYS = 10_000  # beyond these the one that was used least recently begins anew


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
    """The generic cell rate algorithm: `limit` requests at once, then one each time that 60 s / `limit` have passed."""

    def __init__(self) -> None:
        self._store = MemoryStore(options={"MAX_SIZE": _MAX_KEYS})

    def take(self, key: str, limit: int) -> tuple[Allowance, bool]:
        """Count a request; returns what is left, and whether the request may pass."""
        quota = per_duration(timedelta(seconds=WINDOW_SECONDS), limit)
        result = GCRARateLimiter(quota, self._store).limit(key)
        wait = max(0.0, result.state.reset_after - (limit - 1) * quota.emission_interval)  # until the next may pass
        return Allowance(limit, result.state.remaining, max(1, round(wait + 0.5))), not result.limited
