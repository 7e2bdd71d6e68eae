"""The thread of a local client, which does one job after the other."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable


class LocalWorker:
    """A queue of jobs and its thread, which starts with the first one."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def put(self, work: Callable[[], object]) -> None:
        """Queues a job, which raises nothing."""
        self._waiting.put(work)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="wdist-local", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Waits until the queued jobs have ended; cancel them first."""
        self._waiting.put(None)
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while (work := self._waiting.get()) is not None:
            work()
