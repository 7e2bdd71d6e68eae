"""Attempts in the hands of one trainer: who of them runs, is to stop, or is no longer ours."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from wdist_service.queue.attempts import Claim
from wdist_service.worker.trainer_pool import TrainerProcess

_STOP_SECONDS = 10.0  # from asking to SIGKILL
Message = dict[str, Any]


class Run:
    """One attempt of a turn; the threads that touch it agree through its lock on who has the last word."""

    def __init__(self, claim: Claim, runner: JobRunner, scratch: Path) -> None:
        self.claim = claim
        self.runner = runner
        self.directory = scratch / self.name
        self.progress: dict[str, Any] | None = None
        self.is_fenced = False
        self.is_over = False
        self._stopped_at: float | None = None

    @property
    def key(self) -> tuple[str, int]:
        return self.claim.estimate_id, self.claim.attempt

    @property
    def name(self) -> str:
        return f"{self.claim.estimate_id}.{self.claim.attempt}"

    @property
    def is_stopped(self) -> bool:
        """Whether it was told to stop, or lost its claim."""
        return self.is_fenced or self._stopped_at is not None

    def stop(self) -> None:
        """Ask the trainer to give it up; after 10 s insist, which ends the trainer and so the others' attempts too.

        With others it is given as much for each: it may be busy certifying one of them.
        """
        with self.runner.lock:
            if self.is_over:
                return
            if self._stopped_at is None:
                self._stopped_at = time.monotonic()
                self.runner.trainer.stop_job(self.name)
                return
            seconds = _STOP_SECONDS * sum(not run.is_over for run in self.runner.runs.values())
            if time.monotonic() - self._stopped_at > seconds:
                self.runner.trainer.kill(f"it did not stop within {seconds:g} s of being asked to")

    def fence(self) -> None:
        """The tables say that this attempt is no longer ours."""
        with self.runner.lock:
            if self.is_over or self.is_fenced:
                return
            self.is_fenced = True
            if all(run.is_over or run.is_fenced for run in self.runner.runs.values()):
                self.runner.trainer.kill()
            else:
                self.runner.trainer.stop_job(self.name)

    def end(self) -> None:
        """From here on nobody asks the trainer to stop it."""
        with self.runner.lock:
            self.is_over = True


class JobRunner:
    """What one trainer has at once: an attempt, or several small ones of a batch."""

    def __init__(self, claims: Sequence[Claim], trainer: TrainerProcess, scratch: Path) -> None:
        self.trainer = trainer
        self.lock = threading.Lock()
        self.runs = {run.name: run for run in (Run(claim, self, scratch) for claim in claims)}
        self.is_reusable = True

    @property
    def is_shared(self) -> bool:
        """Whether a death of the trainer may be the fault of another attempt than the one that is looked at."""
        return len(self.runs) > 1

    def follow(self, frozen_seconds: float, on_end: Callable[[Run, Message], object]) -> None:
        """Pass on each run's last message, until there is none left. Raises TrainerDied.

        Ends a trainer that is frozen: it sends something every second.
        """
        silent_seconds = 0
        while not all(run.is_over for run in self.runs.values()):
            message = self.trainer.receive(seconds=1.0)
            silent_seconds = silent_seconds + 1 if message is None else 0
            if 0 < frozen_seconds < silent_seconds:
                self.trainer.kill(
                    f"it was frozen: nothing came from it for {silent_seconds} s (WDIST_SERVER_FROZEN_SECONDS)"
                )
            if message is None or (run := self.runs.get(message.pop("job", ""))) is None:
                continue  # silence, a sign of life, or the end of a job that was stopped in an earlier turn
            if message["type"] == "progress":
                run.progress = {name: value for name, value in message.items() if name != "type"}
                continue
            self.is_reusable &= not _is_suspect(message, run)
            run.end()
            on_end(run, message)


def _is_suspect(message: Message, run: Run) -> bool:
    """Whether the trainer may be in a bad state after this, or is about to end because somebody told it to."""
    if message["type"] == "failed":
        return message["error"]["type"] in {"out_of_memory", "internal_error"}
    return message["type"] == "apart" or (message["type"] == "stopped" and not run.is_stopped)
