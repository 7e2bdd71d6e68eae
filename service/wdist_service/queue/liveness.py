"""How long each worker has shown no new beat: a check beside the database's clock."""

from __future__ import annotations

import time
from collections.abc import Iterable

_LOOK_SECONDS = (
    2.0  # at most so much counts between two looks: this process may have been frozen, or the machine asleep
)


class Liveness:
    """Measures, on this process's own clock, how long each worker's last beat has stayed the same.

    The database's clock alone is not enough. If it steps forward, every lease expires at once and living workers lose
    their estimates. If it steps back, dead workers keep theirs for as long.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, float]] = {}  # worker: (last beat, seconds since it changed)
        self._looked = time.monotonic()
        self._paused_until = 0.0

    def pause(self, seconds: float) -> None:
        """Report every worker as moving for this long."""
        self._paused_until = time.monotonic() + seconds
        self._seen.clear()

    def look(self, beats: Iterable[tuple[str, float]]) -> dict[str, float]:
        """Record each (worker, beat); returns for how many seconds each has been still, 0 while paused."""
        now = time.monotonic()
        passed, self._looked = min(now - self._looked, _LOOK_SECONDS), now
        if now < self._paused_until:
            return {worker: 0.0 for worker, _ in beats}
        seen = {}
        for worker, beat in beats:
            last, still = self._seen.get(worker, (None, 0.0))
            seen[worker] = (beat, still + passed if last == beat else 0.0)
        self._seen = seen
        return {worker: still for worker, (_, still) in seen.items()}
