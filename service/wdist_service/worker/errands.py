"""Runs errands in threads of the worker process: claims what is due, tries it, stores how the try ended."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.exc import DatabaseError

from wdist_service.queue.attempts import Held
from wdist_service.queue.errands import Errands
from wdist_service.queue.kinds import Errand
from wdist_service.queue.transitions import Claim
from wdist_service.settings import Settings
from wdist_service.tables import Status
from wdist_service.worker.timing import Interval, until_stored

log = logging.getLogger("wdist.errands")
_AT_ONCE = 16  # they wait for others most of the time
_LOOK_SECONDS = 0.5
_CHECK_SECONDS = 10.0  # from one look at the clock and at what this host can do to the next
_CLOCK_SECONDS = 1.0
_OUTAGE_SECONDS = 2.0


class ErrandRunner:
    """The errands that this worker runs; `stopping` ends it."""

    def __init__(self, errands: Errands, settings: Settings, stopping: threading.Event) -> None:
        self._errands = errands
        self._settings = settings
        self._stopping = stopping
        self._lock = threading.Lock()
        self._running: dict[tuple[str, int], tuple[str, threading.Event]] = {}  # each with its lane
        self._has_room = threading.Event()
        self._to_check = Interval(_CHECK_SECONDS)
        self._clock = 0.0
        self._pool = ThreadPoolExecutor(_AT_ONCE, "errand")

    @property
    def running(self) -> set[tuple[str, int]]:
        """The attempts that run here."""
        with self._lock:
            return set(self._running)

    def start(self) -> None:
        """Start the thread that claims."""
        threading.Thread(target=self._loop, name="errands", daemon=True).start()

    def watch(self, ours: Mapping[str, Held]) -> None:
        """Tell those to stop that were canceled or are not ours any more."""
        with self._lock:
            for (job_id, attempt), (_, is_stopped) in self._running.items():
                held = ours.get(job_id)
                if held is None or held.attempt != attempt or held.status == Status.CANCELING:
                    is_stopped.set()

    def leave(self) -> None:
        """Hand over what still runs, as the process is about to end."""
        for key in self.running:
            self._errands.hand_over(*key)

    def _loop(self) -> None:
        while not self._stopping.is_set():
            self._has_room.wait(_LOOK_SECONDS)
            self._has_room.clear()
            try:
                while not self._stopping.is_set() and self._take():
                    pass
            except DatabaseError as error:
                log.warning("errands cannot be claimed, trying again: %s", error.orig)
                self._stopping.wait(_OUTAGE_SECONDS)
            except Exception:  # the errands of others must go on
                log.exception("errands cannot be claimed, trying again")
                self._stopping.wait(_OUTAGE_SECONDS)

    def _take(self) -> bool:
        """Start what is due and has room; returns whether there was any."""
        with self._lock:
            lanes = Counter(lane for lane, _ in self._running.values())
        if (room := _AT_ONCE - lanes.total()) <= 0:
            return False
        if (is_time := self._to_check.is_due()) and (problems := self._errands.look_around(self._settings)):
            log.warning("this host leaves errands to others", extra={"problems": problems})
        due = self._errands.look(lanes)
        if due.now < self._clock - _CLOCK_SECONDS or is_time:
            self._errands.redate(due.now)
        self._clock = due.now
        if not due.is_any:
            return False
        claims = self._errands.claim(room, lanes)
        for claim, lane in claims:
            is_stopped = threading.Event()
            with self._lock:
                self._running[claim.job_id, claim.attempt] = lane, is_stopped
            self._pool.submit(self._run, claim, is_stopped)
        return bool(claims)

    def _run(self, claim: Claim, is_stopped: threading.Event) -> None:
        key = claim.job_id, claim.attempt
        try:
            kind = self._errands.kind_of(claim.job_id)
            given = Errand(*key, claim.work.options, self._settings, lambda: is_stopped.is_set() or self._is_ending())
            try:
                outcome = kind.run_here(given)
                until_stored(lambda: self._errands.store(*key, outcome))
            except Exception as error:
                log.exception("an errand met an unexpected error", extra={"estimate": claim.job_id})
                reason = f"the server met an unexpected {type(error).__name__}"
                until_stored(lambda: self._errands.crashed(*key, reason))
        except Exception:  # the worker finds that nothing runs it any more, and hands it over
            log.exception("the outcome of an errand cannot be stored", extra={"estimate": claim.job_id})
        finally:
            with self._lock:
                del self._running[key]
            self._has_room.set()

    def _is_ending(self) -> bool:
        return self._stopping.is_set()
