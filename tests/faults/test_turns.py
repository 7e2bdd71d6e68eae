"""No job is left without a turn, its place in a chain or its next try, whatever dies when; and each end is told once.

The seed of a failure is printed.

WDIST_TURNS_SEED=7 pytest tests/faults/test_turns.py
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from service_process import normal, npy
from sqlalchemy import func, select
from stores import Stores, rows
from toy_kind.errand import Ring
from toy_kind.job import Count
from toy_kind.kinds import KINDS, NOTE

from wdist_service.database import Database, retried_after_races
from wdist_service.estimates.service import Estimates, Submission
from wdist_service.ids import new_id
from wdist_service.keys.quotas import Quota
from wdist_service.keys.service import ensure_tenant
from wdist_service.queue import dispatch, owners
from wdist_service.queue.ends import last_in_chain
from wdist_service.queue.fairness import PRIORITIES, READY, requeue_stranded
from wdist_service.queue.records import submit_errands
from wdist_service.sample_sets.service import NpyReceiver
from wdist_service.settings import Settings
from wdist_service.storage.objects import open_storage
from wdist_service.tables import ACTIVE, Estimate, Event, Job, Property, Status

TAKER = Path(__file__).parents[1] / "service" / "turn_taker.py"
TENANTS = ("local", "second", "third")


class Crowd:
    """Tenants that submit and cancel, and workers without trainers that are killed, frozen and started again."""

    def __init__(self, settings: Settings, seed: int) -> None:
        self.dice = random.Random(seed)
        self.settings = settings
        self.database, self.storage = Database(settings), open_storage(settings)
        self.database.migrate()
        dispatch.migrate(self.database)
        self.queue = dispatch.Queue(self.database, KINDS)
        self.estimates = Estimates(self.database, self.queue, self.storage)
        self.sets = {tenant: (self._set(tenant, 1), self._set(tenant, 2)) for tenant in TENANTS}
        self.workers: list[subprocess.Popen[str]] = []
        self.submitted: set[str] = set()

    def _set(self, tenant: str, seed: int) -> str:
        with self.database.write() as session, self.storage.incoming() as file:
            ensure_tenant(session, tenant)
            receiver = NpyReceiver(file)
            receiver.feed(npy(normal(seed)))
            row = receiver.finish(tenant, None)
            self.storage.place(file)
            session.add(row)
            return row.id

    def start_any_worker(self) -> None:
        # Some have the name of a worker that lived before, as after a restart; the leases of others run out.
        name = f"host/{self.dice.randrange(4)}-{len(self.workers) % 2}"
        self.start_worker(name, slots=self.dice.choice([1, 1, 3]), seconds=0.05)

    def start_worker(self, name: str, *, slots: int, seconds: float) -> None:
        command = [sys.executable, str(TAKER), name, str(slots), str(seconds)]
        environment = {**os.environ, **self.settings.environment(), "OMP_NUM_THREADS": "1"}
        self.workers.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))

    def submit(self) -> None:
        self.dice.choices([self.submit_estimates, self.extend_chain, self.submit_errands], [4, 2, 1])[0]()

    def extend_chain(self) -> None:
        """Jobs that run one after the other, behind those of the tenant's chain that have not ended."""
        tenant, priority = self.dice.choice(TENANTS), self.dice.choice(PRIORITIES)
        for _ in range(self.dice.randrange(1, 6)):
            with self.database.write() as session:
                last = last_in_chain(session, select(Count.id).where(Count.tenant_id == tenant, Count.kind == "count"))
                job = Count(
                    id=new_id("cnt"), tenant_id=tenant, payload={"to": 1}, priority=priority, waits_for=last
                )  # fmt: skip
                owners.submit(session, self.queue, [job])
            self.submitted.add(job.id)

    def submit_errands(self) -> None:
        tenant = self.dice.choice(TENANTS)
        for _ in range(self.dice.randrange(1, 5)):
            given = {"file": os.devnull, "seconds": self.dice.uniform(0.0, 0.1), "fails": self.dice.randrange(3)}
            given["again_after"] = self.dice.uniform(0.0, 0.5)
            job = Ring(id=new_id("ring"), tenant_id=tenant, payload=given, lane=self.dice.choice(["a", "b", "c"]))
            with self.database.write() as session:
                submit_errands(session, [job], self.dice.uniform(0.0, 1.0))
            self.submitted.add(job.id)

    def submit_estimates(self) -> None:
        tenant, priority = self.dice.choice(TENANTS), self.dice.choice(PRIORITIES)
        if self.dice.random() < 0.7:
            given = Submission(*self.sets[tenant], options={}, priority=priority)
            self.estimates.submit(tenant, given, Quota())
            return
        batch = new_id("batch")
        many = [
            Submission(*self.sets[tenant], options={}, priority=priority, batch_id=batch, position=k, cost_seconds=1.0)
            for k in range(self.dice.randrange(2, 9))
        ]
        with self.database.write() as session:
            self.estimates.submit_all(session, tenant, many)

    def cancel(self) -> None:
        with self.database.read() as session:
            active = session.execute(select(Job.id, Job.tenant_id).where(Job.status.in_(ACTIVE))).all()
        if active:
            job_id, tenant = self.dice.choice(active)
            if job_id in self.submitted:
                self.withdraw(job_id, is_deleted=self.dice.random() < 0.5)
                return
            self.estimates.cancel(tenant, job_id)
            if self.dice.random() < 0.5 and self.status(job_id) == Status.CANCELED:
                self.estimates.delete(tenant, job_id)

    @retried_after_races
    def withdraw(self, job_id: str, *, is_deleted: bool) -> None:
        with self.database.write() as session:
            query = select(Job).where(Job.id == job_id).with_for_update(of=Job)
            turns = owners.cancel_all(session, self.queue, list(session.execute(query).scalars()))
            if is_deleted:
                owners.delete_jobs(session, self.queue, [job_id])
        self.queue.withdraw(turns)

    def status(self, job_id: str) -> str:
        with self.database.read() as session:
            return session.execute(select(Job.status).where(Job.id == job_id)).scalar_one()

    def strike(self) -> None:
        worker = self.dice.choice(self.workers)
        if self.dice.random() < 0.8:
            self.workers.remove(worker)
            end(worker)
            self.start_any_worker()
        else:
            worker.send_signal(signal.SIGSTOP)
            time.sleep(self.dice.uniform(0.0, 0.5))
            worker.send_signal(signal.SIGCONT)

    def lacking(self) -> dict[str, int]:
        """Tenants with more jobs that are ready than turns, in the queue or in somebody's hands."""
        table = "workflow_status" if self.database.is_sqlite else "dbos.workflow_status"
        with self.database.read() as session:  # the jobs first: what is added later adds a turn too
            query = select(Job.tenant_id, func.count()).where(READY).group_by(Job.tenant_id)
            waiting = session.execute(query).all()
        query = f"SELECT authenticated_user FROM {table} WHERE status IN ('ENQUEUED', 'PENDING')"
        turns = Counter(user for (user,) in rows(self.settings.url, query))
        return {tenant: count - turns[tenant] for tenant, count in waiting if count > turns[tenant]}

    def unfinished(self) -> int:
        with self.database.read() as session:
            return session.execute(select(func.count()).select_from(Job).where(Job.status.in_(ACTIVE))).scalar_one()

    def out_of_order(self) -> list[tuple[str, str]]:
        """Neighbours in a tenant's chain of which the second began before the first had ended."""
        said: dict[str, dict[str, list[tuple[int, str]]]] = {tenant: {} for tenant in TENANTS}
        with self.database.read() as session:
            query = select(Job.tenant_id, Job.id, Event.id, Event.data).join(Event, Event.job_id == Job.id)
            counts = query.where(Job.kind == "count", Event.type == "status").order_by(Job.id, Event.id)
            for tenant, job_id, number, data in session.execute(counts):
                said[tenant].setdefault(job_id, []).append((number, data["status"]))
        found = []
        for chain in said.values():
            for (one, first), (other, second) in pairwise(chain.items()):
                begun = [number for number, status in second if status == Status.RUNNING]
                if begun and begun[0] < first[-1][0]:
                    found.append((one, other))
        return found

    def ends_told(self) -> set[str]:
        with self.database.read() as session:
            query = select(Property.name).where(Property.name.startswith(NOTE))
            return {name.removeprefix(NOTE) for name in session.execute(query).scalars()}

    def close(self) -> None:
        for worker in self.workers:
            end(worker)
        self.queue.close()
        self.database.close()


