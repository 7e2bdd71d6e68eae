"""Errands: when they are due, how many run at a time, what is kept of their tries; and on real, killed workers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence

import pytest
from errands_bench import Bells
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from wdist_service.http.metrics import JobMetrics
from wdist_service.keys.quotas import _queued, device_seconds
from wdist_service.queue import owners
from wdist_service.queue.errands import LANE_AT_ONCE
from wdist_service.queue.kinds import Outcome
from wdist_service.tables import Event, FollowUp, Job, Property

HOUR = 3600.0
UNHEARD = {"type": "not_heard", "message": "nobody heard it"}


def test_an_errand_has_no_turn_and_counts_towards_no_quota(bells: Bells) -> None:
    job_id = bells.ring()
    _, errands = bells.hold()
    with bells.database.read() as session:
        assert bells.queue.count_turns(session) == {}
        assert _queued(session, "local") == (0, 0.0)
    ((claim, lane),) = errands.claim(5, {})
    assert (claim.job_id, claim.attempt, lane) == (job_id, 1, "local")
    time.sleep(0.05)
    assert errands.store(job_id, 1, Outcome({"heard": 1}))
    row = bells.row(job_id)
    assert (row.status, row.started_at) == ("succeeded", None)
    assert row.payload is not None
    assert row.payload["tried"] == [True]
    assert row.payload["heard"] == 1
    assert bells.heard == [(job_id, "succeeded")]
    with bells.database.read() as session:
        assert device_seconds(session, "local", time.time()) == 0.0


def test_errands_come_when_they_are_due_the_oldest_first(bells: Bells) -> None:
    late, early, never = bells.ring(-1.0, "a"), bells.ring(-2.0, "b"), bells.ring(HOUR, "c")
    _, errands = bells.hold()
    assert errands.look({}).is_any
    assert [claim.job_id for claim, _ in errands.claim(5, {})] == [early, late]
    assert not errands.look({}).is_any
    with bells.database.write() as session:
        owners.hurry(session, session.get_one(Job, never))
    assert [claim.job_id for claim, _ in errands.claim(5, {})] == [never]


def test_a_lane_holds_up_nobody_but_itself(bells: Bells) -> None:
    silent = [bells.ring(-10.0, "silent") for _ in range(20)]
    other = bells.ring(-1.0, "other")
    _, errands = bells.hold()
    claims = errands.claim(16, {})
    assert [claim.job_id for claim, _ in claims] == [*silent[:LANE_AT_ONCE], other]
    full = {"silent": LANE_AT_ONCE}
    assert not errands.look(full).is_any
    assert errands.claim(16, full) == []
    assert [claim.job_id for claim, _ in errands.claim(16, {"silent": LANE_AT_ONCE - 1})] == [silent[LANE_AT_ONCE]]


def test_a_failed_try_is_made_again_later_and_the_last_one_is_the_end(bells: Bells) -> None:
    job_id = bells.ring()
    _, errands = bells.hold()
    errands.claim(1, {})
    assert errands.store(job_id, 1, Outcome({}, UNHEARD, again_after=100.0))
    row = bells.row(job_id)
    assert (row.status, row.attempt, row.worker_id, row.error) == ("queued", 2, None, None)
    assert 95 < bells.due_in(job_id) <= 100
    assert bells.heard == []
    with bells.database.write() as session:
        owners.hurry(session, session.get_one(Job, job_id))
    errands.claim(1, {})
    assert not errands.store(job_id, 1, Outcome()), "the first try is over"
    assert errands.store(job_id, 2, Outcome({}, UNHEARD))
    assert (bells.row(job_id).status, bells.row(job_id).error) == ("failed", UNHEARD)
    assert bells.row(job_id).payload["tried"] == [False, False]
    assert bells.heard == [(job_id, "failed")]


def test_a_canceled_errand_ends_however_its_try_ended(bells: Bells) -> None:
    _, errands = bells.hold()
    for outcome in (Outcome(), Outcome({}, UNHEARD), Outcome({}, UNHEARD, again_after=1.0)):
        job_id = bells.ring()
        errands.claim(1, {})
        with bells.database.write() as session:
            assert not owners.cancel(session, bells.queue, session.get_one(Job, job_id))
        assert errands.store(job_id, 1, outcome)
        assert bells.row(job_id).status == "canceled"
        assert bells.heard.pop() == (job_id, "canceled")
    waiting = bells.ring(HOUR)
    with bells.database.write() as session:
        assert not owners.cancel(session, bells.queue, session.get_one(Job, waiting)), "it has no turn to withdraw"
    assert bells.heard == [(waiting, "canceled")]


def test_an_errand_outlives_any_number_of_workers(bells: Bells) -> None:
    job_id = bells.ring()
    for attempt in range(1, 8):
        (dead, errands), (heir, _) = bells.hold(f"host/{attempt}"), bells.hold("heir")
        with bells.database.write() as session:
            owners.hurry(session, session.get_one(Job, job_id))
        assert [claim.attempt for claim, _ in errands.claim(1, {})] == [attempt]
        dead.leases.leave()
        assert heir.take_over(10.0, cap=2) == 1
        assert not errands.store(job_id, attempt, Outcome()), "its lease ran out"
        row = bells.row(job_id)
        assert (row.status, row.attempt) == ("queued", attempt + 1)
        assert 0 < bells.due_in(job_id) <= 5
    with bells.database.read() as session:
        assert bells.queue.count_turns(session) == {}


def test_unexpected_errors_delay_an_errand_and_fail_it_in_the_end(bells: Bells) -> None:
    job_id, delays = bells.ring(), []
    _, errands = bells.hold()
    for attempt in range(1, 11):
        with bells.database.write() as session:
            owners.hurry(session, session.get_one(Job, job_id))
        errands.claim(1, {})
        assert errands.crashed(job_id, attempt, "it broke")
        if attempt < 10:
            delays.append(round(bells.due_in(job_id)))
    assert delays == [5, 10, 20, 40, 80, 160, 320, 640, 1280]
    assert (bells.row(job_id).status, bells.row(job_id).error["type"]) == ("failed", "internal_error")


@pytest.mark.parametrize("is_deleted", [False, True])
def test_what_follows_an_end_is_tried_until_it_succeeds(bells: Bells, *, is_deleted: bool) -> None:
    told: list[tuple[str, str, float | None]] = []
    faults: list[Exception] = [ZeroDivisionError(), KeyError("of damaged data")]

    def fragile(session: Session, jobs: Sequence[Job]) -> None:
        (job,) = jobs
        session.add(Property(name=f"told:{job.id}", value="x" if faults else job.status))
        session.flush()
        if faults:
            raise faults.pop()
        told.append((job.id, job.status, job.finished_at))

    def collides(session: Session, jobs: Sequence[Job]) -> None:
        session.add_all(Property(name=f"told:{job.id}", value="again") for job in jobs)

    bells.queue.kinds.followers = (fragile, *bells.queue.kinds.followers)
    (_, errands), job_id = bells.hold(), bells.ring()
    errands.claim(1, {})
    assert errands.store(job_id, 1, Outcome())
    finished_at = bells.row(job_id).finished_at
    assert (told, bells.heard) == ([], [(job_id, "succeeded")]), "the others have heard of it"
    if is_deleted:
        with bells.database.write() as session:
            owners.delete_jobs(session, bells.queue, [job_id])
    with bells.database.read() as session:
        (follow_up,) = session.execute(select(FollowUp.id)).scalars()
    for crashes in range(2):
        with bells.database.write() as session:
            owners.hurry(session, session.get_one(Job, follow_up))
        ((claim, _),) = errands.claim(5, {})
        if crashes == 0:
            with pytest.raises(KeyError if not faults else ZeroDivisionError):
                errands.store(follow_up, claim.attempt, Outcome())
            assert errands.crashed(follow_up, claim.attempt, "it failed again")
            assert told == []
    assert errands.store(follow_up, claim.attempt, Outcome())
    assert told == [(job_id, "succeeded", finished_at)]
    with bells.database.read() as session:
        assert session.execute(select(FollowUp.id)).first() is None, "nobody asks for it any more"
        assert session.get_one(Property, f"told:{job_id}").value == "succeeded"
    # What the database refuses is tried again, too, and does not hold up the thread that tries it.
    bells.queue.kinds.followers = (collides,)
    other = bells.ring()
    with bells.database.write() as session:
        session.add(Property(name=f"told:{other}", value="taken"))
    errands.claim(1, {})
    assert errands.store(other, 1, Outcome())
    with bells.database.write() as session:
        (follow_up,) = session.execute(select(FollowUp.id)).scalars()
        owners.hurry(session, session.get_one(Job, follow_up))
    ((claim, _),) = errands.claim(5, {})
    with pytest.raises(RuntimeError, match="the database refuses what follows"):
        errands.store(follow_up, claim.attempt, Outcome())


def test_a_follow_up_is_never_given_up(bells: Bells) -> None:
    def broken(session: Session, jobs: Sequence[Job]) -> None:
        raise RuntimeError("until the next version")

    bells.queue.kinds.followers = (broken,)
    (_, errands), job_id = bells.hold(), bells.ring()
    errands.claim(1, {})
    errands.store(job_id, 1, Outcome())
    with bells.database.read() as session:
        (follow_up,) = session.execute(select(FollowUp.id)).scalars()
    for attempt in range(1, 30):
        with bells.database.write() as session:
            job = session.get_one(Job, follow_up)
            owners.hurry(session, job)
        errands.claim(1, {})
        assert errands.crashed(follow_up, attempt, "it broke")
    with bells.database.read() as session:
        job = session.get_one(Job, follow_up)
        assert job.status == "queued"
        assert 3500 < job.due_at - bells.database.now(session) <= 3600


def test_a_clock_that_was_set_back_delays_nothing_and_brings_nothing_twice(bells: Bells) -> None:
    soon, later, old = bells.ring(5.0), bells.ring(60.0), bells.ring(30.0)
    with bells.database.write() as session:  # decided long ago
        session.execute(update(Job).where(Job.id == old).values(dated_at=Job.dated_at - 2 * HOUR))
    bells.shift(HOUR)
    (_, one), (_, other) = bells.hold("host/0"), bells.hold("host/1")
    assert bells.due_in(soon) > HOUR
    assert [errands.redate(errands.look({}).now) for errands in (one, other)] == [2, 0]
    assert 3 < bells.due_in(soon) <= 5
    assert 58 < bells.due_in(later) <= 60
    assert HOUR < bells.due_in(old) <= HOUR + 30, "its own delay is longer than the step"
    assert not one.look({}).is_any
    bells.shift(-HOUR)  # and forward again: what would be due in that hour is tried now, once
    assert [claim.job_id for claim, _ in one.claim(5, {})] == [soon, later]
    assert one.store(soon, 1, Outcome({}, UNHEARD, again_after=5.0))
    assert 3 < bells.due_in(soon) <= 5


def test_an_errand_that_waits_for_its_time_is_not_late(bells: Bells) -> None:
    bells.ring(HOUR)
    assert age(bells) == 0
    bells.ring(-20.0)
    assert 20 <= age(bells) < 60


def age(bells: Bells) -> float:
    """What `/metrics` says of the oldest ring."""
    (family,) = [
        each for each in JobMetrics(bells.database, 10.0).collect() if each.name == "wdist_queue_oldest_seconds"
    ]
    return next(sample.value for sample in family.samples if sample.labels["kind"] == "ring")


def test_real_workers_try_again_until_somebody_hears(bells: Bells) -> None:
    with bells.worker():
        first = bells.ring()
        bells.until(first, lambda job: job.finished_at)
        begun = time.monotonic()
        job_id = bells.ring(fails=2, again_after=0.2)
        bells.until(job_id, lambda job: job.attempt > 1)
        assert time.monotonic() - begun < 1.5, "a claim takes a second at most"
        done = bells.until(job_id, lambda job: job.finished_at)
        assert (done.status, done.attempt, done.payload["tried"]) == ("succeeded", 3, [False, False, True])
        failed = bells.until(bells.ring(fails=1), lambda job: job.finished_at)
        assert (failed.status, failed.error) == ("failed", UNHEARD)
        broken = bells.until(bells.ring(crashes=True), lambda job: job.attempt == 2)
        assert (broken.status, broken.failures) == ("queued", 1)
        assert 0 < bells.due_in(broken.id) <= 5
        long = bells.ring(seconds=60)
        bells.until(long, lambda job: job.status == "running")
        with bells.database.write() as session:
            owners.cancel(session, bells.queue, session.get_one(Job, long))
        bells.until(long, lambda job: job.status == "canceled", seconds=10)
    assert bells.rings().count((job_id, 3)) == 1


@pytest.mark.slow
def test_a_killed_worker_loses_no_errand_and_an_ending_one_gives_them_back(bells: Bells) -> None:
    with bells.worker() as first:
        held = bells.ring(seconds=60)
        bells.until(held, lambda job: job.status == "running")
        waiting = [bells.ring(1.0, f"lane {number}") for number in range(30)]
        os.kill(first.pid, signal.SIGKILL)
        with bells.worker() as second:
            bells.until(held, lambda job: (job.status, job.attempt) == ("running", 2))
            for job_id in waiting:
                bells.until(job_id, lambda job: job.status == "succeeded")
            second.send_signal(signal.SIGTERM)
            second.wait(30)
        row = bells.row(held)
        assert (row.status, row.attempt, row.failures, row.worker_deaths) == ("succeeded", 2, 0, 0)
    assert sorted(bells.rings()) == sorted([(held, 1), (held, 2), *((job_id, 1) for job_id in waiting)])
    with bells.database.read() as session:
        events = session.execute(select(Event.data).where(Event.job_id == held, Event.type == "status")).scalars()
        assert [event["status"] for event in events] == ["queued", "running", "queued", "running", "succeeded"]
