"""What a trainer process does for an update of a monitor (worker/trainer.py): one call of the library."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from wdist.definitions.monitoring import Alarm
from wdist.monitoring.options import MonitorOptions
from wdist.monitoring.reference import Reference, open_reference
from wdist.monitoring.state import MonitorState
from wdist.monitoring.update import begin, update
from wdist_service.estimates.training import stored_rows, told
from wdist_service.monitors import STATE


def run(
    job: dict[str, Any],
    directory: Path,
    on_progress: Callable[[dict[str, Any]], None],
    should_stop: Callable[[], bool],
    should_finish: Callable[[], bool],
) -> Generator[Any, None, dict[str, Any]]:
    """Compare the batch with the reference: returns the figures and their units, and writes the new state.

    The same job gives the same figures and the same state, so that an attempt that was cut short leaves nothing to
    go on from.
    """
    yield from ()  # no trainings for others to run
    options, more = MonitorOptions.checked(**job["options"]), job["more"]
    reference = open_reference(stored_rows(job, "reference"), _name(job, "reference"), options)
    state = _state(job, reference, options)
    if more["paused"]:
        state = state.paused()
    after, figures = update(
        state, reference, stored_rows(job, "batch"), at=more["at"], name=_name(job, "batch"), should_stop=should_stop,
        progress=lambda progress: on_progress(told(progress)),
    )  # fmt: skip
    after.write(directory / STATE)
    return {"figures": figures.model_dump(mode="json"), "units": after.reference.units}


def _name(job: dict[str, Any], which: str) -> str:
    name: str = job["described"][which]["name"]
    return name


def _state(job: dict[str, Any], reference: Reference, options: MonitorOptions) -> MonitorState:
    """The monitor before this update, with the name, thresholds and alarms that it has now."""
    if (stored := job["files"].get(STATE)) is None:
        return begin(reference, options)
    state = MonitorState.read(stored)
    if state.epoch < job["more"]["epoch"]:
        return begin(reference, options, after=state)
    alarms = [Alarm.model_validate(each) for each in job["more"]["alarms"]]
    return state.renamed(options.name).with_thresholds(options.thresholds, alarms)
