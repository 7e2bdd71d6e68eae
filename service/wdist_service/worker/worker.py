"""The worker process: takes attempts off the queue, has trainers run them, and keeps its lease alive."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NoReturn

from sqlalchemy.exc import DatabaseError

from wdist_service.database import Database, wait_for
from wdist_service.errors import StorageUnavailableError
from wdist_service.ids import new_id
from wdist_service.installation import check_storage, exit_statuses, start_errors
from wdist_service.jobs import KINDS
from wdist_service.lifetime import StopRequest
from wdist_service.maintenance.host import host_tasks
from wdist_service.maintenance.schedule import Schedule, Task
from wdist_service.queue import dispatch
from wdist_service.queue.attempts import Attempts, Finished
from wdist_service.queue.dispatch import Turn
from wdist_service.queue.errands import Errands
from wdist_service.queue.fairness import adopt_turns, requeue_stranded
from wdist_service.queue.leases import STILL_BEATS, take_name
from wdist_service.settings import Settings
from wdist_service.storage.damage import DamagedError
from wdist_service.storage.files import DiskFullError
from wdist_service.storage.objects import open_storage
from wdist_service.storage.references import said_of
from wdist_service.tables import Role, Status
from wdist_service.worker.errands import ErrandRunner
from wdist_service.worker.job_runner import JobRunner, Run
from wdist_service.worker.timing import Interval, until_stored
from wdist_service.worker.trainer_pool import TakenSlot, TrainerDied, TrainerPool

log = logging.getLogger("wdist.worker")
_TICK_SECONDS = 0.2
_IDLE_WATCH_SECONDS = 2.0  # without attempts there is nothing to compare but one that no thread runs
_STRAY_SECONDS = 5.0
_SHORT_SECONDS = 2.0
_SETTLE_SECONDS = 0.15
_PURGE_SECONDS = 30.0
_PUBLISH_SECONDS = 2.0


class Worker:
    """A worker process. `run` ends the process after SIGTERM."""

    def __init__(self, settings: Settings, pool: TrainerPool) -> None:
        self._settings = settings
        self._database = Database(settings)
        self._storage = open_storage(settings)
        self._pool = pool
        self._runs: dict[tuple[str, int], Run] = {}
        self._strays: dict[tuple[str, int], float] = {}
        self._storing, self._storing_lock = 0, threading.Lock()
        self._idle_watch = Interval(_IDLE_WATCH_SECONDS)
        self._stopping = threading.Event()
        self._lock, self._name = take_name(settings.data, Role.WORKER)
        self.id = new_id("wrk")

    def run(self) -> None:
        self._stop = StopRequest()
        with start_errors(self._settings):
            wait_for(self._database, seconds=30)
            self._database.migrate()
            dispatch.migrate(self._database)
            until_stored(lambda: check_storage(self._database, self._storage))
        self._queue = dispatch.Queue(self._database, KINDS)
        self._attempts = Attempts(self._database, self._queue, self._storage, self.id)
        self._errands = ErrandRunner(Errands(self._database, self._queue, self.id), self._settings, self._stopping)
        self._leases = self._attempts.leases
        self._leases.declare(self._name, len(self._pool), self._pool.devices)
        self._queue.open()
        adopt_turns(self._database, self._queue)
        dispatch.Consumer(self._database, self.id, self._take_turn, self._at_once)
        threading.Thread(target=self._publish_all, name="checkpoints", daemon=True).start()
        self._errands.start()
        Schedule(self._database, self._maintenance(), self._stopping).start()
        log.info("worker ready", extra={"worker": self._name, "slots": len(self._pool)})
        try:
            self._control()
        finally:
            self._leave()

    def _maintenance(self) -> list[Task]:
        """What a worker does regularly."""
        seconds = self._settings.maintenance_seconds
        stranded = Task("stranded jobs", seconds, lambda: requeue_stranded(self._database, self._queue), is_shared=True)
        return [*host_tasks(self._database, self._storage, seconds), stranded]

    # --- the main thread: leases, cancellation, trainers -------------------------------------------------------------

    def _control(self) -> None:
        purge = lambda: self._queue.purge(older_than_seconds=_PURGE_SECONDS)  # noqa: E731 - one of a list
        tasks: list[tuple[Interval, Callable[[], object]]] = [
            (Interval(_TICK_SECONDS), self._watch),
            (Interval(_TICK_SECONDS), self._pool.tend),
            (Interval(self._settings.beat_seconds), self._beat),
            (Interval(self._settings.beat_seconds / 2), self._take_over),
            (Interval(_PURGE_SECONDS), purge),
        ]
        while not self._stop.has_come:
            time.sleep(_TICK_SECONDS)
            for interval, action in tasks:
                try:
                    if interval.is_due():
                        action()
                except DatabaseError as error:
                    log.warning("database error, trying again: %s", error.orig)
                    # While we could not write, others could not beat either: declare nobody dead for one lease.
                    self._leases.liveness.pause(self._settings.lease_seconds)

    def _beat(self) -> None:
        if not self._leases.beat():
            self._leases.declare(self._name, len(self._pool), self._pool.devices)

    def _take_over(self) -> None:
        given = self._settings
        still_seconds = STILL_BEATS * given.beat_seconds
        moved = self._attempts.take_over(given.lease_seconds, still_seconds, given.max_worker_deaths)
        if moved:
            log.warning("took over attempts of a dead worker", extra={"attempts": moved})

    def _watch(self) -> None:
        """Compare what runs here with the tables: stop what was canceled or is not ours, finish what is to."""
        runs, errands = dict(self._runs), self._errands.running
        if not (runs or errands or self._strays or self._idle_watch.is_due()):
            return
        ours = self._attempts.watch()
        self._errands.watch(ours)
        for (job_id, attempt), run in runs.items():
            held = ours.get(job_id)
            if held is None or held.attempt != attempt:
                run.fence()
            elif held.status == Status.CANCELING:
                run.stop()
            elif held.is_to_finish:
                run.finish()
        latest = {}
        for key, run in runs.items():
            if run.progress is not None:
                latest[key], run.progress = run.progress, None
        self._attempts.report(latest)
        held_here = {(job_id, held.attempt): held.is_errand for job_id, held in ours.items()}
        self._give_up_strays({key: held_here[key] for key in held_here.keys() - runs.keys() - errands})

    def _give_up_strays(self, strays: dict[tuple[str, int], bool]) -> None:
        """Give up attempts that this worker holds but does not run, because a thread ended unexpectedly."""
        now = time.monotonic()
        self._strays = {key: self._strays.get(key, now) for key in strays}
        for key, since in self._strays.items():
            if now - since > _STRAY_SECONDS:
                log.error("nothing runs this attempt; handing it over", extra={"estimate": key[0], "attempt": key[1]})
                if strays[key]:
                    self._attempts.hand_over(*key)
                else:
                    self._attempts.died(*key, "the worker lost it", self._settings.max_attempts)

    def _leave(self) -> NoReturn:
        """Shut down gracefully: running attempts go back to the queue, for any worker to go on with.

        Turns that DBOS delivers from now on are left alone; `take_over` puts them back, as after a crash.
        """
        log.info("worker stopping")
        self._stopping.set()
        time.sleep(_SETTLE_SECONDS)  # a poll that began before `_at_once` was 0 has ended by then
        for run in list(self._runs.values()):
            run.stop()
        deadline = time.monotonic() + self._settings.stop_seconds
        while (self._runs or self._errands.running) and time.monotonic() < deadline:
            time.sleep(0.05)
        self._errands.leave()
        for key, run in list(self._runs.items()):  # too busy to write a checkpoint
            self._attempts.hand_over(*key)
            run.fence()
        self._leases.leave()
        self._pool.close()
        self._storage.close()
        logging.shutdown()
        os._exit(0)  # threads of DBOS and of waiting attempts hold nothing that is not in the database

    # --- one thread per attempt --------------------------------------------------------------------------------------

    def _at_once(self) -> int:
        """How many attempts to take off the queue: as many as there are slots, and one more while all jobs are short.

        The extra attempt waits here, unclaimed, for the next free slot, so that short jobs follow each other without
        the queue's latency. Behind a long job it would wait here while another worker is idle. Attempts that are only
        stored have given their slots back, and do not count, unless the storage falls behind. While the worker shuts
        down the answer is 0: what it gave back would come straight back and count as one more attempt.
        """
        if self._stopping.is_set():
            return 0
        runs = list(self._runs.values())
        is_short = all(_seconds_left(run.runner) <= _SHORT_SECONDS for run in runs)
        return len(self._pool) + min(self._storing, len(self._pool)) + (1 if runs and is_short else 0)

    def _take_turn(self, turn: Turn) -> None:
        if self._stopping.is_set():
            threading.Event().wait()  # until the process ends: on return, DBOS would record the attempt as done
        with self._pool.taken() as slot:
            most = self._settings.together
            claims = until_stored(lambda: self._attempts.claim(turn, most))
            if not claims:
                slot.give_back(is_reusable=True)
                return
            runner = JobRunner(claims, slot.trainer, self._storage.scratch)
            self._runs |= {run.key: run for run in runner.runs.values()}
            try:
                self._train(runner, slot)
            finally:
                for run in runner.runs.values():
                    self._runs.pop(run.key, None)

    def _train(self, runner: JobRunner, slot: TakenSlot) -> None:
        """Run the attempts in the trainer. Each end is stored while the others, and the slot's next jobs, train."""
        stored: list[Future[None]] = []
        storing = ThreadPoolExecutor(1, "store")
        try:
            jobs = [job for run in runner.runs.values() if (job := self._prepare(run)) is not None]
            for run in runner.runs.values():
                if run.claim.is_to_finish:
                    run.finish()
            if jobs:
                runner.trainer.send(jobs, exactly=self._settings.together_exactly)
            runner.follow(self._settings.frozen_seconds, lambda *end: stored.append(storing.submit(self._store, *end)))
            slot.give_back(is_reusable=runner.is_reusable)
        except TrainerDied as died:
            slot.give_back(is_reusable=False)
            for run in [run for run in runner.runs.values() if not run.is_over]:
                run.end()
                stored.append(storing.submit(self._store_death, run, str(died)))
        finally:
            with self._counted_as_storing():
                storing.shutdown()
        for each in stored:
            each.result()  # raises unexpected errors, which the queue logs

    @contextmanager
    def _counted_as_storing(self) -> Iterator[None]:
        with self._storing_lock:
            self._storing += 1
        try:
            yield
        finally:
            with self._storing_lock:
                self._storing -= 1

    def _prepare(self, run: Run) -> dict[str, Any] | None:
        """Bring data and checkpoint to this host; returns the job for the trainer, or None if the data cannot be read.

        Raises TrainerDied if the attempt is stopped while it waits for them.
        """
        shutil.rmtree(run.directory, ignore_errors=True)
        try:
            (run.directory / "data").mkdir(parents=True)
            (run.directory / "result").mkdir()
            return until_stored(lambda: self._job(run), lambda: run.is_stopped)
        except (DamagedError, DiskFullError, OSError) as error:
            run.end()
            reason = {"type": "storage_incomplete", "message": self._unreadable(run, error)}
            self._finish(run, lambda: self._attempts.fail(*run.key, reason), "storage_incomplete")
            return None

    def _unreadable(self, run: Run, error: DamagedError | DiskFullError | OSError) -> str:
        """Why the data of an attempt cannot be read, by the name of the set."""
        if isinstance(error, DamagedError):
            with self._database.read() as session:
                return said_of(session, run.claim.job_id, error)
        if isinstance(error, OSError):
            log.error("an attempt cannot be prepared: %s", error, extra={"estimate": run.claim.job_id})
        return f"a sample set cannot be read on this host: {getattr(error, 'strerror', None) or error}"

    def _job(self, run: Run) -> dict[str, Any]:
        claim, data = run.claim, run.directory / "data"
        return {
            "name": run.name,
            "runner": claim.runner,
            "options": claim.work.options,
            "files": {name: str(self._storage.keep(key, data)) for name, key in claim.work.files.items()},
            "described": claim.work.described,
            "more": claim.work.more,
            "directory": str(run.directory / "result"),
            "checkpoint": str(self._storage.checkpoints.prepare(*run.key)),
        }

    def _publish(self, run: Run) -> None:
        """Copy the attempt's checkpoint to shared storage, if there is one; the last copy to arrive wins."""
        if not run.is_fenced:
            with contextlib.suppress(StorageUnavailableError):
                self._storage.checkpoints.publish(*run.key)

    def _publish_all(self) -> None:
        """Publish all checkpoints regularly, in a thread of its own: nothing else waits for a slow storage."""
        while not self._stopping.wait(_PUBLISH_SECONDS):
            for run in list(self._runs.values()):
                self._publish(run)

    def _store(self, run: Run, message: dict[str, Any]) -> None:
        """Store how an attempt ended."""
        match message["type"]:
            case "result":
                self._finish(run, lambda: self._succeed(run, message), "result")
            case "stopped":
                self._finish(run, lambda: self._attempts.stopped(*run.key), "stopped", or_else=self._hand_over)
            case "apart":
                self._store_death(run, message["message"])
            case _:
                self._finish(run, lambda: self._attempts.fail(*run.key, message["error"]), message["type"])

    def _succeed(self, run: Run, message: dict[str, Any]) -> bool:
        files = {name: run.directory / "result" / name for name in message["files"]}
        try:
            return self._attempts.succeed(*run.key, Finished(message["values"], files))
        except DiskFullError:
            reason = {"type": "storage_full", "message": "the server's disk is full: the critic could not be kept"}
            return self._attempts.fail(*run.key, reason)

    def _hand_over(self, run: Run) -> None:
        """Give back an attempt that stopped because the worker shuts down; the next one goes on from its checkpoint."""
        self._publish(run)
        until_stored(lambda: self._attempts.hand_over(*run.key))

    def _finish(
        self, run: Run, write: Callable[[], bool], how: str, or_else: Callable[[Run], None] = lambda _: None
    ) -> None:
        """Write the end of an attempt with `write`, or call `or_else` if that was refused, and clean up."""
        if done := until_stored(write):
            with contextlib.suppress(StorageUnavailableError):  # a sweep removes it
                self._storage.checkpoints.forget(run.claim.job_id)
        else:
            or_else(run)
        log.info(
            "attempt ended" if done else "attempt was fenced",
            extra={"estimate": run.key[0], "attempt": run.key[1], "how": how},
        )
        self._clear(run)

    def _store_death(self, run: Run, reason: str) -> None:
        if not run.is_fenced:  # if it is, we killed the trainer: the estimate goes on elsewhere
            self._publish(run)
            log.warning("trainer died", extra={"estimate": run.key[0], "attempt": run.key[1], "how": reason})
            cap, alone = self._settings.max_attempts, not run.runner.is_shared
            until_stored(lambda: self._attempts.died(*run.key, reason, cap, alone=alone))
        self._clear(run)

    def _clear(self, run: Run) -> None:
        shutil.rmtree(run.directory, ignore_errors=True)
        self._runs.pop(run.key, None)


def _seconds_left(runner: JobRunner) -> float:
    return sum(run.claim.cost_seconds for run in runner.runs.values() if not run.is_over)


def main(settings: Settings, pool: TrainerPool) -> None:
    """Run a worker until SIGTERM. Exits with EX_CONFIG when starting it again is useless."""
    try:
        with exit_statuses():
            with start_errors(settings):
                worker = Worker(settings, pool)
            worker.run()
    except SystemExit:
        pool.close()
        raise
