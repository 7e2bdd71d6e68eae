"""What owners do with estimates: submit, finish, cancel, delete. The workers' side is in queue/attempts.py."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from wdist_service import tenancy
from wdist_service.database import Database, retried_after_races
from wdist_service.errors import ConflictError
from wdist_service.estimates.checks import check_groups, check_pair
from wdist_service.estimates.cost import job_seconds
from wdist_service.estimates.labels import label_estimate
from wdist_service.ids import new_ids
from wdist_service.keys.quotas import Quota, admit_bytes, admit_jobs, bytes_beside_files
from wdist_service.queue import owners
from wdist_service.queue.dispatch import Queue
from wdist_service.queue.records import record
from wdist_service.retention.entries import remember_uses
from wdist_service.storage.files import Storage
from wdist_service.storage.references import delete_with_files
from wdist_service.tables import TERMINAL, Estimate, Evaluation, SampleSet, Status


@dataclass(frozen=True)
class Submission:
    """A validated request for one estimate."""

    source: str
    target: str
    options: dict[str, Any]
    priority: str = "normal"
    labels: dict[str, Any] = field(default_factory=dict)
    name: str | None = None
    idempotency_key: str | None = None
    digests: tuple[str, ...] = ()  # of the request: the first is stored, any is recognised
    batch_id: str | None = None
    custom_id: str | None = None
    position: int | None = None
    cost_seconds: float | None = None


class Estimates:
    """Submits, finishes, cancels and deletes estimates. The row and its queue entry change in one transaction."""

    def __init__(self, database: Database, queue: Queue, storage: Storage) -> None:
        self._database = database
        self._queue = queue
        self._storage = storage

    @retried_after_races
    def submit(self, tenant_id: str, submission: Submission, quota: Quota) -> tuple[Estimate, bool]:
        """Store and queue an estimate. Returns it, and whether it is new.

        A repeated Idempotency-Key returns the first estimate. Raises NotFoundError for unknown sets, InvalidError for
        sets or options that cannot give a result, and the errors of `quotas.admit_jobs`.
        """
        with self._database.write() as session:
            key, digests = submission.idempotency_key, submission.digests
            if (earlier := tenancy.accepted_before(session, Estimate, tenant_id, key, digests)) is not None:
                return earlier, False
            source = tenancy.find(session, SampleSet, tenant_id, submission.source, "source", "share")
            target = tenancy.find(session, SampleSet, tenant_id, submission.target, "target", "share")
            check_pair(source, target, submission.options)
            if (groups := submission.options.get("groups")) is not None:
                labels = {
                    key: tenancy.find(session, SampleSet, tenant_id, name, "groups", "share")
                    for key, name in groups.items()
                }
                check_groups(labels, [source, target])
            submission = replace(submission, cost_seconds=job_seconds(source, target, submission.options))
            admit_jobs(session, tenant_id, quota, [submission.cost_seconds or 0.0], time.time())
            estimate = self.rows(tenant_id, [submission])[0]
            estimate.stored_bytes = bytes_beside_files(submission.options, submission.labels)
            admit_bytes(session, tenant_id, quota, estimate.stored_bytes, time.time())
            owners.submit(session, self._queue, [estimate])
            label_estimate(session, estimate)
            set_committed_value(estimate, "source_name", source.name)  # as a row that is read has it
            set_committed_value(estimate, "target_name", target.name)
            return estimate, True

    def submit_all(self, session: Session, tenant_id: str, submissions: list[Submission]) -> list[Estimate]:
        """Queue validated submissions of one priority in the caller's transaction; their ids are consecutive."""
        rows = self.rows(tenant_id, submissions)
        owners.submit(session, self._queue, rows)
        return rows

    def rows(self, tenant_id: str, submissions: list[Submission]) -> list[Estimate]:
        """Rows of new, queued estimates with consecutive ids, not yet added to a session."""
        ids = new_ids("est", len(submissions))
        return [
            Estimate(
                id=identifier, tenant_id=tenant_id, status=Status.QUEUED, source_id=given.source,
                target_id=given.target, own_options=given.options, priority=given.priority, own_labels=given.labels,
                own_name=given.name,
                created_at=time.time(), attempt=1, failures=0, idempotency_key=given.idempotency_key,
                request_digest=next(iter(given.digests), None), batch_id=given.batch_id, custom_id=given.custom_id,
                position=given.position, cost_seconds=given.cost_seconds,
            )
            for identifier, given in zip(ids, submissions, strict=True)
        ]  # fmt: skip

    @retried_after_races
    def cancel(self, tenant_id: str, estimate_id: str) -> Estimate:
        """Stop an estimate: at once when queued, within seconds when running. A finished one is left unchanged."""
        with self._database.write() as session:
            estimate = tenancy.find(session, Estimate, tenant_id, estimate_id, lock="update")
            was_queued = owners.cancel(session, self._queue, estimate)
        if was_queued:
            self._queue.withdraw([(estimate.id, estimate.attempt)])
        return estimate

    @retried_after_races
    def finish(self, tenant_id: str, estimate_id: str) -> Estimate:
        """Ask an estimate to end training now and state what it has. Asking again changes nothing.

        A queued one keeps its place, takes one step when its turn comes, and states that. One that has ended, or is
        being canceled, is left unchanged.
        """
        with self._database.write() as session:
            estimate = tenancy.find(session, Estimate, tenant_id, estimate_id, lock="update")
            if estimate.status in (Status.QUEUED, Status.RUNNING) and estimate.finish_asked_at is None:
                estimate.finish_asked_at = time.time()
                data = {"status": str(estimate.status), "attempt": estimate.attempt, "finishing": True}
                record(session, estimate.id, "status", data)
        return estimate

    @retried_after_races
    def rename(self, tenant_id: str, estimate_id: str, name: str | None) -> Estimate:
        """Give an estimate another name, in whatever state it is; None removes it."""
        with self._database.write() as session:
            estimate = tenancy.find(session, Estimate, tenant_id, estimate_id, lock="update")
            estimate.own_name = name
        return estimate

    def delete(self, tenant_id: str, estimate_id: str) -> None:
        """Delete a finished estimate and its files. Raises ConflictError while it is queued or running."""

        def rows(session: Session) -> list[str]:
            estimate = tenancy.find(session, Estimate, tenant_id, estimate_id, lock="update")
            if estimate.status not in TERMINAL:
                raise ConflictError(f"{estimate_id} is {estimate.status}; cancel it first")
            evaluations = session.execute(select(Evaluation.id).where(Evaluation.estimate_id == estimate_id)).scalars()
            remember_uses(session, [estimate_id])
            return owners.delete_jobs(session, self._queue, [*evaluations, estimate_id])

        delete_with_files(self._database, self._storage, rows)
