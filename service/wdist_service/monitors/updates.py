"""What owners do with the updates of monitors: submit, list, cancel. They run in the order of submission."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from wdist.critics.cost import warm_steps
from wdist.data.columns import check_kinds, check_names
from wdist.data.splits import TRAIN_SHARE
from wdist.definitions.times import checked_time
from wdist.errors import OptionError, SampleError
from wdist_service import tenancy
from wdist_service.database import Database, retried_after_races
from wdist_service.errors import ConflictError, InvalidError
from wdist_service.estimates.checks import check_pair
from wdist_service.estimates.cost import job_seconds
from wdist_service.ids import new_id
from wdist_service.keys.quotas import Quota, admit_jobs
from wdist_service.monitors.repeats import outline_of, refuse_repeated
from wdist_service.monitors.schemas import UpdateRequest
from wdist_service.monitors.service import content_of
from wdist_service.queue import owners
from wdist_service.queue.dispatch import Queue
from wdist_service.queue.ends import last_in_chain
from wdist_service.sample_sets.columns import called, names_of
from wdist_service.storage.files import Storage
from wdist_service.tables import ACTIVE, Monitor, MonitorEpoch, MonitorUpdate, SampleSet, Status

LEAST_ROWS = 100


class Updates:
    """The updates of all monitors."""

    def __init__(self, database: Database, queue: Queue, storage: Storage) -> None:
        self._database = database
        self._queue = queue
        self._storage = storage

    @retried_after_races
    def submit(
        self, tenant_id: str, monitor_id: str, given: UpdateRequest, key: str | None, quota: Quota
    ) -> MonitorUpdate:
        """Store and queue an update, behind the others of its monitor.

        A repeated Idempotency-Key returns the first update. Raises NotFoundError for an unknown monitor or batch,
        InvalidError for a batch that cannot be compared with the reference, ConflictError for a monitor that is paused,
        for a batch that was accepted before and for one that is not later than the others, and the errors of
        `quotas.admit_jobs`.
        """
        with self._database.write() as session:
            digest = given.digest(monitor_id) if key is not None else None
            digests = () if digest is None else (digest,)

            def accepted() -> MonitorUpdate | None:
                return tenancy.accepted_before(session, MonitorUpdate, tenant_id, key, digests)

            if (earlier := accepted()) is not None:
                return earlier
            # Requests for one monitor wait for each other here, whichever replica they came to. So the same request may
            # have been accepted in the meantime.
            monitor = tenancy.find(session, Monitor, tenant_id, monitor_id, lock="update")
            if (earlier := accepted()) is not None:
                return earlier
            batch = tenancy.find(session, SampleSet, tenant_id, given.batch, "batch", "share")
            self.check_open(monitor)
            content = content_of(batch)
            self._check_order(session, monitor, batch, content, given)
            epoch = session.get_one(MonitorEpoch, (monitor.id, monitor.epoch))
            cost = self._check_batch(session, monitor, epoch, batch)
            admit_jobs(session, tenant_id, quota, [cost], time.time())
            row = MonitorUpdate(
                id=new_id(MonitorUpdate.prefix), tenant_id=tenant_id, status=Status.QUEUED, priority="normal",
                created_at=time.time(), attempt=1, failures=0, monitor_id=monitor.id, epoch=monitor.epoch,
                sample_set_id=batch.id, name=batch.name, content=content, outline=outline_of(batch),
                at=given.at, cost_seconds=cost,
                idempotency_key=key, request_digest=digest, waits_for=last_in_chain(session, _updates_of(monitor)),
            )  # fmt: skip
            owners.submit(session, self._queue, [row])
            return row

    def check_rows(self, tenant_id: str, monitor_id: str, given: UpdateRequest) -> None:
        """Raise ConflictError for rows that the monitor has seen in another order. It may read files."""
        refuse_repeated(self._database, self._storage, tenant_id, monitor_id, given.batch)

    def check_open(self, monitor: Monitor) -> None:
        """Raise ConflictError for a monitor that takes no batches."""
        if monitor.paused_at is not None:
            raise ConflictError(f"{monitor.id} is paused: resume it, then send the batch")

    def _check_order(
        self, session: Session, monitor: Monitor, batch: SampleSet, content: str, given: UpdateRequest
    ) -> None:
        """Raise ConflictError for content that the monitor knows, and for a time that is not the latest."""
        known = select(MonitorUpdate).where(MonitorUpdate.monitor_id == monitor.id, MonitorUpdate.content == content)
        accepted = known.where(MonitorUpdate.status.in_((*ACTIVE, Status.SUCCEEDED)))
        if (same := session.scalars(accepted.limit(1)).first()) is not None:
            raise ConflictError(
                f"{called(batch)} has the rows of {same.id}, an earlier update of {monitor.id}: each batch counts once",
                field="batch",
            )
        of_epochs = select(MonitorEpoch).where(MonitorEpoch.monitor_id == monitor.id, MonitorEpoch.content == content)
        if (epoch := session.scalars(of_epochs.limit(1)).first()) is not None:
            raise ConflictError(
                f"{called(batch)} has the rows of the reference of epoch {epoch.number}; give new rows", field="batch"
            )
        self._check_time(session, monitor, given)

    def _check_time(self, session: Session, monitor: Monitor, given: UpdateRequest) -> None:
        """Raise ConflictError for a time that is not later than those of all accepted updates.

        Numbers say which of those that succeeded was the last; ids do not, if the clock was set back.
        """
        timed = select(MonitorUpdate).where(MonitorUpdate.monitor_id == monitor.id, MonitorUpdate.at.is_not(None))
        done = timed.where(MonitorUpdate.number.is_not(None)).order_by(MonitorUpdate.number.desc()).limit(1)
        waiting = timed.where(MonitorUpdate.status.in_(ACTIVE))
        for earlier in (None, *session.scalars(done), *session.scalars(waiting)):
            try:
                checked_time(given.at, None if earlier is None else earlier.at)
            except OptionError as error:
                which = "" if earlier is None else f" ({earlier.id})"
                raise ConflictError(f"{error}{which}", field="at") from error

    def _check_batch(self, session: Session, monitor: Monitor, epoch: MonitorEpoch, batch: SampleSet) -> float:
        """Raise InvalidError for a batch that cannot be compared. Returns the estimated seconds of the update."""
        reference = tenancy.find(session, SampleSet, monitor.tenant_id, epoch.reference_id, "reference")
        if batch.rows < LEAST_ROWS:
            raise InvalidError(f"{called(batch)} has {batch.rows} rows; a batch needs {LEAST_ROWS}", field="batch")
        naming = f"by PUT /v1/sample-sets/{batch.id}/columns"
        try:
            check_kinds(reference.shape, batch.shape, "the reference", called(batch))
            check_names(
                names_of(reference), names_of(batch), "the reference", called(batch), is_fixed=True, naming=naming
            )
        except SampleError as error:
            raise InvalidError(str(error), field="batch") from error
        check_pair(reference, batch, epoch.options, ("reference", "batch"))
        return job_seconds(reference, batch, _budget(session, monitor, epoch, reference, batch))

    def find(self, tenant_id: str, monitor_id: str, update_id: str) -> MonitorUpdate:
        """One update of one monitor. Raises NotFoundError."""
        with self._database.read() as session:
            return find(session, tenant_id, monitor_id, update_id)

    def page(
        self, tenant_id: str, monitor_id: str, limit: int, after: str | None
    ) -> tuple[list[MonitorUpdate], str | None]:
        """A page of a monitor's updates, newest first, and the cursor of the next page. Raises NotFoundError."""
        with self._database.read() as session:
            tenancy.find(session, Monitor, tenant_id, monitor_id)
            # Without the kind, by which tenancy.owned has all jobs of a tenant read: a monitor has few of them.
            query = select(MonitorUpdate).where(MonitorUpdate.monitor_id == monitor_id)
            return tenancy.page(session, query, MonitorUpdate, limit, after)

    @retried_after_races
    def cancel(self, tenant_id: str, monitor_id: str, update_id: str) -> MonitorUpdate:
        """Stop an update: at once when queued, within seconds when running. The series stays as it was before it."""
        with self._database.write() as session:
            row = find(session, tenant_id, monitor_id, update_id, lock=True)
            was_queued = owners.cancel(session, self._queue, row)
        if was_queued:
            self._queue.withdraw([(row.id, row.attempt)])
        return row