def end(worker: subprocess.Popen[str]) -> None:
    worker.kill()
    worker.wait()
    assert worker.stdout
    worker.stdout.close()


@pytest.fixture
def crowd(tmp_path: Path, stores: Stores) -> Iterator[Crowd]:
    seed = int(os.environ.get("WDIST_TURNS_SEED", random.SystemRandom().randrange(1 << 32)))
    sys.stdout.write(f"\nWDIST_TURNS_SEED={seed}\n")
    times = {"beat_seconds": 0.3, "lease_seconds": 1.0, "max_worker_deaths": 1000}
    made = Crowd(Settings(data=tmp_path, min_free_bytes=0, **times, **stores.settings()), seed)
    yield made
    made.close()


def run(crowd: Crowd, rounds: int) -> None:
    for _ in range(2):
        crowd.start_any_worker()
    for number in range(rounds):
        for _ in range(crowd.dice.randrange(1, 12)):
            crowd.submit()
        if crowd.dice.random() < 0.5:
            crowd.cancel()
        time.sleep(crowd.dice.uniform(0.0, 0.5))
        if number % 3 == 2:
            crowd.strike()
    deadline = time.monotonic() + 60 + 2 * rounds
    while (left := crowd.unfinished()) > 0:
        assert time.monotonic() < deadline, f"{left} jobs are stuck; turns are lacking: {crowd.lacking()}"
        time.sleep(0.2)
    with crowd.database.read() as session:
        states = Counter(session.execute(select(Job.status)).scalars())
        assert states.keys() <= {Status.SUCCEEDED, Status.CANCELED}
        assert states[Status.SUCCEEDED] > rounds
        ended = set(session.execute(select(Job.id)).scalars())
    assert crowd.out_of_order() == []
    told = crowd.ends_told()  # also those of deleted jobs; a second end would have collided with the first
    assert ended | crowd.submitted <= told


