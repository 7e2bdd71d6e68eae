"""Leases: a lock or a row that another process may take when its holder does not renew it in time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def renewed(seconds: float, renew: Callable[[], bool]) -> Iterator[None]:
    """Call `renew` every `seconds` from a thread, until the block ends or `renew` returns False."""
    done = threading.Event()

    def loop() -> None:
        while not done.wait(seconds) and renew():
            pass

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
