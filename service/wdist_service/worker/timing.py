"""How a worker waits: for the next time of something regular, and until a write is accepted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import DatabaseError

from wdist_service.errors import StorageUnavailableError
from wdist_service.worker.trainer_pool import TrainerDied

log = logging.getLogger("wdist.worker")
Answer = TypeVar("Answer")


class Interval:
    """Says when something that is done every `seconds` seconds is to be done again."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = 0.0

    def is_due(self) -> bool:
        """Whether the interval has passed; if so, the next one begins."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True


def until_stored(write: Callable[[], Answer], is_over: Callable[[], bool] = lambda: False) -> Answer:
    """Repeat a write until database and storage accept it: no outcome is lost because one of them was unavailable."""
    pause = 0.1
    while True:
        try:
            return write()
        except (DatabaseError, StorageUnavailableError) as error:
            if is_over():
                raise TrainerDied("it was stopped before it began") from error
            log.warning("trying again: %s", error.orig if isinstance(error, DatabaseError) else error)
            time.sleep(pause)
            pause = min(pause * 2, 2.0)
