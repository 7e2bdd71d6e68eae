"""Metrics for Prometheus: this process's requests, and the state of jobs from the tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from wdist_service.database import Database
from wdist_service.tables import DEVICE_SECONDS, Holder, Job, Role, SampleSet, Status

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
# Each set of label values is a time series that this process keeps for ever: no label may have a value of the caller's.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_STATUSES = frozenset(int(status) for status in HTTPStatus) | {460}
_OTHER = "other"
_SUMS = {
    "wdist_job_attempts": "Attempts of stored jobs, begun or queued.",
    "wdist_job_trainer_deaths": "Attempts of stored jobs that ended with the death of their trainer.",
    "wdist_job_device_seconds": "Seconds of devices that stored jobs took.",
}
CUTS = ("headers", "malformed", "refused", "room", "stop", "unread", "unwanted_body")
disable_created_metrics()  # type: ignore[no-untyped-call]  # the text format has no place for `_created`: each would be one more gauge


class HttpMetrics:
    """Requests and connections of this process.

    The method is one of HTTP's or "other". The route is a template or "unmatched". The status is one that this server
    gives, or "none" for a request whose client left before it was answered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        route = ("method", "route")
        self._requests = Counter("wdist_http_requests", "Requests answered.", (*route, "status"), registry=registry)
        self._received = Counter("wdist_http_request_body_bytes", "Bytes of bodies received.", registry=registry)
        self._seconds = Histogram(
            "wdist_http_request_duration_seconds", "Time from a request's head to the end of its answer.", route,
            registry=registry, buckets=_SECONDS,
        )  # fmt: skip
        self.connections = Gauge("wdist_http_connections", "Connections that are open.", registry=registry)
        self.cuts = Counter(
            "wdist_http_connections_cut", "Connections that the server ended or turned away.", ("reason",),
            registry=registry,
        )  # fmt: skip
        for reason in CUTS:
            self.cuts.labels(reason)

    def count(self, method: str, route: str, status: int, seconds: float, received_bytes: int) -> None:
        """Count one finished request."""
        method = method if method in _METHODS else _OTHER
        self._requests.labels(method, route, str(status) if status in _STATUSES else "none").inc()
        self._seconds.labels(method, route).observe(seconds)
        self._received.inc(received_bytes)


class JobMetrics(Collector):
    """Queue, attempts, workers and storage, from the tables and so the same on every replica.

    What is summed over jobs is a gauge, not a counter: it falls when a job is deleted, and Prometheus would take a
    counter that falls for one that began again.
    """

    def __init__(self, database: Database, lease_seconds: float) -> None:
        self._database = database
        self._lease_seconds = lease_seconds

    def collect(self) -> Iterator[Metric]:
        kinds = _kinds()
        counts = {(kind, str(status)): 0 for kind in kinds for status in Status}
        sums = {kind: [0.0, 0.0, 0.0] for kind in kinds}
        oldest = dict.fromkeys(kinds, 0.0)
        totals = (func.sum(column) for column in (Job.attempt, Job.failures, DEVICE_SECONDS))
        first = func.min(Job.created_at)
        query = select(Job.kind, Job.status, func.count(), first, *totals).group_by(Job.status, Job.kind)
        with self._database.read() as session:
            now = self._database.now(session)
            for name, status, count, since, *spent in session.execute(query):
                kind = name if name in sums else _OTHER
                counts[kind, status] += count
                sums[kind] = [one + (more or 0.0) for one, more in zip(sums[kind], spent, strict=True)]
                if status == Status.QUEUED:
                    oldest[kind] = max(oldest[kind], now - since)
            # An errand that waits for its time is not late.
            timed = select(Job.kind, func.min(Job.due_at)).where(Job.status == Status.QUEUED, Job.due_at.is_not(None))
            for name, due_at in session.execute(timed.group_by(Job.kind)):
                oldest[name if name in sums else _OTHER] = max(0.0, now - (due_at or now))
            is_fresh = Holder.role == Role.WORKER, Holder.beat_at > now - self._lease_seconds
            fresh = select(func.count(), func.sum(Holder.slots)).where(*is_fresh)
            workers, slots = session.execute(fresh).one()
            sets, stored = session.execute(select(func.count(), func.sum(SampleSet.bytes))).one()
        yield _family("wdist_jobs", "Jobs stored.", counts, "status")
        spent_on = {kind: dict(zip(_SUMS, values, strict=True)) for kind, values in sums.items()}
        for name, text in _SUMS.items():
            yield _family(name, text, {kind: values[name] for kind, values in spent_on.items()})
        waited = "Age of the oldest queued job, or since when the oldest errand has been due; 0 without one."
        yield _family("wdist_queue_oldest_seconds", waited, oldest)
        yield GaugeMetricFamily("wdist_workers", "Workers whose lease is fresh.", workers)
        yield GaugeMetricFamily("wdist_slots", "Jobs that fresh workers can run at once.", slots or 0)
        yield GaugeMetricFamily("wdist_sample_sets", "Sample sets stored.", sets)
        yield GaugeMetricFamily("wdist_stored_bytes", "Bytes of stored sample sets.", stored or 0)


def _kinds() -> list[str]:
    """Values of the label `kind`: the kinds of jobs that this version has, and one for those of another version."""
    return [*sorted(str(kind.__mapper__.polymorphic_identity) for kind in Job.__subclasses__()), _OTHER]


def _family(name: str, text: str, values: Mapping[Any, float], *more_labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=["kind", *more_labels])
    for labels, value in values.items():
        family.add_metric([labels] if isinstance(labels, str) else labels, value)
    return family
