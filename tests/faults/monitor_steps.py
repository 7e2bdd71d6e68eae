"""What the processes of test_monitor_kills.py do with the folder of a monitor."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

QUICK: Any = {"critic": "affine", "upper": "none"}
UPDATES, IN_FIRST_EPOCH = 3, 2
_WRITES = ("fsync", "replace", "unlink", "ftruncate")


def rows(seed: int, shift: float = 0.0, n: int = 200) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(n, 2)) + shift


def update(folder: str, number: int | str) -> None:
    """Compare one more batch, whatever its number is in the series."""
    from wdist import Monitor

    Monitor.open(folder).update(rows(100 + int(number)))


def go_on(folder: str) -> None:
    """Do what is left to do: create, two updates, other thresholds, a new epoch, one more update."""
    from wdist import Monitor
    from wdist.monitoring.folder import COMMIT

    if (Path(folder) / COMMIT).exists():
        monitor = Monitor.open(folder)
    else:
        monitor = Monitor(rows(1), folder=folder, name="kept", **QUICK)
    _update(monitor, IN_FIRST_EPOCH)
    if monitor.thresholds.distance is None:
        monitor.set_thresholds(distance=0.5)
    if monitor.figures.epoch == 1:
        monitor.new_epoch(rows(2))
    _update(monitor, UPDATES)


def _update(monitor: Any, until: int) -> None:
    while (done := monitor.figures.updates) < until:
        monitor.update(rows(100 + done, shift=0.3 * done), at=float(done))


def killed(folder: str, at: int, work: Callable[..., None], *arguments: Any) -> None:
    """Work, and be killed right before write `at` to the disk or the folder; exit in peace if there are fewer."""
    done = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            nonlocal done
            done += 1
            if done == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*given, **named)

        return call

    for name in _WRITES:
        setattr(os, name, counted(getattr(os, name)))
    work(folder, *arguments)


def told(folder: str | Path) -> dict[str, Any]:
    """All that a monitor says, but for durations."""
    from wdist import Monitor

    found = Monitor.open(folder).to_dict()
    for each in (found["last"], *found["history"]):
        with contextlib.suppress(TypeError):  # of no last one
            del each["seconds"]
    return found
