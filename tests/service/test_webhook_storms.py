"""What waits for a receiver that is down costs nothing, holds up nobody, and arrives once the receiver is back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, func, select, update
from stores import Stores
from webhook_receiver import Receiver

from wdist_service.database import Database
from wdist_service.ids import new_id
from wdist_service.installation import load_secret
from wdist_service.jobs import KINDS
from wdist_service.keys.service import ensure_tenant
from wdist_service.queue import dispatch, owners
from wdist_service.queue.attempts import Attempts
from wdist_service.queue.errands import LANE_AT_ONCE, Errands
from wdist_service.queue.kinds import Errand
from wdist_service.queue.leases import Leases
from wdist_service.settings import Settings
from wdist_service.storage.objects import open_storage
from wdist_service.tables import Batch, Delivery, Estimate, Event, Job, Role, Webhook
from wdist_service.webhooks.events import Occurrence, announce
from wdist_service.webhooks.job import DELIVERY
from wdist_service.webhooks.schemas import WebhookChange, WebhookRequest
from wdist_service.webhooks.service import Webhooks
from wdist_service.worker.errands import ErrandRunner

HOUR = 3600.0


@dataclass
class Post:
    """Webhooks on a real database, and the part of a worker that sends, in this process."""

    settings: Settings
    database: Database
    queue: dispatch.Queue
    webhooks: Webhooks
    errands: Errands

    def register(self, url: str) -> Webhook:
        return self.webhooks.create("local", WebhookRequest(url=url, events=["batch.finished"]))

    def change(self, webhook: Webhook, **given: object) -> None:
        self.webhooks.change("local", webhook.id, WebhookChange.model_validate(given))

    def happen(self, count: int, start: int = 0) -> None:
        with self.database.write() as session:
            announce(
                session,
                [
                    Occurrence("local", "batch.finished", f"batch_{number}", {"number": number})
                    for number in range(start, start + count)
                ],
            )

    def row(self, webhook: Webhook) -> Webhook:
        return self.webhooks.find("local", webhook.id)

    def count(self, webhook: Webhook, *more: object) -> int:
        with self.database.read() as session:
            query = select(func.count()).select_from(Delivery).where(Delivery.webhook_id == webhook.id, *more)
            return session.execute(query).scalar_one()

    def tries(self, webhook: Webhook) -> int:
        """How often a delivery was claimed."""
        with self.database.read() as session:
            query = select(func.count()).select_from(Event).join(Delivery, Delivery.job_id == Event.job_id)
            running = Event.type == "status", Event.data["status"].as_string() == "running"
            return session.execute(query.where(Delivery.webhook_id == webhook.id, *running)).scalar_one()

    def until(self, condition: Callable[[], object], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def shift(self, seconds: float) -> None:
        """What a step of the clock by `-seconds` does to the times in the tables."""
        with self.database.write() as session:
            session.execute(update(Job).values(due_at=Job.due_at + seconds, dated_at=Job.dated_at + seconds))
            moved = {"resting_from": Webhook.resting_from + seconds, "resting_until": Webhook.resting_until + seconds}
            session.execute(update(Webhook).values(**moved))


@pytest.fixture
def office(tmp_path: Path, stores: Stores) -> Iterator[Post]:
    settings = Settings(data=tmp_path, min_free_bytes=0, webhook_private=["127.0.0.0/8"], **stores.settings())
    database = Database(settings)
    database.migrate()
    dispatch.migrate(database)
    load_secret(database, settings)
    queue = dispatch.Queue(database, KINDS)
    attempts = Attempts(database, queue, open_storage(settings), "wrk_1")
    Leases(database, "wrk_1", Role.WORKER).declare("host/0", 1, ["cpu"])
    with database.write() as session:
        ensure_tenant(session, "local")
    yield Post(
        settings, database, queue, Webhooks(database, queue, settings), Errands(database, queue, attempts.worker_id)
    )
    queue.close()
    database.close()


@pytest.fixture
def sending(office: Post) -> Iterator[None]:
    stopping = threading.Event()
    runner = ErrandRunner(office.errands, office.settings, stopping)
    runner.start()
    yield
    stopping.set()
    office.until(lambda: not runner.running)


def closed(folder: Path) -> Receiver:
    """A receiver that does not run yet, with a port of its own."""
    with Receiver(folder) as receiver:
        pass
    return receiver


@pytest.mark.slow
def test_ten_thousand_events_for_a_receiver_that_is_down(office: Post, sending: None, tmp_path: Path) -> None:
    dead = closed(tmp_path)
    webhook = office.register(dead.url("/ok"))
    office.happen(1)
    office.until(lambda: office.row(webhook).failures)
    started, rest = time.monotonic(), office.row(webhook).resting_until
    office.happen(10_000, 1)
    assert (
        office.count(webhook, Job.due_at <= rest - 0.01) == 0
    )  # the rest may have ended since, and a longer one begun
    (tmp_path / "other").mkdir()
    with Receiver(tmp_path / "other") as receiver:
        other = office.register(receiver.url("/ok"))
        begun = time.monotonic()
        office.webhooks.ping("local", other.id)
        receiver.until("/ok")
        assert time.monotonic() - begun < 2, "those that wait hold up nobody"
    office.until(lambda: office.row(webhook).failures >= 3)
    # Two at a time, and once in each rest: of 5, 10, 20, ... seconds.
    assert office.tries(webhook) <= 4 + (time.monotonic() - started)
    assert office.count(webhook, Job.status == "queued") >= 10_000


def test_events_that_were_written_while_a_rest_began_wait_for_its_end_together(
    office: Post, sending: None, tmp_path: Path
) -> None:
    webhook = office.register(closed(tmp_path).url("/ok"))
    office.happen(1)
    office.until(lambda: office.row(webhook).failures)
    now = time.time()
    with office.database.write() as session:
        session.execute(update(Webhook).values(resting_from=now, resting_until=now + HOUR))
    office.happen(300, 1)
    tried = office.tries(webhook)
    with office.database.write() as session:  # as their transaction leaves them, when it read the webhook before
        session.execute(update(Job).where(Job.status == "queued").values(due_at=now, dated_at=now))
    office.until(lambda: office.count(webhook, Job.due_at >= now + HOUR - 1) == 301)
    assert office.tries(webhook) - tried <= 2 * LANE_AT_ONCE


def canceled_together(office: Post, count: int) -> int:
    """Cancel a batch of estimates in one transaction; returns how many statements that took, beside those of events."""
    with office.database.write() as session:
        batch = Batch(
            id=new_id("batch"), tenant_id="local", kind="pairs", size=count, options={}, labels={}, priority="normal",
            created_at=time.time(), statements=1, stored_bytes=0, is_split_once=False,
        )  # fmt: skip
        rows = [
            Estimate(
                id=new_id("est"), tenant_id="local", source_id="ss_1", target_id="ss_2", batch_id=batch.id,
                position=position, own_options={}, own_labels={},
            )
            for position in range(count)
        ]  # fmt: skip
        batch.first_id, batch.last_id = rows[0].id, rows[-1].id
        session.add(batch)
        session.flush()
        owners.submit(session, office.queue, rows)
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("INSERT INTO events"):  # the driver inserts these one by one
            statements.append(statement)

    with office.database.write() as session:
        jobs = list(session.execute(select(Estimate).where(Estimate.batch_id == batch.id)).scalars())
        event.listen(Engine, "before_cursor_execute", note)
        try:
            owners.cancel_all(session, office.queue, jobs)
        finally:
            event.remove(Engine, "before_cursor_execute", note)
    return len(statements)


def test_the_ends_of_a_batch_are_told_together(office: Post) -> None:
    webhooks = [office.register(f"http://127.0.0.1:9/{number}") for number in range(3)]
    for webhook in webhooks:
        office.change(webhook, events=["estimate.canceled", "batch.finished"])
    few, many = canceled_together(office, 20), canceled_together(office, 220)
    assert many - few < 40, f"{many - few} more statements for 200 more estimates"
    for webhook in webhooks:
        assert office.count(webhook, Delivery.event_type == "estimate.canceled") == 240
        assert office.count(webhook, Delivery.event_type == "batch.finished") == 2


@pytest.mark.slow
def test_what_waited_arrives_when_the_receiver_is_back(office: Post, sending: None, tmp_path: Path) -> None:
    receiver = closed(tmp_path)
    webhook = office.register(receiver.url("/ok"))
    office.happen(1)
    office.until(lambda: office.row(webhook).failures)
    office.happen(100, 1)
    time.sleep(1)
    assert office.tries(webhook) == 1
    with receiver:
        begun = time.monotonic()
        office.change(webhook, url=receiver.url("/ok?again=1"))  # starts without failures: what was put off is due
        office.until(lambda: office.count(webhook, Job.status == "succeeded") >= 100)
        assert time.monotonic() - begun < 30
        ids = [each["headers"]["webhook-id"] for each in receiver.requests()]
    assert len(set(ids)) == len(ids)
    assert office.row(webhook).resting_until is None


def test_many_failures_in_a_row_are_the_receivers_whatever_it_answers(
    office: Post, sending: None, tmp_path: Path
) -> None:
    with Receiver(tmp_path) as receiver:
        webhook = office.register(receiver.url("/status/500"))
        office.happen(200)
        office.until(lambda: office.row(webhook).resting_until)
        time.sleep(1)
        assert 6 <= len(receiver.requests()) <= 8


@pytest.mark.slow
def test_a_clock_that_is_set_back_prolongs_no_rest(office: Post, tmp_path: Path) -> None:
    dead = closed(tmp_path)
    office.register(dead.url("/ok"))
    office.happen(3)
    ((claim, _),) = office.errands.claim(1, {})
    outcome = DELIVERY.run_here(Errand(claim.job_id, 1, claim.work.options, office.settings, lambda: False))
    assert office.errands.store(claim.job_id, 1, outcome)
    assert not office.errands.look({}).is_any, "what waits is put off"
    office.shift(1000 * HOUR)
    assert office.errands.redate(office.errands.look({}).now) == 3
    office.until(lambda: office.errands.look({}).is_any, 7)
    (claim, _), *_ = office.errands.claim(1, {})
    assert claim.work.options["rest"] == 0.0
