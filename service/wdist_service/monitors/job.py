"""The kind of job that an update of a monitor is: what its trainer needs, and how it becomes a part of the series."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from wdist.definitions.alarms import next_alarms
from wdist.definitions.monitoring import Alarm, Thresholds, UpdateFigures
from wdist_service.estimates.job import description_of
from wdist_service.monitors import STATE
from wdist_service.queue.kinds import JobKind, UnworkableError, Work
from wdist_service.tables import Artifact, Job, Monitor, MonitorEpoch, MonitorUpdate, SampleSet


class MonitorUpdateKind(JobKind[MonitorUpdate]):
    """Updates: runner.py runs them, those of one monitor in their order."""

    table = MonitorUpdate
    runner = "wdist_service.monitors.runner"

    def work(self, session: Session, job: MonitorUpdate) -> Work:
        monitor = session.get_one(Monitor, job.monitor_id)
        epoch = session.get_one(MonitorEpoch, (job.monitor_id, job.epoch))
        rows = {
            "reference": _set(session, epoch.reference_id, "the reference"),
            "batch": _set(session, job.sample_set_id, "the batch"),
        }
        files = {name: row.sha256 for name, row in rows.items()}
        if monitor.last_id is not None:
            state = session.get(Artifact, (monitor.last_id, STATE))
            if state is None:
                raise UnworkableError(f"the state of {monitor.id} is gone; create the monitor again")
            files[STATE] = state.sha256
        options = epoch.options | {"name": monitor.name, "thresholds": monitor.thresholds}
        more = {
            "epoch": job.epoch,
            "at": job.at,
            "alarms": monitor.alarms,
            "paused": monitor.paused_in == job.epoch,
        }
        return Work(options, files, {name: description_of(row) for name, row in rows.items()}, more)

    def succeed(self, session: Session, job: MonitorUpdate, values: dict[str, Any]) -> list[str]:
        """Make the update the last one of its monitor. Returns the file of the state before, which is needed no more.

        Alarms are found here, under the thresholds of this moment: they may have changed while the update ran.
        """
        query = select(Monitor).where(Monitor.id == job.monitor_id)
        monitor = session.execute(query.with_for_update()).scalar_one()
        epoch = session.get_one(MonitorEpoch, (monitor.id, job.epoch))
        figures = UpdateFigures.model_validate(values["figures"])
        before = [Alarm.model_validate(each) for each in monitor.alarms]
        thresholds = Thresholds.model_validate(monitor.thresholds)
        alarms = next_alarms(before, figures, thresholds, epoch.options["tolerance"])
        replaced = _replaced(session, monitor)
        job.number, job.figures = figures.number, figures.model_copy(update={"alarms": alarms}).model_dump(mode="json")
        job.raised, job.cleared = _without(alarms, before), _without(before, alarms)
        epoch.units = values["units"]
        monitor.updates, monitor.last_id, monitor.figures = figures.number, job.id, job.figures
        monitor.alarms, monitor.alarms_on = job.figures["alarms"], len(alarms)
        monitor.series_lower_bound, monitor.updated_at = figures.series_lower_bound, job.finished_at
        return replaced


def _set(session: Session, sample_set_id: str, what: str) -> SampleSet:
    row = session.get(SampleSet, sample_set_id)
    if row is None:
        raise UnworkableError(f"{what}, sample set {sample_set_id}, is gone")
    return row


def _replaced(session: Session, monitor: Monitor) -> list[str]:
    """Take its state from the last update of a monitor. Returns the sha256 of the file."""
    state = None if monitor.last_id is None else session.get(Artifact, (monitor.last_id, STATE))
    if state is None:
        return []
    session.get_one(Job, state.job_id).stored_bytes -= state.bytes
    session.delete(state)
    return [state.sha256]


def _without(alarms: list[Alarm], others: list[Alarm]) -> list[dict[str, Any]]:
    """Those of the alarms that are not among the others."""
    known = {(each.kind, each.column) for each in others}
    return [each.model_dump(mode="json") for each in alarms if (each.kind, each.column) not in known]


MONITOR_UPDATE = MonitorUpdateKind()