def test_every_job_gets_a_turn_while_workers_die(crowd: Crowd) -> None:
    """Nothing here gives stranded jobs new turns."""
    run(crowd, rounds=9)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_job_gets_a_turn_in_many_rounds(crowd: Crowd) -> None:
    run(crowd, rounds=200)


def test_stranded_jobs_get_turns_again(crowd: Crowd) -> None:
    """The queue lost its entries, as when it is restored from another moment than the jobs."""
    for _ in range(30):
        crowd.submit()
    assert requeue_stranded(crowd.database, crowd.queue) == 0
    table = "workflow_status" if crowd.database.is_sqlite else "dbos.workflow_status"
    with crowd.database.write() as session:
        ids = session.execute(select(Estimate.id)).scalars().all()
        for job_id in ids[::2]:
            session.connection().exec_driver_sql(f"DELETE FROM {table} WHERE workflow_uuid LIKE '{job_id}:%%'")
        for job_id in ids[1::4]:  # delivered to a worker that never ran them
            session.connection().exec_driver_sql(
                f"UPDATE {table} SET status = 'PENDING', executor_id = 'nobody' WHERE workflow_uuid LIKE '{job_id}:%%'"
            )
    lost = len(ids[::2]) + len(ids[1::4])
    assert requeue_stranded(crowd.database, crowd.queue) == lost
    assert requeue_stranded(crowd.database, crowd.queue) == 0
    crowd.start_any_worker()
    deadline = time.monotonic() + 60
    while crowd.unfinished():
        assert time.monotonic() < deadline
        time.sleep(0.1)
