"""Parent and child: a child must not outlive its parent, and shows its supervisor that it is not frozen."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

SUPERVISOR_VARIABLE = "WDIST_SUPERVISOR_PID"
HEARTBEAT_VARIABLE = "WDIST_PULSE_DESCRIPTOR"
_HEARTBEAT_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the *thread* that started it ends (Linux); elsewhere nothing happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before prctl
        os._exit(1)


def die_with_supervisor() -> None:
    """As `die_with`, in a process that `wdist serve` started; one that a person started lives on."""
    if (parent := os.environ.get(SUPERVISOR_VARIABLE)) is not None:
        die_with(int(parent))


def show_heartbeat() -> None:
    """From here on show the supervisor, where there is one, that this process moves."""
    if (heartbeat := os.environ.pop(HEARTBEAT_VARIABLE, None)) is not None:
        os.set_inheritable(int(heartbeat), False)
        threading.Thread(target=_beat, args=(int(heartbeat),), name="heartbeat", daemon=True).start()


def _beat(descriptor: int) -> None:
    while True:
        try:
            os.write(descriptor, b".")
        except BlockingIOError:
            pass  # the supervisor is frozen itself: the pipe is full of proof
        except OSError:
            return
        time.sleep(_HEARTBEAT_SECONDS)


class Heartbeat:
    """The supervisor's end: how long a child has not moved.

    A child that is stopped (a debugger, Ctrl-Z, a frozen container) inside a transaction keeps SQLite's write lock, and
    every other process waits for it; its lease runs out, but nobody can write that down.
    """

    def __init__(self) -> None:
        self._reader, self.descriptor = os.pipe()
        for end in (self._reader, self.descriptor):
            os.set_blocking(end, False)
        self._has_begun = False  # not while the child still starts
        self._looked = 0.0
        self._silence = 0.0

    def silence(self) -> float:
        """Seconds since the last heartbeat, counting only time in which somebody looked; 0 before the first.

        Time in which nobody looked says nothing: the supervisor was frozen too, or the machine slept.
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
