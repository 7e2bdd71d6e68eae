"""Metrics for Prometheus: this process's requests, and the state of jobs from the tables."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from wdist_service.database import Database
from wdist_service.tables import DEVICE_SECONDS, Job, SampleSet, Status, Worker

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
disable_created_metrics()  # type: ignore[no-untyped-call]  # the text format has no place for `_created`: each would be one more gauge


class HttpMetrics:
    """Requests by method, route and status. The route is the template, not the path: ids must not become labels."""

    def __init__(self, registry: CollectorRegistry) -> None:
        route = ("method", "route")
        self._requests = Counter("wdist_http_requests", "Requests answered.", (*route, "status"), registry=registry)
        self._received = Counter("wdist_http_received_bytes", "Bytes of bodies.", registry=registry)
        self._seconds = Histogram(
            "wdist_http_request_seconds", "Time from a request's head to the end of its answer.", route,
            registry=registry, buckets=_SECONDS,
        )  # fmt: skip

    def count(self, method: str, route: str, status: int, seconds: float, received_bytes: int) -> None:
        """Count one finished request."""
        self._requests.labels(method, route, status).inc()
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
            sums = (func.sum(column) for column in (Job.attempt, Job.failures, DEVICE_SECONDS))
            query = select(Job.kind, Job.status, func.count(), *sums).group_by(Job.status, Job.kind)
            for kind, status, count, tried, died, spent in session.execute(query):
                if kind == "estimate":
                    by_status[Status(status)] = count
                attempts, failures, seconds = attempts + tried, failures + died, seconds + (spent or 0.0)
            queued = select(func.min(Job.created_at)).where(Job.status == Status.QUEUED)
            oldest = session.execute(queued).scalar_one()
            fresh = select(func.count(), func.sum(Worker.slots)).where(Worker.beat_at > now - self._lease_seconds)
            workers, slots = session.execute(fresh).one()
            sets, stored = session.execute(select(func.count(), func.sum(SampleSet.bytes))).one()
        for state, count in by_status.items():
            states.add_metric([state], count)
        waiting = 0.0 if oldest is None else max(0.0, now - oldest)
        yield states
        yield GaugeMetricFamily("wdist_queue_oldest_seconds", "Age of the oldest queued job.", waiting)
        yield CounterMetricFamily("wdist_attempts", "Attempts begun or queued.", attempts)
        died_help = "Attempts that ended with the death of their trainer."
        yield CounterMetricFamily("wdist_trainer_deaths", died_help, failures)
        yield CounterMetricFamily("wdist_job_seconds", "Seconds of devices that ended jobs took.", seconds)
        yield GaugeMetricFamily("wdist_workers", "Workers whose lease is fresh.", workers)
        yield GaugeMetricFamily("wdist_slots", "Jobs that fresh workers can run at once.", slots or 0)
        yield GaugeMetricFamily("wdist_sample_sets", "Sample sets stored.", sets)
        yield GaugeMetricFamily("wdist_stored_bytes", "Bytes of stored sample sets.", stored or 0)
