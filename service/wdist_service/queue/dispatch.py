"""The durable queue. Only this module and dbos_private.py know DBOS.

DBOS dispatches; the tables of jobs are the truth. An attempt is one workflow, `{job}:{attempt}`, which carries
ids only. Every worker process has an executor id of its own, so DBOS never recovers an attempt by itself: only
attempts.py decides that one is lost, and queues the next.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from dbos import DBOS, DBOSClient, Serializer
from sqlalchemy.orm import Session

from wdist_service.database import Database
from wdist_service.queue.dbos_private import SHORTEST_PAUSE, Pace

QUEUE = "estimates"
WORKFLOW = "attempt"
APPLICATION = "wdist"
APPLICATION_VERSION = "1"  # pinned: by default it is a hash of the code, and a deployment strands every waiting job
RunAttempt = Callable[[str, int], None]


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
    """Where attempts wait. Enqueueing happens inside the caller's transaction: both row and queue entry, or neither."""

    def __init__(self, database: Database) -> None:
        self._engine = database.engine_for_queue()
        self._client = DBOSClient(
            system_database_engine=self._engine, serializer=JsonSerializer(), application_name=APPLICATION
        )

    def open(self) -> None:
        """Declare the queue. Do so before a Consumer starts: otherwise it first polls 1 s later."""
        self._client.register_queue(
            QUEUE, worker_concurrency=1, polling_interval_sec=SHORTEST_PAUSE, on_conflict="always_update"
        )

    def enqueue(self, session: Session, job_id: str, attempt: int, priority: int) -> None:
        """Add one attempt; lower priority numbers start first."""
        self._client.enqueue_in_transaction(
            session,
            {
                "workflow_name": WORKFLOW,
                "queue_name": QUEUE,
                "workflow_id": workflow_id(job_id, attempt),
                "app_version": APPLICATION_VERSION,
                "priority": priority,
            },
            job_id,
            attempt,
        )

    def withdraw(self, attempts: Iterable[tuple[str, int]]) -> None:
        """Take attempts off the queue; one that is delivered all the same cannot be claimed and does nothing."""
        if ids := [workflow_id(*attempt) for attempt in attempts]:
            self._client.cancel_workflows(ids)

    def delivered_to(self, worker_ids: Iterable[str]) -> list[tuple[str, int]]:
        """Attempts that were delivered to these workers and are not finished."""
        ids = list(worker_ids)
        if not ids:
            return []
        pending = self._client.list_workflows(
            status="PENDING", executor_id=ids, name=WORKFLOW, load_input=False, load_output=False
        )
        return [parse_workflow_id(workflow.workflow_id) for workflow in pending]

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
    """Takes attempts off the queue and runs each in a thread of its own, at most `at_once()` at a time."""

    def __init__(self, database: Database, worker_id: str, run_attempt: RunAttempt, at_once: Callable[[], int]) -> None:
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
            pace.run(lambda: run_attempt(job_id, number))

        DBOS.workflow(name=WORKFLOW)(attempt)
        DBOS.listen_queues([QUEUE])
        DBOS.launch()
        pace.install()

    def close(self) -> None:
        """Stop taking attempts; those under way must have ended before."""
        self._pace.close()
        DBOS.destroy(workflow_completion_timeout_sec=5)
        self._engine.dispose()


def workflow_id(job_id: str, attempt: int) -> str:
    return f"{job_id}:{attempt}"


def parse_workflow_id(identifier: str) -> tuple[str, int]:
    job_id, _, attempt = identifier.rpartition(":")
    return job_id, int(attempt)
