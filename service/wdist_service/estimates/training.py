"""What a trainer process does for an estimate (worker/trainer.py): trainings, result, and the critic's files."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from wdist.data.pair import Shared
from wdist.data.readers.npy import open_npy
from wdist.data.sources.files import FileRows
from wdist.data.tables.schema import TableSchema
from wdist.definitions.reading import Selection
from wdist.estimate import Estimation
from wdist.options import Options
from wdist.result import Result
from wdist.training.lockstep import Training
from wdist.training.progress import Progress


def run(
    job: dict[str, Any],
    directory: Path,
    on_progress: Callable[[dict[str, Any]], None],
    should_stop: Callable[[], bool],
    should_finish: Callable[[], bool],
) -> Generator[Training, None, dict[str, Any]]:
    """Estimate with the library: returns result, curve and progress, and writes its files to the directory."""
    files = {name: Path(path) for name, path in job["files"].items()}
    options = {name: value for name, value in job["options"].items() if value is not None}
    labels = [open_npy(files[name], "groups").reshape(-1) for name in sorted(files, key=_number) if _number(name) >= 0]
    source, target = (stored_rows(job, side) for side in ("source", "target"))
    shared = None
    if (numbers := job["more"].get("numbers")) is not None:
        first = stored_rows(job, "first") if "first" in files else None
        shared = Shared((numbers[0], numbers[1]), first, job["more"].get("name", ""), labels or None)
    groups = (labels[0], labels[1]) if labels and shared is None else None
    last: Progress | None = None

    def tell(progress: Progress) -> None:
        nonlocal last
        last = progress
        on_progress(told(progress))

    estimation = Estimation(
        source, target, Options.checked(**options), groups=groups, shared=shared,
        progress=tell, should_stop=should_stop, should_finish=should_finish, checkpoint=job["checkpoint"],
    )  # fmt: skip
    yield from estimation.trainings()
    result = estimation.result()
    result.critic.save(directory)
    result.certificate.save(directory / "certificate")
    (directory / "witness.json").write_text(json.dumps(result.witness.to_dict(), allow_nan=False), encoding="utf-8")
    return {"result": result.to_dict(), "curve": result.curve, "progress": _completed(result, last)}


def stored_rows(job: dict[str, Any], name: str) -> FileRows:
    known = job["described"][name]
    table = None if known["table"] is None else TableSchema.from_json(known["table"])
    return FileRows(
        known["name"], open_npy(Path(job["files"][name]), name), known["columns"], table, known["notes"],
        Selection.model_validate(known["reading"]), lambda: known["file_sha256"],
    )  # fmt: skip


def _number(name: str) -> int:
    """The number of the set whose group labels a file holds, or -1 for another file."""
    return int(name.removeprefix("groups_")) if name.startswith("groups_") else -1


def told(progress: Progress) -> dict[str, Any]:
    return {
        "step": progress.step, "steps": progress.steps, "seconds": progress.seconds, "value": _finite(progress.value),
        "eta_seconds": _finite(progress.eta_seconds), "trying": progress.trying,
    }  # fmt: skip


def _completed(result: Result, last: Progress | None) -> dict[str, Any]:
    """The progress of an estimate that is done: all steps; a critic in closed form took one."""
    steps, value = max(result.steps, 1), None if last is None else _finite(last.value)
    done = {"step": steps, "steps": steps, "seconds": result.seconds, "value": value}
    return done | {"eta_seconds": 0.0, "trying": None}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
