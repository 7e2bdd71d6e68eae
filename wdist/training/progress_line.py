"""Progress as a line on standard error that overwrites itself."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TypeAlias

from wdist.training.progress import Progress

Tell: TypeAlias = Callable[[Progress], object]


class ProgressLine:
    """Use it in `with`, which gives the function that training calls.

    Args:
        wanted: True shows the line, False does not, and a function is called instead of it. None shows the line if
            standard error is a terminal.
        prefix: what the line begins with.
    """

    def __init__(self, wanted: bool | Tell | None, prefix: str = "") -> None:
        self._tell: Tell | None = wanted if callable(wanted) else None
        if not callable(wanted) and (sys.stderr.isatty() if wanted is None else wanted):
            self._tell = self._show
        self._prefix, self._next = prefix, 0.0

    def __enter__(self) -> Tell | None:
        return self._tell

    def __exit__(self, *_: object) -> None:
        if self._next:
            sys.stderr.write("\r\x1b[K" if sys.stderr.isatty() else "\n")

    def _show(self, now: Progress) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + 0.2
        so_far = "" if now.value is None else f", so far {now.value:.4g} (not certified)"
        sys.stderr.write(f"\r\x1b[K{self._prefix}{now.trying or 'training'}: step {now.step} of {now.steps}{so_far}")
        sys.stderr.flush()
