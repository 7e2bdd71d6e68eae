"""Equal requests at the same time, at two API processes: one row for each key, and nobody is told to come again."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from attempts_bench import Bench
from service_process import Server, normal
from sqlalchemy import func, select, text
from sqlalchemy.exc import DatabaseError
from stores import Stores

from wdist_service.database import Database, is_race, retried_after_races
from wdist_service.errors import NotFoundError
from wdist_service.evaluations.service import Evaluations
from wdist_service.keys.quotas import Quota
from wdist_service.settings import Settings
from wdist_service.tables import Estimate, Evaluation, Property, SampleSet

MakeServer = Callable[..., Server]


@pytest.fixture
def replicas(own_server: MakeServer, tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    one = own_server("--workers", "0")
    with one.replica(tmp_path / "second", "--workers", "0") as other:
        yield one, other


def at_once(replicas: tuple[Server, Server], path: str, bodies: list[tuple[str, dict]]) -> list[httpx.Response]:
    """The answers to (Idempotency-Key, body) posted by as many threads as there are, half to each replica."""
    together = threading.Barrier(len(bodies))

    def post(number: int) -> httpx.Response:
        key, body = bodies[number]
        with httpx.Client(base_url=replicas[number % 2].url, timeout=60) as client:
            client.get("/livez")  # so that all are connected when they start
            together.wait(60)
            return client.post(f"/v1/{path}", json=body, headers={"Idempotency-Key": key})

    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(post, range(len(bodies))))


@pytest.mark.shared_stores
@pytest.mark.parametrize("path", ["estimates", pytest.param("batches", marks=pytest.mark.slow)])
def test_equal_requests_at_two_replicas_make_one_job_for_each_key(replicas: tuple[Server, Server], path: str) -> None:
    one, _ = replicas
    x, y = one.upload(normal(1)), one.upload(normal(2))
    body = {"source": x, "target": y} if path == "estimates" else {"reference": x, "targets": [y]}
    bodies = [(f"key-{number % 3}", body) for number in range(60)]
    answers = at_once(replicas, path, bodies)
    assert Counter(answer.status_code for answer in answers).keys() <= {200, 202}
    ids = {key: answer.json()["id"] for (key, _), answer in zip(bodies, answers, strict=True)}
    assert all(answer.json()["id"] == ids[key] for (key, _), answer in zip(bodies, answers, strict=True))
    assert one.rows(f"SELECT count(*) FROM {path}") == [(3,)]
    assert one.rows("SELECT count(*) FROM jobs WHERE status = 'queued'") == [(3,)]


@pytest.fixture
def database(tmp_path: Path, stores: Stores) -> Iterator[Database]:
    opened = Database(Settings(data=tmp_path, **stores.settings()))
    opened.migrate()
    yield opened
    opened.close()


@pytest.mark.both_stores
def test_two_that_miss_a_row_and_insert_it_end_with_one(database: Database) -> None:
    both_looked = threading.Barrier(2)
    tries: Counter[int] = Counter()

    @retried_after_races
    def add(number: int) -> str:
        tries[number] += 1
        with database.read() as session:
            found = session.get(Property, "race")
        if tries[number] == 1:
            both_looked.wait(30)
        if found is None:
            with database.write() as session:
                session.add(Property(name="race", value=str(number)))
            return str(number)
        return found.value

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(add, (1, 2))
    assert first == second
    assert sorted(tries.values()) == [1, 2]


@pytest.mark.shared_stores
def test_two_that_lock_rows_in_opposite_orders_both_get_through(database: Database) -> None:
    with database.write() as session:
        session.add_all(Property(name=name, value="0") for name in ("a", "b"))
    both_hold_one = threading.Barrier(2)
    tries: Counter[str] = Counter()

    @retried_after_races
    def count(names: str) -> None:
        tries[names] += 1
        with database.write() as session:
            for name in names:
                row = session.execute(select(Property).where(Property.name == name).with_for_update()).scalar_one()
                row.value = str(int(row.value) + 1)
                session.flush()
                if name == names[0] and tries[names] == 1:
                    both_hold_one.wait(30)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(count, ("ab", "ba")))
    with database.read() as session:
        values = session.execute(select(Property.value).where(Property.name.in_(["a", "b"]))).scalars()
        assert list(values) == ["2", "2"]
    assert sum(tries.values()) in (3, 4), "PostgreSQL ended one of them, or on a busy machine both"


@pytest.mark.both_stores
def test_an_error_that_is_no_race_is_raised_at_once(database: Database) -> None:
    tries = 0

    @retried_after_races
    def ask() -> None:
        nonlocal tries
        tries += 1
        with database.write() as session:
            session.execute(text("SELECT nothing FROM nowhere"))

    with pytest.raises(DatabaseError) as caught:
        ask()
    assert tries == 1
    assert not is_race(caught.value)


@pytest.mark.shared_stores
def test_deleting_an_estimate_while_it_is_evaluated_is_a_race_that_both_survive(bench: Bench) -> None:
    """Both need the estimate and its set, in opposite orders; a third one has them begin in the order that collides."""
    estimate = bench.submit()
    with bench.database.write() as session:
        session.execute(text("UPDATE jobs SET status = 'succeeded', finished_at = 1 WHERE id = :id"), {"id": estimate})
    evaluations = Evaluations(bench.database, bench.queue, bench.storage, bench.settings)
    with bench.database.read() as session:
        row, sample_set = session.get_one(Estimate, estimate), session.get_one(SampleSet, bench.sets[0])

    def evaluate() -> str | None:
        try:
            return evaluations.submit("local", row, sample_set, width=1, gradient=False, quota=Quota()).id
        except NotFoundError:
            return None  # it was deleted first

    with ThreadPoolExecutor(2) as pool:
        with bench.database.write() as session:
            session.execute(select(SampleSet).where(SampleSet.id == sample_set.id).with_for_update())
            evaluated = pool.submit(evaluate)
            until_waiting(bench.database, 1)
            deleted = pool.submit(bench.jobs.delete, "local", estimate)
            until_waiting(bench.database, 2)
        deleted.result(60)
        evaluated.result(60)
    with bench.database.read() as session:
        assert session.get(Estimate, estimate) is None
        assert session.execute(select(func.count()).select_from(Evaluation)).scalar_one() == 0


def until_waiting(database: Database, count: int) -> None:
    """Return once so many transactions of this database wait for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    deadline = time.monotonic() + 30
    with database.read() as session:
        while session.execute(text(query)).scalar_one() < count:
            session.commit()
            assert time.monotonic() < deadline
            time.sleep(0.02)
