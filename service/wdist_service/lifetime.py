"""How processes end: a child with its parent, as nobody would read what it finds, and a server when it is told to."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

PARENT_VARIABLE = "WDIST_SUPERVISOR_PID"
_PR_SET_PDEATHSIG = 1
_LOOK_SECONDS = 1.0


def die_with(parent: int) -> None:
    """Have this process end with its parent. Call it first: a parent that has ended already is noticed, too.

    Linux kills the child when the *thread* that started it ends, so this thread must wait for the child. Elsewhere the
    child looks for its parent once a second.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent,), name="parent", daemon=True).start()
    if os.getppid() != parent:  # the parent ended before prctl
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)


def die_with_parent() -> None:
    """Call `die_with` if the parent gave its id in PARENT_VARIABLE; a process that was started by hand lives on."""
    if (parent := os.environ.get(PARENT_VARIABLE)) is not None:
        die_with(int(parent))


class StopRequest:
    """Whether this process was told to end, by SIGTERM or Ctrl-C.

    A plain flag that the main thread looks at. A handler must not set a threading.Event: if the signal comes while the
    main thread waits on it and holds its lock, both wait for ever.
    """

    def __init__(self) -> None:
        self.has_come = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, *_: object) -> None:
        self.has_come = True
