"""Workers without processes on a real database: who may claim and write what, and when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from service_process import normal, npy
from sqlalchemy import select, update
from stores import Stores

from wdist_service.database import Database
from wdist_service.estimates.service import Estimates, Submission
from wdist_service.ids import new_id
from wdist_service.jobs import KINDS
from wdist_service.keys.quotas import Quota
from wdist_service.keys.service import ensure_tenant
from wdist_service.queue import dispatch
from wdist_service.queue.attempts import Attempts
from wdist_service.queue.transitions import Claim
from wdist_service.sample_sets.service import NpyReceiver
from wdist_service.settings import Settings
from wdist_service.storage.files import Storage
from wdist_service.storage.objects import open_storage
from wdist_service.tables import Estimate, Event, Holder

LEASE_SECONDS = 10.0


@dataclass
class Bench:
    settings: Settings
    database: Database
    queue: dispatch.Queue
    storage: Storage
    jobs: Estimates
    sets: tuple[str, str]

    def worker(self, name: str) -> Attempts:
        attempts = Attempts(self.database, self.queue, self.storage, new_id("wrk"))
        attempts.leases.declare(name, 1, ["cpu"])
        return attempts

    def submit(self, tenant: str = "local", **options: str) -> str:
        estimate, _ = self.jobs.submit(tenant, Submission(*self.sets, options={}, **options), Quota())
        return estimate.id

    def batch(self, size: int, cost_seconds: float = 1.0) -> list[str]:
        """Ids of so many estimates of one batch."""
        name = new_id("batch")
        given = [
            Submission(*self.sets, options={}, batch_id=name, position=k, cost_seconds=cost_seconds)
            for k in range(size)
        ]
        with self.database.write() as session:
            self.jobs.submit_all(session, "local", given)
            query = select(Estimate.id).where(Estimate.batch_id == name).order_by(Estimate.position)
            return list(session.execute(query).scalars())

    def row(self, estimate: str) -> Estimate:
        with self.database.read() as session:
            return session.get_one(Estimate, estimate)

    def statuses(self, estimate: str) -> list[tuple[str, int]]:
        with self.database.read() as session:
            query = select(Event.data).where(Event.job_id == estimate, Event.type == "status").order_by(Event.id)
            return [(data["status"], data["attempt"]) for data in session.execute(query).scalars()]

    def silence(self, worker: Attempts) -> None:
        """Let a worker's lease run out."""
        with self.database.write() as session:
            late = self.database.now(session) - LEASE_SECONDS - 1
            session.execute(update(Holder).where(Holder.id == worker.worker_id).values(beat_at=late))


def claim_one(worker: Attempts, estimate_id: str, attempt: int) -> Claim | None:
    """The claim of one attempt, None where it cannot be had."""
    return next(iter(worker.claim(dispatch.Turn(estimate_id, attempt), 1)), None)


@pytest.fixture
def bench(tmp_path: Path, stores: Stores) -> Iterator[Bench]:
    settings = Settings(data=tmp_path, min_free_bytes=0, **stores.settings())
    database, storage = Database(settings), open_storage(settings)
    database.migrate()
    dispatch.migrate(database)
    queue = dispatch.Queue(database, KINDS)
    sets = []
    with database.write() as session:
        ensure_tenant(session, "local")
        for seed in (1, 2):
            with storage.incoming() as file:
                receiver = NpyReceiver(file)
                receiver.feed(npy(normal(seed)))
                row = receiver.finish("local", None)
                storage.place(file)
                session.add(row)
                sets.append(row.id)
    yield Bench(settings, database, queue, storage, Estimates(database, queue, storage), (sets[0], sets[1]))
    queue.close()
    database.close()
