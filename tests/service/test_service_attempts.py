"""Claims, fencing and take-over on real databases, without any process: who may write what, and when."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from attempts_bench import LEASE_SECONDS, Bench, claim_one
from service_process import normal, npy
from sqlalchemy import delete, select, update

from wdist_service.batches.service import Batches, BatchSubmission, matrix_pairs
from wdist_service.errors import NotFoundError
from wdist_service.estimates.service import Submission
from wdist_service.keys.quotas import Quota, TooManyJobsError, admit_jobs, device_seconds
from wdist_service.maintenance.host import host_tasks
from wdist_service.maintenance.schedule import Schedule
from wdist_service.queue import dispatch
from wdist_service.queue.attempts import Attempts, Finished
from wdist_service.sample_sets.service import NpyReceiver
from wdist_service.storage.eviction import evict_deleted
from wdist_service.storage.objects import open_storage
from wdist_service.storage.references import discard_unused
from wdist_service.tables import Batch, Estimate, Holder, Job, SampleSet

pytestmark = pytest.mark.both_stores


def matrix_of(bench: Bench, seed: int = 3, **options: object) -> tuple[str, list[str]]:
    """A batch of three sets, and the ids of its three estimates."""
    with bench.database.write() as session, bench.storage.incoming() as file:
        receiver = NpyReceiver(file)
        receiver.feed(npy(normal(seed)))
        row = receiver.finish("local", "third")
        bench.storage.place(file)
        session.add(row)
        sets = [row.id, *bench.sets]
    pairs = matrix_pairs(sets)
    given = BatchSubmission("matrix", pairs, sets, {"critic": "affine", **options})
    batch = Batches(bench.database, bench.queue, bench.jobs).submit("local", given, Quota())
    with bench.database.read() as session:
        query = select(Estimate.id).where(Estimate.batch_id == batch.id).order_by(Estimate.position)
        return batch.id, list(session.execute(query).scalars())


def result(tmp_path: Path) -> Finished:
    file = tmp_path / "critic.json"
    file.write_text("{}")
    return Finished({"result": {"value": 1.0}, "curve": []}, {"critic.json": file})


def test_a_claim_is_given_once(bench: Bench) -> None:
    estimate = bench.submit()
    one, other = bench.worker("host/0"), bench.worker("host/1")
    claim = claim_one(one, estimate, 1)
    assert claim is not None
    assert bench.storage.path(claim.work.files["source"]).exists()
    assert claim_one(other, estimate, 1) is None  # delivered twice
    assert claim_one(one, estimate, 1) is None
    assert claim_one(one, estimate, 2) is None  # an attempt that was never queued


def test_a_late_attempt_cannot_write(bench: Bench, tmp_path: Path) -> None:
    estimate = bench.submit()
    frozen, heir = bench.worker("host/0"), bench.worker("host/1")
    assert claim_one(frozen, estimate, 1)
    assert heir.take_over(LEASE_SECONDS) == 0  # its lease is fresh
    bench.silence(frozen)
    assert heir.take_over(LEASE_SECONDS) == 1
    assert claim_one(heir, estimate, 2)
    before = bench.row(estimate)
    writes: list[Callable[[], bool]] = [
        lambda: frozen.succeed(estimate, 1, result(tmp_path)),
        lambda: frozen.fail(estimate, 1, {"type": "x", "message": "late"}),
        lambda: frozen.stopped(estimate, 1),
        lambda: frozen.died(estimate, 1, "late", 1),
        lambda: frozen.hand_over(estimate, 1),
    ]
    assert [write() for write in writes] == [False] * 5
    frozen.report({(estimate, 1): {"step": 9}})
    after = bench.row(estimate)
    assert (after.status, after.attempt, after.progress, after.failures) == ("running", 2, None, 0)
    assert before.worker_id == after.worker_id == heir.worker_id
    assert not list((tmp_path / "incoming").iterdir())
    assert frozen.watch() == {}
    assert heir.succeed(estimate, 2, result(tmp_path))
    assert bench.statuses(estimate) == [("queued", 1), ("running", 1), ("queued", 2), ("running", 2), ("succeeded", 2)]


def test_a_buried_worker_declares_itself_again(bench: Bench) -> None:
    frozen, heir = bench.worker("host/0"), bench.worker("host/1")
    assert frozen.leases.beat()
    bench.silence(frozen)
    heir.take_over(LEASE_SECONDS)
    assert not frozen.leases.beat()
    frozen.leases.declare("host/0", 1, ["cpu"])
    assert frozen.leases.beat()


def test_a_lease_from_before_the_clock_was_set_back_ends(bench: Bench) -> None:
    estimate = bench.submit()
    dead, heir = bench.worker("host/0"), bench.worker("host/1")
    assert claim_one(dead, estimate, 1)
    with bench.database.write() as session:
        session.execute(update(Holder).where(Holder.id == dead.worker_id).values(beat_at=Holder.beat_at + 3600))
    assert heir.take_over(LEASE_SECONDS, still_seconds=0.1) == 0  # first seen now: it may be alive
    time.sleep(0.15)
    assert heir.take_over(LEASE_SECONDS, still_seconds=0.1) == 1
    assert bench.row(estimate).attempt == 2


def test_a_worker_that_moves_is_alive_whatever_the_clock_says(bench: Bench) -> None:
    estimate = bench.submit()
    living, other = bench.worker("host/0"), bench.worker("host/1")
    assert claim_one(living, estimate, 1)
    for beat in (1.0, 2.0, 3.0):  # long ago, by the database's clock
        with bench.database.write() as session:
            session.execute(update(Holder).where(Holder.id == living.worker_id).values(beat_at=beat))
        assert other.take_over(LEASE_SECONDS, still_seconds=0.1) == 0
        time.sleep(0.06)
    other.leases.liveness.pause(60)
    time.sleep(0.15)
    assert other.take_over(LEASE_SECONDS, still_seconds=0.1) == 0  # the database was away: nobody is judged


def test_a_name_held_again_ends_the_lease_of_its_last_life(bench: Bench) -> None:
    estimate = bench.submit()
    assert claim_one(bench.worker("host/0"), estimate, 1)
    heir = bench.worker("host/0")  # started again on the same host: no need to wait for the lease
    assert heir.take_over(LEASE_SECONDS) == 1
    assert bench.row(estimate).attempt == 2


def test_deaths_count_up_to_the_cap_and_take_overs_do_not(bench: Bench) -> None:
    estimate = bench.submit()
    worker = bench.worker("host/0")
    for attempt in (1, 2):
        assert claim_one(worker, estimate, attempt)
        assert worker.hand_over(estimate, attempt)
    assert bench.row(estimate).failures == 0
    assert claim_one(worker, estimate, 3)
    assert worker.died(estimate, 3, "it crashed with SIGSEGV", cap=2)
    assert bench.row(estimate).status == "queued"
    assert claim_one(worker, estimate, 4)
    assert worker.died(estimate, 4, "it crashed with SIGSEGV", cap=2)
    row = bench.row(estimate)
    assert row.status == "failed"
    assert "SIGSEGV" in row.error["message"]


def test_cancel_wins_over_every_end(bench: Bench, tmp_path: Path) -> None:
    ends: list[Callable[[Attempts, str], bool]] = [
        lambda worker, e: worker.succeed(e, 1, result(tmp_path)),
        lambda worker, e: worker.fail(e, 1, {"type": "x", "message": "y"}),
        lambda worker, e: worker.stopped(e, 1),
        lambda worker, e: worker.died(e, 1, "z", 3),
        lambda worker, e: worker.hand_over(e, 1),
    ]
    for end in ends:
        estimate = bench.submit()
        worker = bench.worker("host/0")
        assert claim_one(worker, estimate, 1)
        bench.jobs.cancel("local", estimate)
        assert worker.watch()[estimate] == (1, "canceling", False, False)
        assert end(worker, estimate)
        row = bench.row(estimate)
        assert (row.status, row.result, row.error) == ("canceled", None, None)


def test_a_cancel_that_meets_the_end_leaves_it_alone(bench: Bench) -> None:
    """Both on their way at once: the second to write sees what the first one wrote."""
    estimate = bench.submit()
    assert claim_one(bench.worker("host/0"), estimate, 1)
    with ThreadPoolExecutor(1) as pool:
        with bench.database.write() as session:
            session.execute(update(Job).where(Job.id == estimate).values(status="succeeded"))
            cancel = pool.submit(bench.jobs.cancel, "local", estimate)
            time.sleep(0.3)
        assert cancel.result(30).status == "succeeded"
    assert bench.row(estimate).status == "succeeded"


def test_a_set_that_is_being_deleted_cannot_be_compared(bench: Bench) -> None:
    with ThreadPoolExecutor(1) as pool:
        with bench.database.write() as session:
            session.execute(delete(SampleSet).where(SampleSet.id == bench.sets[0]))
            submit = pool.submit(bench.submit)
            time.sleep(0.3)
        with pytest.raises(NotFoundError):
            submit.result(30)


def test_the_last_place_of_a_quota_is_given_once(bench: Bench) -> None:
    """The second request begins while the first one is not committed, as at another replica."""
    quota, submission = Quota(queued_jobs=1), Submission(*bench.sets, options={})
    with ThreadPoolExecutor(1) as pool:
        with bench.database.write() as session:
            admit_jobs(session, "local", quota, [1.0], time.time())
            session.add(bench.jobs.rows("local", [submission])[0])
            session.flush()
            second = pool.submit(bench.jobs.submit, "local", submission, quota)
            time.sleep(0.3)
        with pytest.raises(TooManyJobsError):
            second.result(30)


def test_many_at_once_are_admitted_up_to_the_quota(bench: Bench) -> None:
    def submit(_number: int) -> bool:
        try:
            bench.jobs.submit("local", Submission(*bench.sets, options={}), Quota(queued_jobs=5))
        except TooManyJobsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(submit, range(24))) == 5


@pytest.mark.shared_stores
def test_what_was_deleted_through_another_host_leaves_the_cache(bench: Bench, tmp_path: Path) -> None:
    second = open_storage(bench.settings.model_copy(update={"data": tmp_path / "second"}))
    with bench.database.read() as session:
        rows = [session.get_one(SampleSet, key) for key in bench.sets]
    deleted, kept = (second.path(row.sha256) for row in rows)
    with bench.database.write() as session:
        session.execute(delete(SampleSet).where(SampleSet.id == rows[0].id))
    discard_unused(bench.database, bench.storage, [rows[0].sha256])
    assert evict_deleted(bench.database, second) == 0, "somebody may be about to open it"
    assert deleted.exists()
    for path in (deleted, kept):
        os.utime(path, (time.time() - 61,) * 2)
    stopping = threading.Event()
    tasks = [replace(task, first_after=0.0) for task in host_tasks(bench.database, second, 60)]
    Schedule(bench.database, tasks, stopping).start()
    deadline = time.monotonic() + 20
    while deleted.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    stopping.set()
    assert not deleted.exists()
    assert kept.exists()


def test_small_ones_of_a_batch_are_taken_together(bench: Bench) -> None:
    ids = bench.batch(9)
    big = bench.batch(2, cost_seconds=1000.0)
    one, other = bench.worker("host/0"), bench.worker("host/1")
    taken = one.claim(dispatch.Turn(ids[0], 1), most=16)
    assert [claim.job_id for claim in taken] == ids[:5], "of nine, half for each of two slots"
    assert [bench.row(each).together for each in ids[:6]] == [5] * 5 + [None]
    assert len(one.watch()) == 5
    # A turn whose job is taken is for the one that is next.
    assert [claim.job_id for claim in other.claim(dispatch.Turn(ids[3], 1), most=2)] == ids[5:7]
    for job in (ids[7], ids[8], big[0], big[1], bench.submit()):
        assert [claim.job_id for claim in other.claim(dispatch.Turn(ids[4], 1), most=16)] == [job]
    assert other.claim(dispatch.Turn(ids[4], 1), most=16) == []
    # One whose trainer died may have been the cause, or not: it is tried alone, and nothing is counted.
    assert one.died(ids[0], 1, "it crashed with SIGSEGV", cap=1, alone=False)
    assert one.hand_over(ids[1], 1)
    assert [claim.job_id for claim in one.claim(dispatch.Turn(ids[0], 2), most=16)] == ids[:1]
    assert (bench.row(ids[0]).together, bench.row(ids[0]).failures) == (None, 0)


def test_those_taken_together_share_the_time_of_a_device(bench: Bench, tmp_path: Path) -> None:
    worker = bench.worker("host/0")
    ids = bench.batch(4)
    assert len(worker.claim(dispatch.Turn(ids[0], 1), most=16)) == 4
    assert all(worker.succeed(each, 1, result(tmp_path)) for each in ids)
    with bench.database.write() as session:
        session.execute(update(Job).values(started_at=1000.0, finished_at=1008.0))
    with bench.database.read() as session:
        assert device_seconds(session, "local", 1009.0) == 8.0
    for each in ids[:2]:
        bench.jobs.delete("local", each)
    with bench.database.read() as session:
        assert device_seconds(session, "local", 1009.0) == 8.0


def test_a_canceled_one_that_is_delivered_all_the_same_is_not_run(bench: Bench) -> None:
    estimate = bench.submit()
    bench.jobs.cancel("local", estimate)
    assert claim_one(bench.worker("host/0"), estimate, 1) is None


def test_a_pair_of_a_matrix_is_told_what_all_its_pairs_share(bench: Bench) -> None:
    _, (*_, last) = matrix_of(bench, scale="standardize")
    claim = [claim_one(bench.worker("a"), last, 1) for _ in range(3)][-1]
    assert claim is not None
    assert claim.work.more == {"numbers": (1, 2), "name": "third"}
    assert set(claim.work.files) == {"source", "target", "first"}
    _, (*_, other) = matrix_of(bench, seed=4)
    unscaled = [claim_one(bench.worker("b"), other, 1) for _ in range(3)][-1]
    assert unscaled is not None
    assert (unscaled.work.more, set(unscaled.work.files)) == ({"numbers": (1, 2)}, {"source", "target"})


def test_a_matrix_of_an_earlier_version_keeps_a_split_and_a_unit_for_each_pair(bench: Bench) -> None:
    """Its estimates may have been trained with them already, and another split would test on rows of that training."""
    batch, (*_, last) = matrix_of(bench, scale="standardize")
    with bench.database.write() as session:
        session.execute(update(Batch).where(Batch.id == batch).values(is_split_once=None))
    claim = claim_one(bench.worker("a"), last, 1)
    assert claim is not None
    assert (claim.work.more, set(claim.work.files)) == ({}, {"source", "target"})
