"""Gauges of monitors for Prometheus, of a bounded number of them."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from wdist_service.database import Database
from wdist_service.tables import Monitor

_LABEL = ["monitor"]


class MonitorMetrics(Collector):
    """What monitors say, from the tables and so the same on every replica.

    Each monitor in a gauge is a time series that Prometheus keeps. So there are at most `most` of them: those with an
    alarm first, then those that were updated last. The two totals count all.
    """

    def __init__(self, database: Database, most: int) -> None:
        self._database = database
        self._most = most

    def collect(self) -> Iterator[Metric]:
        alarm = GaugeMetricFamily("wdist_monitor_alarms", "Alarms of a monitor that are on.", labels=_LABEL)
        bound = GaugeMetricFamily(
            "wdist_monitor_series_lower_bound",
            "The last batch is at least this far from the reference, together with all bounds of the series.",
            labels=_LABEL,
        )
        age = GaugeMetricFamily(
            "wdist_monitor_update_age_seconds", "Time since the last successful update of a monitor.", labels=_LABEL
        )
        shown = (
            select(Monitor.id, Monitor.alarms_on, Monitor.series_lower_bound, Monitor.updated_at)
            .where(Monitor.paused_at.is_(None))
            .order_by(Monitor.alarms_on.desc(), func.coalesce(Monitor.updated_at, 0.0).desc(), Monitor.id)
            .limit(self._most)
        )
        with self._database.read() as session:
            now = self._database.now(session)
            alarmed = select(func.count()).where(Monitor.alarms_on > 0)
            total, with_alarm = (
                session.execute(each).scalar_one() for each in (select(func.count(Monitor.id)), alarmed)
            )
            for key, alarms_on, lower, updated_at in session.execute(shown):
                alarm.add_metric([key], alarms_on)
                if lower is not None:
                    bound.add_metric([key], lower)
                if updated_at is not None:
                    age.add_metric([key], max(0.0, now - updated_at))
        yield GaugeMetricFamily("wdist_monitors", "Monitors stored.", total)
        yield GaugeMetricFamily("wdist_monitors_with_alarm", "Monitors with an alarm that is on.", with_alarm)
        yield from (alarm, bound, age)
