"""A heartbeat from child to parent shows that the child is not frozen."""

from __future__ import annotations

import os
import threading
import time

HEARTBEAT_VARIABLE = "WDIST_PULSE_DESCRIPTOR"
_HEARTBEAT_SECONDS = 1.0


def show_heartbeat() -> None:
    """From here on, send heartbeats to the supervisor, if there is one."""
    if (heartbeat := os.environ.pop(HEARTBEAT_VARIABLE, None)) is not None:
        os.set_inheritable(int(heartbeat), False)
        threading.Thread(target=_beat, args=(int(heartbeat),), name="heartbeat", daemon=True).start()


def _beat(descriptor: int) -> None:
    while True:
        try:
            os.write(descriptor, b".")
        except BlockingIOError:
            pass  # the supervisor is frozen itself, and the pipe is full
        except OSError:
            return
        time.sleep(_HEARTBEAT_SECONDS)


class Heartbeat:
    """The supervisor's end of the pipe: how long a child has been silent.

    A child that is stopped (a debugger, Ctrl-Z, a frozen container) inside a transaction keeps SQLite's write lock, and
    every other process waits for it. Its lease expires, but nobody can write to the database to take its jobs over.
    """

    def __init__(self) -> None:
        self._reader, self.descriptor = os.pipe()
        for end in (self._reader, self.descriptor):
            os.set_blocking(end, False)
        self._has_begun = False  # False while the child is still starting
        self._looked = 0.0
        self._silence = 0.0

    def silence(self) -> float:
        """Seconds since the last heartbeat, counting at most 1 s between two calls; 0 before the first.

        Longer gaps say nothing about the child: the supervisor was frozen too, or the machine was asleep.
        """
        now = time.monotonic()
        passed, self._looked = min(now - self._looked, 1.0), now
        try:
            has_moved = bool(os.read(self._reader, 4096))
        except BlockingIOError:
            has_moved = False
        if has_moved:
            self._has_begun, self._silence = True, 0.0
        elif self._has_begun:
            self._silence += passed
        return self._silence

    def close(self) -> None:
        os.close(self._reader)
        os.close(self.descriptor)
