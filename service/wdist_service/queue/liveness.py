"""Which workers are alive, judged by whether their heartbeat changes: a check that no clock can mislead."""

from __future__ import annotations

import time
from collections.abc import Iterable

_LOOK_SECONDS = 2.0  # a longer pause between two looks says nothing: this process was frozen, or the machine slept


class Liveness:
    """For how many seconds this process has seen each worker's heartbeat unchanged.

    A clock that steps forward ends every lease at once, one that steps back keeps a dead worker's lease for as long:
    by the clock alone, living workers would lose their estimates and dead ones keep theirs.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, float]] = {}  # worker: (its beat, seconds for which that did not change)
        self._looked = time.monotonic()
        self._paused_until = 0.0

    def pause(self, seconds: float) -> None:
        """Judge no worker for the next `seconds`."""
        self._paused_until = time.monotonic() + seconds
        self._seen.clear()

    def look(self, beats: Iterable[tuple[str, float]]) -> dict[str, float]:
        """Take note of (worker, beat); returns how long each has been still. 0 while paused."""
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
