"""Jobs that wait for other jobs, and what follows the end of a job on every path; without processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, select, text, update
from sqlalchemy.orm import Session
from stores import Stores
from toy_kind.job import COUNT, Count

from wdist_service.database import Database, retried_after_races
from wdist_service.ids import new_id
from wdist_service.keys.service import ensure_tenant
from wdist_service.queue import dispatch, owners
from wdist_service.queue.attempts import Attempts, Finished
from wdist_service.queue.ends import last_in_chain
from wdist_service.queue.fairness import requeue_stranded
from wdist_service.queue.kinds import Kinds
from wdist_service.settings import Settings
from wdist_service.storage.objects import open_storage
from wdist_service.tables import Event, Job

DONE = Finished({"began": 0}, {})
BAD = {"type": "sample_error", "message": "no"}


@dataclass
class Lanes:
    settings: Settings
    database: Database
    queue: dispatch.Queue
    heard: list[tuple[str, str]] = field(default_factory=list)

    def worker(self, name: str = "host/0") -> Attempts:
        worker = Attempts(self.database, self.queue, open_storage(self.settings), new_id("wrk"))
        worker.leases.declare(name, 1, ["cpu"])
        return worker

    def submit(self, waits_for: str | None = None, tenant: str = "local", **more: Any) -> str:
        with self.database.write() as session:
            ensure_tenant(session, tenant)
            job = Count(id=new_id("cnt"), tenant_id=tenant, payload={"to": 1}, waits_for=waits_for, **more)
            owners.submit(session, self.queue, [job])
            return job.id

    def chain(self, length: int) -> list[str]:
        ids: list[str] = []
        for _ in range(length):
            ids.append(self.submit(ids[-1] if ids else None))
        return ids

    @retried_after_races
    def join(self) -> str:
        """Submit a job behind all others, as those of a monitor are, under a lock that nobody else takes here."""
        with self.database.write() as session:
            last = last_in_chain(session, select(Count.id).where(Count.kind == "count"))
            job = Count(id=new_id("cnt"), tenant_id="local", payload={"to": 1}, waits_for=last)
            owners.submit(session, self.queue, [job])
            return job.id

    @retried_after_races
    def cancel(self, *ids: str) -> None:
        with self.database.write() as session:
            query = select(Job).where(Job.id.in_(ids)).order_by(Job.id).with_for_update(of=Job)
            withdrawn = owners.cancel_all(session, self.queue, list(session.execute(query).scalars()))
        self.queue.withdraw(withdrawn)

    @retried_after_races
    def delete(self, *ids: str) -> None:
        with self.database.write() as session:
            owners.delete_jobs(session, self.queue, ids)

    def turns(self) -> int:
        with self.database.read() as session:
            return sum(self.queue.count_turns(session).values())

    def row(self, job_id: str) -> Count:
        with self.database.read() as session:
            return session.get_one(Count, job_id)

    def next(self, worker: Attempts) -> str | None:
        """Claim what a turn of the tenant gives."""
        claims = worker.claim(dispatch.Turn("cnt_none", 1, "local"), 1)
        return claims[0].job_id if claims else None


@pytest.fixture
def lanes(tmp_path: Path, stores: Stores) -> Iterator[Lanes]:
    settings = Settings(data=tmp_path, min_free_bytes=0, **stores.settings())
    database = Database(settings)
    database.migrate()
    dispatch.migrate(database)
    heard: list[tuple[str, str]] = []
    kinds = Kinds(COUNT, followers=[lambda _session, jobs: heard.extend((job.id, job.status) for job in jobs)])
    queue = dispatch.Queue(database, kinds)
    with database.write() as session:
        ensure_tenant(session, "local")
    yield Lanes(settings, database, queue, heard)
    queue.close()
    database.close()


def test_a_chain_runs_one_after_the_other(lanes: Lanes) -> None:
    ids, worker = lanes.chain(3), lanes.worker()
    assert lanes.turns() == 1
    for job_id in ids:
        assert lanes.next(worker) == job_id
        assert lanes.next(worker) is None, "the next one waits for it"
        assert worker.succeed(job_id, 1, DONE)
    assert [lanes.row(job_id).status for job_id in ids] == ["succeeded"] * 3
    assert lanes.turns() == 3, "one for each; a real consumer uses them up"


ENDS: dict[str, Callable[[Lanes, Attempts, str], object]] = {
    "succeeded": lambda lanes, worker, job: worker.succeed(job, 1, DONE),
    "failed": lambda lanes, worker, job: worker.fail(job, 1, BAD),
    "canceled by its trainer": lambda lanes, worker, job: (lanes.cancel(job), worker.stopped(job, 1)),
    "canceled as it succeeded": lambda lanes, worker, job: (lanes.cancel(job), worker.succeed(job, 1, DONE)),
    "canceled as it was handed over": lambda lanes, worker, job: (lanes.cancel(job), worker.hand_over(job, 1)),
    "killed its trainer": lambda lanes, worker, job: worker.died(job, 1, "it was killed", 1),
    "killed its worker": lambda lanes, worker, job: (worker.leases.leave(), lanes.worker("heir").take_over(10, cap=1)),
    "deleted while it ran": lambda lanes, worker, job: lanes.delete(job),
}
HOW = {"succeeded": "succeeded", "failed": "failed", "killed its trainer": "failed", "killed its worker": "failed"}


@pytest.mark.parametrize("end", ENDS)
def test_every_end_releases_who_waits_and_is_heard_of_once(lanes: Lanes, end: str) -> None:
    first, second = lanes.chain(2)
    worker = lanes.worker()
    assert lanes.next(worker) == first
    ENDS[end](lanes, worker, first)
    assert lanes.heard == [(first, HOW.get(end, "canceled"))]
    assert lanes.row(second).waits_for is None
    assert lanes.next(lanes.worker("other")) == second
    assert requeue_stranded(lanes.database, lanes.queue) == 0


def test_a_queued_job_that_is_canceled_releases_who_waits(lanes: Lanes) -> None:
    first, second = lanes.chain(2)
    lanes.cancel(first)
    assert lanes.heard == [(first, "canceled")]
    assert lanes.turns() == 1, "its own turn is withdrawn"
    assert lanes.next(lanes.worker()) == second


def test_a_job_that_cannot_be_run_releases_who_waits_when_it_is_claimed(lanes: Lanes) -> None:
    first, second = lanes.chain(2)
    with lanes.database.write() as session:
        session.execute(update(Job).where(Job.id == first).values(payload={"broken": True}))
    assert lanes.next(lanes.worker()) == second, "the same turn goes to it"
    assert lanes.heard == [(first, "failed")]


@pytest.mark.parametrize("leave", ["cancel", "delete"])
def test_a_member_that_leaves_passes_its_place_on(lanes: Lanes, leave: str) -> None:
    ids, worker = lanes.chain(5), lanes.worker()
    assert lanes.next(worker) == ids[0]
    getattr(lanes, leave)(ids[1], ids[2])  # two neighbours at once
    getattr(lanes, leave)(ids[4])
    assert lanes.row(ids[3]).waits_for == ids[0]
    assert lanes.next(worker) is None, "the first one is still running"
    worker.succeed(ids[0], 1, DONE)
    assert lanes.next(worker) == ids[3]


def test_a_whole_chain_may_end_at_once(lanes: Lanes) -> None:
    ids = lanes.chain(4)
    last = lanes.submit(ids[-1])
    lanes.cancel(*ids)
    assert sorted(lanes.heard) == [(job_id, "canceled") for job_id in ids]
    assert lanes.turns() == 1
    assert lanes.next(lanes.worker()) == last


def test_a_job_does_not_wait_for_one_that_has_ended_or_is_gone(lanes: Lanes) -> None:
    first, worker = lanes.submit(), lanes.worker()
    lanes.next(worker)
    worker.succeed(first, 1, DONE)
    second = lanes.submit(first)
    third = lanes.submit("cnt_gone")
    assert [lanes.row(job_id).waits_for for job_id in (second, third)] == [None, None]
    assert [lanes.next(worker), lanes.next(worker)] == [second, third]


def test_several_may_wait_for_one(lanes: Lanes) -> None:
    first, worker = lanes.submit(), lanes.worker()
    others = [lanes.submit(first) for _ in range(3)]
    lanes.next(worker)
    worker.fail(first, 1, BAD)
    assert [lanes.next(worker) for _ in range(4)] == [*others, None]


def test_released_jobs_do_not_push_ahead_of_other_tenants(lanes: Lanes) -> None:
    """Two chains of one tenant and the jobs of another take turns, however often the chains go on."""
    chains = [lanes.chain(8), lanes.chain(8)]
    others = [lanes.submit(tenant="other") for _ in range(6)]
    worker, order = lanes.worker(), list[str]()
    lanes.queue.open()

    def take(turn: dispatch.Turn) -> None:
        for claim in worker.claim(turn, 1):
            order.append("other" if claim.job_id in others else "local")
            worker.succeed(claim.job_id, claim.attempt, DONE)

    consumer = dispatch.Consumer(lanes.database, worker.worker_id, take, lambda: 1)
    deadline = time.monotonic() + 60
    while len(order) < sum(map(len, chains)) + len(others) and time.monotonic() < deadline:
        time.sleep(0.02)
    consumer.close()
    assert len(order) == 22
    assert order.index("other") <= 2
    assert order[:14].count("other") >= 5, order


def test_a_follower_that_fails_does_not_keep_a_job_from_its_end(lanes: Lanes, caplog: pytest.LogCaptureFixture) -> None:
    def broken(session: Session, jobs: Sequence[Job]) -> None:
        session.add_all(Event(job_id=job.id, type="log", data={}, created_at=0.0) for job in jobs)
        raise RuntimeError("a mistake")

    lanes.queue.kinds.followers = (broken, *lanes.queue.kinds.followers)
    job, worker = lanes.submit(), lanes.worker()
    lanes.next(worker)
    assert worker.succeed(job, 1, DONE)
    assert lanes.heard == [(job, "succeeded")]
    assert "what follows the end of a job failed" in caplog.text
    with lanes.database.read() as session:
        kinds = session.execute(select(Event.type).where(Event.job_id == job)).scalars().all()
    assert kinds == ["status"] * 3, "and what it wrote is not kept"


@pytest.mark.both_stores
def test_ends_and_departures_at_the_same_moment_leave_nobody_waiting(lanes: Lanes) -> None:
    for _ in range(8):
        meet(lanes)
    assert requeue_stranded(lanes.database, lanes.queue) == 0


def meet(lanes: Lanes) -> None:
    """The first of a chain ends while the others are canceled, deleted and joined from other transactions."""
    ids, worker, late = lanes.chain(4), lanes.worker(), list[str]()
    assert lanes.next(worker) == ids[0]
    actions: list[Callable[[], object]] = [
        lambda: retried_after_races(worker.succeed)(ids[0], 1, DONE),
        lambda: lanes.cancel(ids[1]),
        lambda: lanes.delete(ids[2]),
        lambda: late.append(lanes.submit(ids[3])),
    ]
    threads = [threading.Thread(target=action) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for job_id in (ids[3], late[0]):
        assert lanes.next(worker) == job_id
        assert lanes.next(worker) is None
        worker.succeed(job_id, 1, DONE)


@pytest.mark.both_stores
def test_a_new_member_waits_for_the_last_one_while_that_is_canceled(lanes: Lanes) -> None:
    """Whoever comes first, the new one does not run beside the first."""
    for _ in range(8):
        ids, worker = lanes.chain(3), lanes.worker()
        assert lanes.next(worker) == ids[0]
        added: list[str] = []
        threads = [
            threading.Thread(target=lanes.cancel, args=(ids[2],)),
            threading.Thread(target=lambda added=added: added.append(lanes.join())),
            threading.Thread(target=lanes.cancel, args=(ids[1],)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert lanes.next(worker) is None
        worker.succeed(ids[0], 1, DONE)
        assert lanes.next(worker) == added[0]
        worker.succeed(added[0], 1, DONE)


def test_the_last_of_a_chain_is_known_although_a_clock_was_set_back(lanes: Lanes) -> None:
    ids, worker = lanes.chain(2), lanes.worker()
    early = "cnt_" + "0" * 25
    with lanes.database.write() as session:
        job = Count(id=early + "1", tenant_id="local", payload={"to": 1}, waits_for=ids[1])
        owners.submit(session, lanes.queue, [job])
    last = lanes.join()
    assert lanes.row(last).waits_for == early + "1"
    for job_id in (*ids, early + "1", last):
        assert lanes.next(worker) == job_id
        worker.succeed(job_id, 1, DONE)


@pytest.mark.local_stores
def test_a_long_chain_does_not_slow_a_claim_down(lanes: Lanes) -> None:
    """The first of a tenant's jobs comes from an index of those that are ready."""
    said: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FROM jobs" in statement and "priority" in statement:
            said.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        lanes.chain(2)
        lanes.next(lanes.worker())
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    with lanes.database.read() as session:
        plan = str(session.execute(text(f"EXPLAIN QUERY PLAN {said[0]}".replace("?", "'x'"))).all())
    assert "ix_jobs_ready" in plan
    assert "TEMP B-TREE" not in plan
