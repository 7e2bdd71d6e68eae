"""The attempts that one trainer runs together: their progress, how they stop, and how they end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from wdist_service.queue.transitions import Claim
from wdist_service.worker.trainer_pool import TrainerProcess

_STOP_SECONDS = 10.0  # from the request to SIGKILL
Message = dict[str, Any]


class Run:
    """One attempt of a job runner. The runner's lock keeps its threads from stopping an attempt that has ended."""

    def __init__(self, claim: Claim, runner: JobRunner, scratch: Path) -> None:
        self.claim = claim
        self.runner = runner
        self.directory = scratch / self.name
        self.progress: dict[str, Any] | None = None
        self.is_fenced = False
        self.is_over = False
        self._is_to_finish = False
        self._stopped_at: float | None = None

    @property
    def key(self) -> tuple[str, int]:
        return self.claim.job_id, self.claim.attempt

    @property
    def name(self) -> str:
        return f"{self.claim.job_id}.{self.claim.attempt}"

    @property
    def is_stopped(self) -> bool:
        """Whether it was asked to stop, or lost its claim."""
        return self.is_fenced or self._stopped_at is not None

    def stop(self) -> None:
        """Ask the trainer to stop this attempt; if it has not after 10 s, kill the trainer and so all of its attempts.

        Each attempt still running adds 10 s, because the trainer may be busy certifying one of the others.
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

    def finish(self) -> None:
        """Ask the trainer to end this attempt with what it has; only the first call does."""
        with self.runner.lock:
            if not self.is_over and not self._is_to_finish:
                self._is_to_finish = True
                self.runner.trainer.finish_job(self.name)

    def fence(self) -> None:
        """Stop an attempt that, according to the tables, this worker no longer holds."""
        with self.runner.lock:
            if self.is_over or self.is_fenced:
                return
            self.is_fenced = True
            if all(run.is_over or run.is_fenced for run in self.runner.runs.values()):
                self.runner.trainer.kill()
            else:
                self.runner.trainer.stop_job(self.name)

    def end(self) -> None:
        """Mark the attempt as over: from now on nobody asks the trainer to stop it."""
        with self.runner.lock:
            self.is_over = True


class JobRunner:
    """Follows what one trainer runs at a time: one attempt, or several small ones of a batch."""

    def __init__(self, claims: Sequence[Claim], trainer: TrainerProcess, scratch: Path) -> None:
        self.trainer = trainer
        self.lock = threading.Lock()
        self.runs = {run.name: run for run in (Run(claim, self, scratch) for claim in claims)}
        self.is_reusable = True

    @property
    def is_shared(self) -> bool:
        """Whether several attempts share the trainer, so that any of them may have caused its death."""
        return len(self.runs) > 1

    def follow(self, frozen_seconds: float, on_end: Callable[[Run, Message], object]) -> None:
        """Wait until every run has ended, and pass on the last message of each. Raises TrainerDied.

        Kills a frozen trainer: a live one sends something every second.
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
                continue  # silence, "alive", or the end of a job that an earlier runner stopped
            if message["type"] == "progress":
                run.progress = {name: value for name, value in message.items() if name != "type"}
                continue
            self.is_reusable &= not _is_suspect(message, run)
            run.end()
            on_end(run, message)


def _is_suspect(message: Message, run: Run) -> bool:
    """Whether the trainer may be in a bad state after this message, or is about to exit because it was told to."""
    if message["type"] == "failed":
        return message["error"]["type"] in {"out_of_memory", "internal_error"}
    return message["type"] == "apart" or (message["type"] == "stopped" and not run.is_stopped)
