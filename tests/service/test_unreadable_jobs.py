"""A job of which the tables do not have what it needs fails in words, and does not keep its tenant's others waiting."""

from __future__ import annotations

import pytest
from attempts_bench import Bench
from sqlalchemy import text

from wdist_service.queue.dispatch import Turn

SPOILED = {
    "no such set": "UPDATE estimates SET source_id = 'ss_gone' WHERE id = :id",
    "options that are none": "UPDATE estimates SET options = '[1]' WHERE id = :id",
}
every_spoiling = pytest.mark.parametrize("statement", SPOILED.values(), ids=SPOILED)
pytestmark = pytest.mark.both_stores


def spoil(bench: Bench, statement: str, job: str) -> None:
    with bench.database.write() as session:
        session.execute(text(statement), {"id": job})


@every_spoiling
def test_it_fails_and_the_next_one_starts(bench: Bench, statement: str) -> None:
    spoiled, second, third = (bench.submit() for _ in range(3))
    spoil(bench, statement, spoiled)
    worker = bench.worker("host/0")
    assert [claim.job_id for claim in worker.claim(Turn(spoiled, 1, "local"), 4)] == [second]
    row = bench.row(spoiled)
    assert (row.status, row.worker_id) == ("failed", None)
    assert row.error["type"] == "internal_error"
    assert "cannot be read" in row.error["message"]
    assert [claim.job_id for claim in worker.claim(Turn(second, 1, "local"), 4)] == [third]


@every_spoiling
def test_it_does_not_hold_up_its_batch(bench: Bench, statement: str) -> None:
    first, spoiled, last = bench.batch(3)
    spoil(bench, statement, spoiled)
    worker = bench.worker("host/0")
    claimed = [claim.job_id for turn in (first, spoiled, last) for claim in worker.claim(Turn(turn, 1, "local"), 4)]
    assert claimed == [first, last]
    assert bench.row(spoiled).status == "failed"
