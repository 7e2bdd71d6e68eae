"""A child process that must not outlive its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

SUPERVISOR_VARIABLE = "WDIST_SUPERVISOR_PID"
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
