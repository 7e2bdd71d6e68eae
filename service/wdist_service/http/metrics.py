"""Metrics in Prometheus' text format 0.0.4: this process's requests, and the state of jobs from the tables."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping

from sqlalchemy import func, select

from wdist_service.database import Database
from wdist_service.tables import DEVICE_SECONDS, Estimate, SampleSet, Status, Worker

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
Labels = tuple[tuple[str, str], ...]


class HttpMetrics:
    """Requests by method, route and status. The route is the template, not the path: ids must not become labels."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: defaultdict[Labels, int] = defaultdict(int)
        self._seconds: defaultdict[Labels, float] = defaultdict(float)
        self._buckets: defaultdict[Labels, list[int]] = defaultdict(lambda: [0] * len(_SECONDS))
        self._received = 0

    def count(self, method: str, route: str, status: int, seconds: float, received_bytes: int) -> None:
        """Count one finished request."""
        where = (("method", method), ("route", route))
        with self._lock:
            self._requests[(*where, ("status", str(status)))] += 1
            self._seconds[where] += seconds
            for position, limit in enumerate(_SECONDS):
                self._buckets[where][position] += seconds <= limit
            self._received += received_bytes

    def lines(self) -> Iterable[str]:
        """The metrics as lines of text."""
        with self._lock:
            yield from _family("wdist_http_requests_total", "counter", "Requests answered.", self._requests)
            yield from _family("wdist_http_received_bytes_total", "counter", "Bytes of bodies.", {(): self._received})
            yield "# HELP wdist_http_request_seconds Time from a request's head to the end of its answer."
            yield "# TYPE wdist_http_request_seconds histogram"
            for where, counts in self._buckets.items():
                total = sum(n for labels, n in self._requests.items() if labels[:2] == where)
                limits = [*map(str, _SECONDS), "+Inf"]
                for limit, count in zip(limits, [*counts, total], strict=True):
                    yield _line("wdist_http_request_seconds_bucket", (*where, ("le", limit)), count)
                yield _line("wdist_http_request_seconds_sum", where, self._seconds[where])
                yield _line("wdist_http_request_seconds_count", where, total)


def job_lines(database: Database, lease_seconds: float) -> Iterable[str]:
    """Metrics of queue, attempts, workers and storage, from the tables and so the same on every replica."""
    with database.read() as session:
        now = database.now(session)
        by_status = dict.fromkeys(Status, 0)
        attempts = failures = seconds = 0.0
        query = select(
            Estimate.status,
            func.count(),
            func.sum(Estimate.attempt),
            func.sum(Estimate.failures),
            func.sum(DEVICE_SECONDS),
        ).group_by(Estimate.status)
        for status, count, tried, died, spent in session.execute(query):
            by_status[Status(status)] = count
            attempts, failures, seconds = attempts + tried, failures + died, seconds + (spent or 0.0)
        oldest = session.execute(
            select(func.min(Estimate.created_at)).where(Estimate.status == Status.QUEUED)
        ).scalar_one()
        fresh = select(func.count(), func.sum(Worker.slots)).where(Worker.beat_at > now - lease_seconds)
        workers, slots = session.execute(fresh).one()
        sets, stored = session.execute(select(func.count(), func.sum(SampleSet.bytes))).one()
    states: dict[Labels, float] = {(("status", str(status)),): count for status, count in by_status.items()}
    yield from _family("wdist_estimates", "gauge", "Estimates by state.", states)
    waiting = 0.0 if oldest is None else max(0.0, now - oldest)
    single = [
        ("wdist_queue_oldest_seconds", "gauge", "Age of the oldest queued estimate.", waiting),
        ("wdist_attempts_total", "counter", "Attempts begun or queued.", attempts),
        ("wdist_trainer_deaths_total", "counter", "Attempts that ended with the death of their trainer.", failures),
        ("wdist_job_seconds_total", "counter", "Seconds of devices that ended estimates took.", seconds),
        ("wdist_workers", "gauge", "Workers whose lease is fresh.", workers),
        ("wdist_slots", "gauge", "Estimates that fresh workers can train at once.", slots or 0),
        ("wdist_sample_sets", "gauge", "Sample sets stored.", sets),
        ("wdist_stored_bytes", "gauge", "Bytes of stored sample sets.", stored or 0),
    ]
    for name, kind, text, value in single:
        yield from _family(name, kind, text, {(): value})


def _family(name: str, kind: str, text: str, values: Mapping[Labels, float]) -> Iterable[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in values.items():
        yield _line(name, labels, value)


def _line(name: str, labels: Labels, value: float) -> str:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
    return f"{name}{{{inside}}} {value:.15g}" if inside else f"{name} {value:.15g}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