def find(
    session: Session, tenant_id: str, monitor_id: str, update_id: str, *, lock: bool = False
) -> MonitorUpdate:  # fmt: skip
    """One update of one monitor. Raises NotFoundError."""
    tenancy.find(session, Monitor, tenant_id, monitor_id)
    row = tenancy.find(session, MonitorUpdate, tenant_id, update_id, lock="update" if lock else None)
    if row.monitor_id != monitor_id:
        raise tenancy.missing(MonitorUpdate, update_id)
    return row


def _budget(
    session: Session, monitor: Monitor, epoch: MonitorEpoch, reference: SampleSet, batch: SampleSet
) -> dict[str, Any]:  # fmt: skip
    """The options with the steps that an update will take: all but the first of an epoch train on from the last."""
    earlier = select(MonitorUpdate.job_id).where(
        MonitorUpdate.monitor_id == monitor.id, MonitorUpdate.epoch == epoch.number,
        MonitorUpdate.status.in_((*ACTIVE, Status.SUCCEEDED)),
    )  # fmt: skip
    if session.execute(earlier.limit(1)).first() is None:
        return epoch.options
    rows = int(TRAIN_SHARE * min(reference.rows, batch.rows))
    return epoch.options | {"steps": epoch.options.get("update_steps") or warm_steps(rows)}


def _updates_of(monitor: Monitor) -> Select[str]:
    return select(MonitorUpdate.job_id).where(MonitorUpdate.monitor_id == monitor.id)
