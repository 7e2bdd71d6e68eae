"""Ctrl-C at a terminal: the first ends training and states what there is, the second ends the command."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SAID = "\r\x1b[Kwdist: finishing with the steps taken so far; Ctrl-C again ends without a result"


@contextmanager
def finishing_on_ctrl_c() -> Iterator[Callable[[], bool] | None]:
    """Gives the function that says whether to finish; None if nobody at a terminal would see what happens."""
    if not sys.stderr.isatty() or threading.current_thread() is not threading.main_thread():
        yield None
        return
    is_asked = threading.Event()

    def ask(_signal: int, _frame: object) -> None:
        if is_asked.is_set():
            raise KeyboardInterrupt
        is_asked.set()
        sys.stderr.write(f"{_SAID}\n")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield is_asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
