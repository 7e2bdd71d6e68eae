"""Metrics for Prometheus: this process's requests, and the state of jobs from the tables."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from wdist_service.database import Database
from wdist_service.tables import DEVICE_SECONDS, Estimate, SampleSet, Status, Worker

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
# Each set of label values is a time series that this process keeps for ever: no label may have a value of the caller's.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_STATUSES = frozenset(int(status) for status in HTTPStatus) | {460}
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
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, str(status) if status in _STATUSES else "none").inc()
        self._seconds.labels(method, route).observe(seconds)
        self._received.inc(received_bytes)


class JobMetrics(Collector):
    """Queue, attempts, workers and storage, from the tables and so the same on every replica."""

    def __init__(self, database: Database, lease_seconds: float) -> None:
        self._database = database
        self._lease_seconds = lease_seconds

    def collect(self) -> Iterator[Metric]:
        with self._database.read() as session:
            now = self._database.now(session)
            states = GaugeMetricFamily("wdist_estimates", "Estimates by state.", labels=["status"])
            by_status = dict.fromkeys(Status, 0)
            attempts = failures = seconds = 0.0
            sums = (func.sum(column) for column in (Estimate.attempt, Estimate.failures, DEVICE_SECONDS))
            query = select(Estimate.status, func.count(), *sums).group_by(Estimate.status)
            for status, count, tried, died, spent in session.execute(query):
                by_status[Status(status)] = count
                attempts, failures, seconds = attempts + tried, failures + died, seconds + (spent or 0.0)
            queued = select(func.min(Estimate.created_at)).where(Estimate.status == Status.QUEUED)
            oldest = session.execute(queued).scalar_one()
            fresh = select(func.count(), func.sum(Worker.slots)).where(Worker.beat_at > now - self._lease_seconds)
            workers, slots = session.execute(fresh).one()
            sets, stored = session.execute(select(func.count(), func.sum(SampleSet.bytes))).one()
        for state, count in by_status.items():
            states.add_metric([state], count)
        waiting = 0.0 if oldest is None else max(0.0, now - oldest)
        yield states
        yield GaugeMetricFamily("wdist_queue_oldest_seconds", "Age of the oldest queued estimate.", waiting)
        yield CounterMetricFamily("wdist_attempts", "Attempts begun or queued.", attempts)
        died_help = "Attempts that ended with the death of their trainer."
        yield CounterMetricFamily("wdist_trainer_deaths", died_help, failures)
        yield CounterMetricFamily("wdist_job_seconds", "Seconds of devices that ended estimates took.", seconds)
        yield GaugeMetricFamily("wdist_workers", "Workers whose lease is fresh.", workers)
        yield GaugeMetricFamily("wdist_slots", "Estimates that fresh workers can train at once.", slots or 0)
        yield GaugeMetricFamily("wdist_sample_sets", "Sample sets stored.", sets)
        yield GaugeMetricFamily("wdist_stored_bytes", "Bytes of stored sample sets.", stored or 0)
