"""The durable queue. Only this module and dbos_private.py know DBOS.

DBOS dispatches; the table of jobs is the truth. A turn is one workflow, `{job}:{attempt}`, which carries ids only and
belongs to a tenant (fairness.py). Every worker process has an executor id of its own, so DBOS never recovers a turn by
itself: only attempts.py decides that one is lost, and puts it back.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from dbos import DBOS, DBOSClient, Serializer
from sqlalchemy.orm import Session

from wdist_service.database import Database
from wdist_service.queue.dbos_private import SHORTEST_PAUSE, Entries, Pace
from wdist_service.queue.kinds import Kinds

QUEUE = "estimates"
WORKFLOW = "attempt"
APPLICATION = "wdist"
APPLICATION_VERSION = "1"  # pinned: by default it is a hash of the code, and a deployment strands every waiting job
_LAST = 2**31 - 1  # DBOS's highest priority number


class Turn(NamedTuple):
    """An entry of the queue: a turn of a tenant, made for an attempt of one of its jobs.

    tenant_id: None for an entry of a version before 0.2, whose tenant is the job's.
    """

    job_id: str
    attempt: int
    tenant_id: str | None = None

    @property
    def workflow_id(self) -> str:
        return f"{self.job_id}:{self.attempt}"


TakeTurn = Callable[[Turn], None]


class JsonSerializer(Serializer):
    """JSON instead of DBOS's pickle, so that reading the database never executes code."""

    def serialize(self, data: Any) -> str:
        return json.dumps(data, default=repr)

    def deserialize(cls, serialized_data: str) -> Any:  # noqa: N805 - the base class names it so
        return json.loads(serialized_data)

    def name(self) -> str:
        return "json"


def migrate(database: Database) -> None:
    """Create or migrate DBOS's own tables, which a client does not do by itself."""
    DBOS.migrate(database.url)


class Queue:
    """Where turns wait. Enqueueing happens inside the caller's transaction: both row and queue entry, or neither."""

    def __init__(self, database: Database, kinds: Kinds) -> None:
        self.kinds = kinds
        self._engine = database.engine_for_queue()
        self._client = DBOSClient(
            system_database_engine=self._engine, serializer=JsonSerializer(), application_name=APPLICATION
        )
        self._entries = Entries(self._engine, QUEUE)

    def open(self) -> None:
        """Declare the queue. Do so before a Consumer starts: otherwise it first polls 1 s later."""
        self._client.register_queue(
            QUEUE, worker_concurrency=1, polling_interval_sec=SHORTEST_PAUSE, on_conflict="always_update"
        )

    def enqueue(
        self, session: Session, tenant_id: str, attempt: tuple[str, int], virtual_time: int, suffix: str = ""
    ) -> None:
        """Add a turn of a tenant, made for an attempt; the least virtual time starts first.

        `suffix` makes it another one than an earlier turn for the same attempt.
        """
        self._client.enqueue_in_transaction(
            session,
            {
                "workflow_name": WORKFLOW,
                "queue_name": QUEUE,
                "workflow_id": Turn(*attempt).workflow_id + suffix,
                "app_version": APPLICATION_VERSION,
                "priority": min(virtual_time, _LAST),
                "authenticated_user": tenant_id,
            },
            *attempt,
        )

    def virtual_time(self, session: Session) -> int:
        """The virtual time of now: that of the turn that is next; 1 if none waits."""
        return max(1, self._entries.lowest_priority(session))

    def count_turns(self, session: Session) -> dict[str, int]:
        """How many turns of each tenant wait."""
        return self._entries.count_by_user(session)

    def without_tenant(self, session: Session) -> list[Turn]:
        """The turns that name no tenant, as versions before 0.2 made them."""
        named = (name.rpartition(":") for name in self._entries.without_user(session))
        return [Turn(job_id, int(attempt)) for job_id, _, attempt in named]

    def name_tenants(self, session: Session, tenants: Mapping[Turn, str]) -> None:
        """Name the tenants of turns that were made without."""
        self._entries.adopt(session, {turn.workflow_id: tenant_id for turn, tenant_id in tenants.items()})

    def withdraw(self, attempts: Iterable[tuple[str, int]]) -> None:
        """Take the turns that were made for these attempts off the queue, because they do not wait any more."""
        if ids := [Turn(*attempt).workflow_id for attempt in attempts]:
            self._client.cancel_workflows(ids)

    def put_back(self, worker_ids: Iterable[str]) -> int:
        """Put back the turns that were delivered to these workers and are not finished; returns how many."""
        ids = list(worker_ids)
        if not ids:
            return 0
        pending = self._client.list_workflows(
            status="PENDING", executor_id=ids, name=WORKFLOW, load_input=False, load_output=False
        )
        if pending:
            self._client.resume_workflows([workflow.workflow_id for workflow in pending], queue_name=QUEUE)
        return len(pending)

    def purge(self, older_than_seconds: float, limit: int = 1000) -> int:
        """Delete finished workflows, which DBOS would keep forever; returns how many."""
        before = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - older_than_seconds))
        done = self._client.list_workflows(
            status=["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
            name=WORKFLOW, end_time=before, limit=limit, load_input=False, load_output=False,
        )  # fmt: skip
        if done:
            self._client.delete_workflows([workflow.workflow_id for workflow in done])
        return len(done)

    def close(self) -> None:
        self._client.destroy()
        self._engine.dispose()


class Consumer:
    """Takes turns off the queue, each in a thread of its own, at most `at_once()` at a time."""

    def __init__(self, database: Database, worker_id: str, take_turn: TakeTurn, at_once: Callable[[], int]) -> None:
        logging.getLogger("dbos").setLevel(logging.WARNING)
        self._engine = database.engine_for_queue()
        DBOS(
            config={
                "name": APPLICATION,
                "system_database_engine": self._engine,
                "system_database_url": database.url,
                "application_version": APPLICATION_VERSION,
                "executor_id": worker_id,
                "serializer": JsonSerializer(),
                "log_level": "WARNING",
                "scheduler_polling_interval_sec": 300.0,
            }
        )

        pace = self._pace = Pace(self._engine, QUEUE, at_once)

        def attempt(job_id: str, number: int) -> None:
            turn = Turn(job_id, number, DBOS.authenticated_user)
            pace.run(lambda: take_turn(turn))

        DBOS.workflow(name=WORKFLOW)(attempt)
        DBOS.listen_queues([QUEUE])
        DBOS.launch()
        pace.install()

    def close(self) -> None:
        """Stop taking turns; those under way must have ended before."""
        self._pace.release()
        DBOS.destroy(workflow_completion_timeout_sec=5)
        self._pace.close()
        self._engine.dispose()
