"""A worker without trainers: it ends each job a moment after its claim, and does errands. A process, to be killed.

    python turn_taker.py NAME SLOTS SECONDS

Settings come from the environment. Each job takes up to SECONDS seconds.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from sqlalchemy.exc import DatabaseError
from toy_kind.kinds import KINDS

from wdist_service.database import Database
from wdist_service.ids import new_id
from wdist_service.queue import dispatch
from wdist_service.queue.attempts import Attempts, Finished
from wdist_service.queue.errands import Errands
from wdist_service.queue.leases import STILL_BEATS
from wdist_service.settings import load
from wdist_service.storage.objects import open_storage
from wdist_service.worker.errands import ErrandRunner

Answer = TypeVar("Answer")
DONE = Finished({"result": {"value": 1.0}, "curve": []}, {})


def until_stored(write: Callable[[], Answer]) -> Answer:
    while True:
        try:
            return write()
        except DatabaseError:
            time.sleep(0.05)


def main(name: str, slots: int, seconds: float) -> None:
    settings = load()
    database = Database(settings)
    queue = dispatch.Queue(database, KINDS)
    attempts = Attempts(database, queue, open_storage(settings), new_id("wrk"))
    free = threading.Semaphore(slots)

    def take(turn: dispatch.Turn) -> None:
        with free:
            for claim in until_stored(lambda: attempts.claim(turn, 4)):
                time.sleep(seconds * random.random())
                until_stored(partial(attempts.succeed, claim.job_id, claim.attempt, DONE))

    until_stored(lambda: attempts.leases.declare(name, slots, ["cpu"] * slots))
    queue.open()
    ErrandRunner(Errands(database, queue, attempts.worker_id), settings, threading.Event()).start()
    dispatch.Consumer(database, attempts.worker_id, take, lambda: slots + 1)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        time.sleep(settings.beat_seconds)
        if not until_stored(attempts.leases.beat):
            until_stored(lambda: attempts.leases.declare(name, slots, ["cpu"] * slots))
        until_stored(
            partial(
                attempts.take_over,
                settings.lease_seconds,
                STILL_BEATS * settings.beat_seconds,
                settings.max_worker_deaths,
            )
        )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
