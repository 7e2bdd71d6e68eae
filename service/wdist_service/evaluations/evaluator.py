"""Evaluate stored critics on rows, each time in a child process with limited memory and time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wdist_service.errors import InvalidError
from wdist_service.lifetime import PARENT_VARIABLE

MAX_ROWS = 10_000
_MEMORY_BYTES = 4 << 30
_SECONDS = 60
_GRACE_SECONDS = 5.0
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class TooMuchError(InvalidError):
    """The rows need more memory or time than one evaluation may use."""


class Evaluator:
    """Runs the child processes; the executor `evaluation` has as many threads as may run at once."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A temporary folder for the files of one evaluation."""
        with tempfile.TemporaryDirectory(dir=self._scratch, prefix="evaluate-") as name:
            yield Path(name)

    def run(
        self,
        folder: Path,
        critic: Mapping[str, Path],
        rows: Path,
        what: str,
        table: dict[str, Any] | None = None,
    ) -> Path:
        """Evaluate f or its gradient on the rows of an .npy file. Returns an .npy file in `folder`.

        `critic` maps the file names of a critic's directory to stored files. `table` says how codes become rows, by
        their schema and the critic's encoding as JSON. Raises TooMuchError if the child exceeded its limits, and
        InvalidError if the rows do not fit the critic.
        """
        directory = folder / "critic"
        directory.mkdir(exist_ok=True)
        for name, path in critic.items():
            if not (directory / name).exists():
                (directory / name).symlink_to(path)
        out = folder / f"{what}.npy"
        command = [sys.executable, "-I", "-m", "wdist_service.evaluations.child", str(directory), str(rows)]
        described = ""
        if table is not None:
            described = str(folder / "table")
            Path(described).write_text(json.dumps(table))
        command += [str(out), what, described]
        memory = _MEMORY_BYTES + rows.stat().st_size  # the file is mapped, not read
        output = _communicate([*command, str(memory), str(_SECONDS)])
        if output is None or output.get("kind") == "memory":
            raise TooMuchError(f"this takes more than {_MEMORY_BYTES >> 30} GiB or {_SECONDS} s; send fewer rows")
        if "error" in output:
            raise InvalidError(output["error"], field="body")
        return out


def _communicate(command: list[str]) -> dict[str, str] | None:
    """The child's report; None when it exceeded its limits."""
    try:
        done = subprocess.run(  # noqa: S603 - our own module, no shell
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/",
            env=_ENVIRONMENT | {PARENT_VARIABLE: str(os.getpid())}, timeout=_SECONDS + _GRACE_SECONDS, check=False,
        )  # fmt: skip
        report = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return None
    return report if isinstance(report, dict) else None
