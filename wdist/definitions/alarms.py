"""Which alarms of a monitor are on: the one rule of the library, the command line and the server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from wdist.definitions.monitoring import Alarm, AlarmKind, MonitoredColumn, Thresholds, When


class Observed(Protocol):
    """What alarms depend on: these fields of `UpdateFigures`."""

    @property
    def number(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def at(self) -> When | None: ...
    @property
    def series_lower_bound(self) -> float: ...
    @property
    def columns(self) -> Sequence[MonitoredColumn]: ...
    @property
    def evidence(self) -> float: ...
    @property
    def evidence_limit(self) -> float: ...


def alarms_after(history: Iterable[Observed], thresholds: Thresholds, tolerance: float, *, epoch: int) -> list[Alarm]:
    """The alarms that are on after a history of updates, oldest first.

    Only updates of this epoch, the present one, count: it may have none yet. After a change of thresholds, this says
    which alarms are on and since when, as if the thresholds had always been these.
    """
    alarms: list[Alarm] = []
    for update in history:
        if update.epoch == epoch:
            alarms = next_alarms(alarms, update, thresholds, tolerance)
    return alarms


def next_alarms(previous: Sequence[Alarm], update: Observed, thresholds: Thresholds, tolerance: float) -> list[Alarm]:
    """The alarms that are on after one more update of the same epoch.

    previous: those that were on before it, under the same thresholds; none for the first update of an epoch. An alarm
    on a bound ends with the first update whose bound is not above the threshold. An alarm on evidence ends with its
    epoch.
    """
    began = {(alarm.kind, alarm.column): (alarm.since, alarm.since_at) for alarm in previous}

    def alarm(kind: AlarmKind, column: str | None, bound: float | None, threshold: float | None) -> Alarm:
        since, since_at = began.get((kind, column), (update.number, update.at))
        return Alarm(kind=kind, column=column, bound=bound, threshold=threshold, since=since, since_at=since_at)

    found: list[Alarm] = []
    limit = tolerance if thresholds.distance is None else thresholds.distance
    if update.series_lower_bound > limit:
        found.append(alarm("distance", None, update.series_lower_bound, limit))
    for column in update.columns:
        limit_of_column = thresholds.columns.get(column.name)
        if limit_of_column is not None and column.lower_bound > limit_of_column:
            found.append(alarm("column", column.name, column.lower_bound, limit_of_column))
    if update.evidence >= update.evidence_limit or ("evidence", None) in began:
        found.append(alarm("evidence", None, None, None))
    return found
