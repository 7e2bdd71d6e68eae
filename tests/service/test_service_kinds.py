"""A further kind of job is a job.py, a runner and one registration; the rest is the same for every kind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from stores import Stores
from toy_kind.job import COUNT, Count
from toy_kind.worker import running_worker

from wdist_service.database import Database
from wdist_service.ids import new_id
from wdist_service.keys.service import ensure_tenant
from wdist_service.queue import dispatch, owners
from wdist_service.queue.kinds import Kinds
from wdist_service.settings import Settings
from wdist_service.storage.objects import open_storage
from wdist_service.storage.references import discard_unused
from wdist_service.tables import Artifact, Event, Job


@dataclass
class Bench:
    data: Path
    environment: dict[str, str]
    database: Database
    queue: dispatch.Queue

    def submit(self, waits_for: str | None = None, **payload: Any) -> str:
        with self.database.write() as session:
            job = Count(id=new_id("cnt"), tenant_id="local", payload=payload, waits_for=waits_for)
            owners.submit(session, self.queue, [job])
            return job.id

    def get(self, job_id: str) -> Count:
        with self.database.read() as session:
            return session.get_one(Count, job_id)

    def until(self, job_id: str, condition: Callable[[Count], Any], seconds: float = 60) -> Count:
        deadline = time.monotonic() + seconds
        while not condition(job := self.get(job_id)):
            log = (self.data / "worker.log").read_text()[-3000:]
            assert time.monotonic() < deadline, f"{job.status} {job.progress} {job.error}; log: {log}"
            time.sleep(0.05)
        return job

    def until_done(self, job_id: str) -> Count:
        return self.until(job_id, lambda job: job.finished_at is not None)

    def story(self, job_id: str) -> list[str]:
        with self.database.read() as session:
            events = session.execute(select(Event).where(Event.job_id == job_id).order_by(Event.id)).scalars()
            return [event.data["status"] for event in events if event.type == "status"]

    def worker(self) -> AbstractContextManager[subprocess.Popen[bytes]]:
        return running_worker(self.data, self.environment)


@pytest.fixture
def bench(tmp_path: Path, stores: Stores) -> Iterator[Bench]:
    given = {f"WDIST_SERVER_{name.upper()}": str(value) for name, value in stores.settings().items()}
    quick = {"LEASE_SECONDS": "1", "BEAT_SECONDS": "0.3", "SLOTS": "1", "THREADS": "1", "SPARE_TRAINER": "false"}
    given |= {f"WDIST_SERVER_{name}": value for name, value in quick.items()}
    database = Database(Settings(data=tmp_path, **stores.settings()))
    database.migrate()
    dispatch.migrate(database)
    queue = dispatch.Queue(database, Kinds(COUNT))
    with database.write() as session:
        ensure_tenant(session, "local")
    yield Bench(tmp_path, os.environ | given | {"PYTHONPATH": str(Path(__file__).parent)}, database, queue)
    queue.close()
    database.close()


def test_a_further_kind_succeeds_fails_and_is_canceled(bench: Bench, stores: Stores) -> None:
    counted, bad, endless = bench.submit(to=5), bench.submit(to=5, bad=2), bench.submit(to=100_000)
    waiting = bench.submit(to=5)
    with bench.worker():
        done = bench.until_done(counted)
        assert (done.status, done.attempt, done.error) == ("succeeded", 1, None)
        assert done.payload == {"to": 5, "began": 0}
        assert bench.story(counted) == ["queued", "running", "succeeded"]
        failed = bench.until_done(bad)
        assert (failed.status, failed.error) == ("failed", {"type": "sample_error", "message": "2 is a bad number"})
        bench.until(endless, lambda job: job.progress)
        for job_id in (endless, waiting):
            with bench.database.write() as session:
                was_queued = owners.cancel(session, bench.queue, session.get_one(Job, job_id))
            assert was_queued == (job_id == waiting)
        assert bench.until_done(endless).status == "canceled"
        assert bench.story(endless) == ["queued", "running", "canceling", "canceled"]
        assert bench.story(waiting) == ["queued", "canceled"]
    storage = open_storage(Settings(data=bench.data, **stores.settings()))
    with bench.database.write() as session:
        (file,) = session.execute(select(Artifact).where(Artifact.job_id == counted)).scalars()
        assert storage.path(file.sha256).read_text() == "0 1 2 3 4"
        hashes = owners.delete_jobs(session, bench.queue, [counted, bad, endless, waiting])
    assert hashes == [file.sha256]
    discard_unused(bench.database, storage, hashes)
    with bench.database.read() as session:
        assert [session.execute(select(table)).first() for table in (Job, Event, Artifact)] == [None] * 3


def test_a_further_kind_goes_on_after_its_host_was_killed(bench: Bench) -> None:
    job_id = bench.submit(to=40)
    with bench.worker() as first:
        bench.until(job_id, lambda job: job.progress and job.progress["number"] >= 5)
        with bench.worker():
            os.kill(first.pid, signal.SIGKILL)
            done = bench.until_done(job_id)
    assert (done.status, done.attempt) == ("succeeded", 2)
    assert done.payload is not None
    assert done.payload["began"] >= 5
    assert bench.story(job_id) == ["queued", "running", "queued", "running", "succeeded"]


@pytest.mark.slow
def test_a_chain_goes_on_in_order_after_its_host_was_killed(bench: Bench) -> None:
    """With slots for two of them at once: it is the chain that keeps them apart."""
    bench.environment["WDIST_SERVER_SLOTS"] = "2"
    first = bench.submit(to=30)
    second = bench.submit(first, to=5, bad=2)
    third = bench.submit(second, to=5)
    fourth = bench.submit(third, to=5)
    with bench.worker() as worker:
        bench.until(first, lambda job: job.progress and job.progress["number"] >= 5)
        with bench.database.write() as session:
            assert not owners.cancel(session, bench.queue, session.get_one(Job, third)), "it has no turn yet"
        with bench.worker():
            os.kill(worker.pid, signal.SIGKILL)
            bench.until_done(fourth)
    with bench.database.read() as session:
        said = session.execute(select(Event.job_id, Event.data).where(Event.type == "status").order_by(Event.id)).all()
    story = [(job_id, data["status"]) for job_id, data in said if data["status"] != "queued"]
    assert story == [
        (first, "running"), (third, "canceled"), (first, "running"), (first, "succeeded"),
        (second, "running"), (second, "failed"), (fourth, "running"), (fourth, "succeeded"),
    ]  # fmt: skip
