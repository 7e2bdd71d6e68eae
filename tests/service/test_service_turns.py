"""Turns of tenants, and what the deaths of workers do to jobs and turns; on real databases, without processes."""

from __future__ import annotations

import time

from attempts_bench import LEASE_SECONDS, Bench, claim_one
from sqlalchemy import update

from wdist_service.ids import new_id
from wdist_service.keys.service import ensure_tenant
from wdist_service.queue import dispatch
from wdist_service.queue.fairness import adopt_turns
from wdist_service.tables import Job, SampleSet


def test_tenants_take_turns_and_priority_counts_within_a_tenant(bench: Bench) -> None:
    many = [bench.submit() for _ in range(3)]
    high, low = bench.submit(priority="high"), bench.submit(priority="low")
    with bench.database.write() as session:
        ensure_tenant(session, "other")
        session.execute(update(SampleSet).values(tenant_id="other"))  # the same sets, as if they had uploaded them
    first = bench.submit("other")
    taken: list[str] = []
    worker = bench.worker("host/0")
    bench.queue.open()
    consumer = dispatch.Consumer(
        bench.database, new_id("wrk"), lambda turn: taken.append(claim_one(worker, *turn[:2]).job_id), lambda: 1
    )
    deadline = time.monotonic() + 30
    while len(taken) < 6 and time.monotonic() < deadline:
        time.sleep(0.02)
    consumer.close()
    # `first` waits behind none of its tenant's jobs, so it shares the first place with the oldest turn of the others.
    assert taken == [high, first, many[0], many[1], many[2], low]


def die(bench: Bench, estimate: str, attempt: int, cap: int, step: int | None = None) -> Job:
    """Claim an attempt, report a step, and let the worker die; the row after another one has taken over."""
    worker, heir = bench.worker(f"host/{attempt}"), bench.worker("heir")
    assert claim_one(worker, estimate, attempt)
    if step is not None:
        worker.report({(estimate, attempt): {"step": step}})
    worker.leases.leave()
    assert heir.take_over(LEASE_SECONDS, cap=cap) == 1
    return bench.row(estimate)


def test_a_job_that_ends_its_workers_fails_at_the_cap(bench: Bench) -> None:
    estimate = bench.submit()
    assert die(bench, estimate, 1, cap=3, step=40).status == "queued"
    assert die(bench, estimate, 2, cap=3, step=39).status == "queued"
    row = die(bench, estimate, 3, cap=3)
    assert (row.status, row.worker_id, row.worker_deaths) == ("failed", None, 3)
    assert row.error["type"] == "worker_died"
    assert "3 times" in row.error["message"]
    assert "this estimate, which got no further" in row.error["message"]


def test_a_job_that_gets_further_each_time_may_lose_any_number_of_workers(bench: Bench) -> None:
    estimate = bench.submit()
    for attempt in range(1, 8):
        assert die(bench, estimate, attempt, cap=2, step=10 * attempt).status == "queued"
    assert bench.row(estimate).worker_deaths == 1


def test_a_job_that_is_handed_over_in_order_is_not_blamed(bench: Bench) -> None:
    estimate = bench.submit()
    for attempt in range(1, 6):
        worker = bench.worker("host/0")
        assert claim_one(worker, estimate, attempt)
        assert worker.hand_over(estimate, attempt)
        worker.leases.leave()
    bench.worker("heir").take_over(LEASE_SECONDS, cap=2)
    row = bench.row(estimate)
    assert (row.status, row.attempt, row.worker_deaths) == ("queued", 6, 0)


def test_a_canceled_job_whose_worker_dies_at_the_cap_ends_canceled(bench: Bench) -> None:
    estimate = bench.submit()
    worker, heir = bench.worker("host/0"), bench.worker("heir")
    assert claim_one(worker, estimate, 1)
    bench.jobs.cancel("local", estimate)
    worker.leases.leave()
    assert heir.take_over(LEASE_SECONDS, cap=1) == 1
    assert bench.row(estimate).status == "canceled"


def test_the_turn_of_a_worker_that_died_before_its_claim_is_put_back(bench: Bench) -> None:
    estimate = bench.submit()
    dead, heir = bench.worker("host/0"), bench.worker("host/1")
    table = "workflow_status" if bench.database.is_sqlite else "dbos.workflow_status"
    delivered = f"UPDATE {table} SET status = 'PENDING', executor_id = '{dead.worker_id}'"
    with bench.database.write() as session:
        session.connection().exec_driver_sql(delivered)
        assert bench.queue.count_turns(session) == {}
    dead.leases.leave()
    heir.take_over(LEASE_SECONDS)
    row = bench.row(estimate)
    assert (row.status, row.attempt) == ("queued", 1), "it never began"
    with bench.database.read() as session:
        assert bench.queue.count_turns(session) == {"local": 1}


def test_a_tenant_that_comes_later_does_not_wait_and_does_not_make_others_wait(bench: Bench) -> None:
    """Its jobs alternate with what the others still have waiting."""
    for tenant in ("second", "third"):
        with bench.database.write() as session:
            ensure_tenant(session, tenant)
    ids = {tenant: [bench_job(bench, tenant) for _ in range(6)] for tenant in ("local", "second")}
    worker = bench.worker("host/0")
    taken: list[str] = []

    def take(turn: dispatch.Turn) -> None:
        (claim,) = worker.claim(turn, 1)
        taken.append(bench.row(claim.job_id).tenant_id)
        if len(taken) == 6:
            ids["third"] = [bench_job(bench, "third") for _ in range(3)]

    bench.queue.open()
    consumer = dispatch.Consumer(bench.database, worker.worker_id, take, lambda: 1)
    deadline = time.monotonic() + 60
    while len(taken) < 15 and time.monotonic() < deadline:
        time.sleep(0.02)
    consumer.close()
    assert taken[:6] == ["local", "second"] * 3
    assert all(sorted(taken[k : k + 3]) == ["local", "second", "third"] for k in (6, 9, 12)), taken


def bench_job(bench: Bench, tenant: str) -> str:
    with bench.database.write() as session:
        session.execute(update(SampleSet).values(tenant_id=tenant))  # the same sets, as if the tenant had uploaded them
    return bench.submit(tenant)


def test_entries_of_an_earlier_version_become_turns(bench: Bench) -> None:
    """They named no tenant, and a class of priority came before the order of tenants."""
    low, normal_one = bench.submit(priority="low"), bench.submit()
    table = "workflow_status" if bench.database.is_sqlite else "dbos.workflow_status"
    for estimate, number in ((low, 1_000_000_001), (normal_one, 500_000_007)):
        with bench.database.write() as session:
            session.connection().exec_driver_sql(
                f"UPDATE {table} SET authenticated_user = NULL, priority = {number} "
                f"WHERE workflow_uuid = '{estimate}:1'"
            )
    adopt_turns(bench.database, bench.queue)
    with bench.database.read() as session:
        query = f"SELECT workflow_uuid, authenticated_user, priority FROM {table} ORDER BY priority"
        found = [tuple(row) for row in session.connection().exec_driver_sql(query)]
        assert found == [(f"{low}:1", "local", 1), (f"{normal_one}:1", "local", 7)]
        assert bench.queue.count_turns(session) == {"local": 2}
