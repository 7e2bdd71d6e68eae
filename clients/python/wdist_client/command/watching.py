"""The line of an estimate that is waited for: one that is rewritten on a terminal, at most one a second elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from wdist_client.models import Estimate

_PAUSE = 1.0  # seconds between lines that stay
_BACK = "\r\x1b[K"  # to the beginning of the line, which is emptied


class Watcher:
    """Told of each record of an estimate, and when the server does not answer; writes to standard error."""

    def __init__(self) -> None:
        self._on_terminal = sys.stderr.isatty()
        self._said, self._at = "", float("-inf")

    def __call__(self, estimate: Estimate) -> None:
        if not estimate.ended:
            self._say(line(estimate))

    def no_answer(self) -> None:
        self._say("the server does not answer; trying again for a minute")

    def _say(self, text: str) -> None:
        now = time.monotonic()
        if text == self._said or (not self._on_terminal and now - self._at < _PAUSE):
            return
        self._said, self._at = text, now
        if self._on_terminal:
            sys.stderr.write(f"{_BACK}{text[: shutil.get_terminal_size().columns - 1]}")
        else:
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._on_terminal and self._said:
            sys.stderr.write(_BACK)
            sys.stderr.flush()


def line(estimate: Estimate) -> str:
    """What an estimate that has not ended is doing."""
    if estimate.status == "queued":
        return "queued: it waits for a worker"
    if estimate.status == "canceling":
        return "canceling"
    at = estimate.progress
    if at is None:
        return "running: reads the rows"
    doing = f"trains {at.trying}" if at.trying else "trains"
    if estimate.finishing:
        doing = "finishes with what it has"
    elif at.steps and at.step >= at.steps:
        doing = "computes the bounds"
    steps = f", step {at.step:,}" + (f" of {at.steps:,}" if at.steps else "")
    shown = "" if at.value is None else f", so far {at.value:.3g} (not certified)"
    left = f", about {_seconds(at.eta_seconds)} left" if at.eta_seconds and at.eta_seconds >= 1 else ""
    return f"running: {doing}{steps}{shown}{left}"


def _seconds(count: float) -> str:
    return f"{count:.0f} s" if count < 90 else f"{count / 60:.0f} min"
