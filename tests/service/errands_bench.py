"""Errands on a real database, with workers without threads, and with real ones."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from stores import Stores
from toy_kind.errand import RING, Ring
from toy_kind.worker import running_worker

from wdist_service.database import Database
from wdist_service.ids import new_id
from wdist_service.keys.service import ensure_tenant
from wdist_service.queue import dispatch
from wdist_service.queue.attempts import Attempts
from wdist_service.queue.errands import Errands
from wdist_service.queue.kinds import Kinds
from wdist_service.queue.records import submit_errands
from wdist_service.settings import Settings
from wdist_service.storage.objects import open_storage
from wdist_service.tables import Job


@dataclass
class Bells:
    settings: Settings
    database: Database
    queue: dispatch.Queue
    environment: dict[str, str]
    heard: list[tuple[str, str]] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.settings.data / "rings"

    def hold(self, name: str = "host/0") -> tuple[Attempts, Errands]:
        """A worker without threads: its lease, and its view of the errands."""
        attempts = Attempts(self.database, self.queue, open_storage(self.settings), new_id("wrk"))
        attempts.leases.declare(name, 1, ["cpu"])
        return attempts, Errands(self.database, self.queue, attempts.worker_id)

    def ring(self, after_seconds: float = 0.0, lane: str | None = None, **payload: Any) -> str:
        with self.database.write() as session:
            given = {"file": str(self.file), **payload}
            job = Ring(id=new_id("ring"), tenant_id="local", payload=given, lane=lane)
            submit_errands(session, [job], after_seconds)
            return job.id

    def row(self, job_id: str) -> Ring:
        with self.database.read() as session:
            return session.get_one(Ring, job_id)

    def due_in(self, job_id: str) -> float:
        with self.database.read() as session:
            due_at = self.row(job_id).due_at
            assert due_at is not None
            return due_at - self.database.now(session)

    def shift(self, seconds: float) -> None:
        """What a step of the clock by `-seconds` does to the times in the table."""
        with self.database.write() as session:
            moved = {"due_at": Job.due_at + seconds, "dated_at": Job.dated_at + seconds}
            session.execute(update(Job).values(**moved))

    def until(self, job_id: str, condition: Callable[[Ring], Any], seconds: float = 60) -> Ring:
        deadline = time.monotonic() + seconds
        while not condition(job := self.row(job_id)):
            assert time.monotonic() < deadline, (self.settings.data / "worker.log").read_text()[-3000:]
            time.sleep(0.02)
        return job

    def rings(self) -> list[tuple[str, int]]:
        """Each (job, attempt) that rang, in order."""
        return [(job_id, int(attempt)) for job_id, attempt, _ in self._lines()]

    def times(self, job_id: str) -> list[float]:
        """When a job rang, by the monotonic clock."""
        return [float(at) for other, _, at in self._lines() if other == job_id]

    def _lines(self) -> list[list[str]]:
        return [line.split() for line in self.file.read_text().splitlines()] if self.file.exists() else []

    def worker(self) -> AbstractContextManager[subprocess.Popen[bytes]]:
        return running_worker(self.settings.data, self.environment)


@pytest.fixture
def bells(tmp_path: Path, stores: Stores) -> Iterator[Bells]:
    quick = {"lease_seconds": 1.0, "beat_seconds": 0.3, "slots": 1, "threads": 1, "spare_trainer": False}
    settings = Settings(data=tmp_path, min_free_bytes=0, **quick, **stores.settings())
    database = Database(settings)
    database.migrate()
    dispatch.migrate(database)
    heard: list[tuple[str, str]] = []
    queue = dispatch.Queue(
        database, Kinds(RING, followers=[lambda _, jobs: heard.extend((job.id, job.status) for job in jobs)])
    )
    with database.write() as session:
        ensure_tenant(session, "local")
    environment = os.environ | settings.environment() | {"PYTHONPATH": str(Path(__file__).parent)}
    yield Bells(settings, database, queue, environment, heard)
    queue.close()
    database.close()
