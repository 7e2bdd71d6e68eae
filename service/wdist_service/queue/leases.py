"""Renewing a lease: others may take a lock or a row that is not renewed in time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def renewed(seconds: float, renew: Callable[[], bool]) -> Iterator[None]:
    """Call `renew` from a thread every `seconds` seconds, until the block ends or it returns False."""
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
