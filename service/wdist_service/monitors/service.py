"""What owners do with monitors: create, change, list, delete. updates.py has their updates."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice
from typing import Any

from sqlalchemy import Text, cast, delete, exists, func, select
from sqlalchemy.orm import Session, defer

from wdist.definitions.alarms import alarms_after
from wdist.definitions.figures import WITNESS_COLUMNS
from wdist.definitions.monitoring import Thresholds, UpdateFigures
from wdist.definitions.reading import Selection
from wdist.definitions.updates import ExportFormat, columns_of, csv_lines, json_lines
from wdist.errors import OptionError
from wdist.monitoring.options import MonitorOptions, check_column
from wdist_service import tenancy
from wdist_service.database import Database, retried_after_races
from wdist_service.decoding.formats import Format, check_selection
from wdist_service.errors import ConflictError, InvalidError
from wdist_service.estimates.checks import check_pair
from wdist_service.estimates.labels import digest_of
from wdist_service.ids import new_id
from wdist_service.keys.quotas import Quota, admit_bytes, bytes_beside_files
from wdist_service.monitors.schemas import EpochRequest, MonitorChange, MonitorRequest
from wdist_service.queue import owners
from wdist_service.queue.dispatch import Queue
from wdist_service.sample_sets.columns import called, names_of
from wdist_service.storage.files import Storage
from wdist_service.storage.references import discard_unused
from wdist_service.tables import ACTIVE, Job, Monitor, MonitorEpoch, MonitorLabel, MonitorUpdate, SampleSet, Status
from wdist_service.webhooks.following import alarms_changed

_AT_ONCE = 100  # updates that are read together


@dataclass(frozen=True)
class Found:
    """A monitor, its current epoch, and how many of its updates have not ended."""

    row: Monitor
    epoch: MonitorEpoch
    waiting: int
    last: str | None = None
    """On a page, the figures of its last update as they are stored; `row` has none then."""


class Monitors:
    """The monitors of all tenants."""

    def __init__(self, database: Database, queue: Queue, storage: Storage) -> None:
        self._database = database
        self._queue = queue
        self._storage = storage

    @retried_after_races
    def create(self, tenant_id: str, given: MonitorRequest, key: str | None, quota: Quota) -> Monitor:
        """Store a monitor; a repeated Idempotency-Key returns the first one.

        Raises NotFoundError for an unknown reference, InvalidError for one that the options do not fit, QuotaError.
        """
        with self._database.write() as session:
            digest = given.digest() if key is not None else None
            digests = () if digest is None else (digest,)
            if (earlier := tenancy.accepted_before(session, Monitor, tenant_id, key, digests)) is not None:
                return earlier
            reference = tenancy.find(session, SampleSet, tenant_id, given.reference, "reference", "share")
            options = MonitorOptions().model_dump(mode="json", exclude={"name", "thresholds"}) | given.options()
            check_reference(reference, options)
            check_thresholds(reference, given.thresholds)
            name = given.name if "name" in given.model_fields_set else reference.name or reference.id
            now = time.time()
            monitor = Monitor(
                id=new_id(Monitor.prefix), tenant_id=tenant_id, name=name,
                labels=given.metadata, thresholds=given.thresholds.model_dump(), epoch=1, created_at=now, updates=0,
                alarms=[], alarms_on=0, idempotency_key=key, request_digest=digest,
            )  # fmt: skip
            monitor.stored_bytes = _bytes(monitor)
            admit_bytes(session, tenant_id, quota, monitor.stored_bytes, now)
            session.add(monitor)
            session.flush()
            session.add(_epoch(monitor, reference, options, now))
            _label(session, monitor)
            return monitor

    def get(self, tenant_id: str, monitor_id: str) -> Found:
        """One monitor. Raises NotFoundError."""
        with self._database.read() as session:
            row = tenancy.find(session, Monitor, tenant_id, monitor_id)
            return _found(session, tenant_id, [row])[0]

    def page(
        self,
        tenant_id: str,
        labels: Sequence[tuple[str, str]],
        alarm: bool | None,
        limit: int,
        after: str | None,
        name: str | None = None,
    ) -> tuple[list[Found], str | None]:
        """A page of a tenant's monitors with all of these labels, newest first, and the cursor of the next page."""
        query = tenancy.owned(Monitor, tenant_id)
        if alarm is not None:
            query = query.where(Monitor.alarms_on > 0 if alarm else Monitor.alarms_on == 0)
        if name is not None:
            query = query.where(Monitor.name == name)
        for key, value in dict.fromkeys(labels):
            has = MonitorLabel.label == digest_of(tenant_id, key, value), MonitorLabel.monitor_id == Monitor.id
            query = query.where(exists().where(*has))
        with self._database.read() as session:
            # Figures are not read into objects: pages show what is stored.
            query = query.options(defer(Monitor.figures, raiseload=True))
            rows, following = tenancy.page(session, query, Monitor, limit, after)
            stored = select(Monitor.id, cast(Monitor.figures, Text)).where(Monitor.id.in_([row.id for row in rows]))
            last = {row[0]: row[1] for row in session.execute(stored)}
            return [replace(each, last=last[each.row.id]) for each in _found(session, tenant_id, rows)], following

    @retried_after_races
    def change(self, tenant_id: str, monitor_id: str, given: MonitorChange, quota: Quota) -> None:
        """Change what is given. Raises NotFoundError and QuotaError."""
        with self._database.write() as session:
            row = tenancy.find(session, Monitor, tenant_id, monitor_id, lock="update")
            if given.name is not None:
                row.name = given.name
            if given.paused is not None and given.paused != (row.paused_at is not None):
                row.paused_at = time.time() if given.paused else None
                row.paused_in = row.epoch
            if given.metadata is not None:
                row.labels = given.metadata
                session.execute(delete(MonitorLabel).where(MonitorLabel.monitor_id == row.id))
                _label(session, row)
            if given.thresholds is not None:
                epoch = session.get_one(MonitorEpoch, (row.id, row.epoch))
                reference = tenancy.find(session, SampleSet, tenant_id, epoch.reference_id)
                check_thresholds(reference, given.thresholds)
                row.thresholds, before = given.thresholds.model_dump(), row.alarms
                _alarm(session, row, given.thresholds)
                alarms_changed(session, row, before)
            size = _bytes(row)
            admit_bytes(session, tenant_id, quota, size - row.stored_bytes, time.time())
            row.stored_bytes = size

    @retried_after_races
    def begin_epoch(self, tenant_id: str, monitor_id: str, given: EpochRequest, quota: Quota) -> None:
        """Go on with a new reference. An epoch without a successful update gets it in place of the one it has.

        Raises ConflictError while an update has not ended, and for a set that the monitor has seen; also NotFoundError,
        InvalidError and QuotaError, as `create`.
        """
        with self._database.write() as session:
            row = tenancy.find(session, Monitor, tenant_id, monitor_id, lock="update")
            reference = tenancy.find(session, SampleSet, tenant_id, given.reference, "reference", "share")
            waiting = select(MonitorUpdate.id).where(
                MonitorUpdate.monitor_id == row.id, MonitorUpdate.status.in_(ACTIVE)
            )
            if (update := session.scalars(waiting.limit(1)).first()) is not None:
                raise ConflictError(
                    f"{update} of {row.id} has not ended; wait for it or cancel it, then begin a new epoch"
                )
            before = session.get_one(MonitorEpoch, (row.id, row.epoch))
            options = before.options | given.options()
            if options["confidence"] != before.options["confidence"]:
                raise InvalidError(
                    f"the confidence of {row.id} is {before.options['confidence']}: its error is shared by all epochs, "
                    "and another confidence needs another monitor",
                    field="confidence",
                )
            _refuse_seen(session, row, reference)
            check_reference(reference, options)
            row.name = given.name if "name" in given.model_fields_set else row.name
            if "thresholds" in given.model_fields_set:
                row.thresholds = given.thresholds.model_dump()
            check_thresholds(reference, Thresholds.model_validate(row.thresholds))
            alarms, row.alarms, row.alarms_on, row.series_lower_bound = row.alarms, [], 0, None
            alarms_changed(session, row, alarms)
            if _is_begun(session, row):
                row.epoch += 1
            else:  # nothing was said of it, and its share of the error is left
                session.delete(before)
                session.flush()
            session.add(_epoch(row, reference, options, time.time()))
            size = _bytes(row)
            admit_bytes(session, tenant_id, quota, size - row.stored_bytes, time.time())
            row.stored_bytes = size

    def delete(self, tenant_id: str, monitor_id: str) -> None:
        """Delete a monitor with its updates; workers that run one stop. Raises NotFoundError."""
        hashes, withdrawn = self._delete(tenant_id, monitor_id)
        self._queue.withdraw(withdrawn)
        discard_unused(self._database, self._storage, hashes)

    @retried_after_races
    def _delete(self, tenant_id: str, monitor_id: str) -> tuple[list[str], list[tuple[str, int]]]:
        with self._database.write() as session:
            row = tenancy.find(session, Monitor, tenant_id, monitor_id, lock="update")
            query = select(MonitorUpdate.id, MonitorUpdate.attempt, MonitorUpdate.status, MonitorUpdate.waits_for)
            updates = session.execute(query.where(MonitorUpdate.monitor_id == row.id)).all()
            hashes = owners.delete_jobs(session, self._queue, [each.id for each in updates])
            session.delete(row)
            first = [each for each in updates if each.status == Status.QUEUED and each.waits_for is None]
            return hashes, [(each.id, each.attempt) for each in first]

    def reading_of(self, tenant_id: str, sample_set_id: str, kind: Format) -> Selection:
        """How a file of this format is read as a set was, as far as the format can be read so."""
        with self._database.read() as session:
            given = tenancy.find(session, SampleSet, tenant_id, sample_set_id).reading or {}
        take = Selection.model_validate(
            {name: value for name, value in given.items() if name in Selection.model_fields}
        )
        try:
            check_selection(take, kind)
        except InvalidError:  # the reference came in another format, and batches need not
            return Selection()
        return take

    def exported(self, monitor_id: str, format: ExportFormat) -> Iterator[str]:  # noqa: A002
        """The successful updates of a monitor as text, oldest first, part by part. Never are all of them in memory."""
        if format == "csv":  # its first line names the columns of all updates
            lines = csv_lines(self._history(monitor_id), columns_of(self._history(monitor_id)))
        else:
            lines = json_lines(self._history(monitor_id))
        while part := "".join(islice(lines, _AT_ONCE)):
            yield part

    def _history(self, monitor_id: str) -> Iterator[UpdateFigures]:
        number = 0
        while True:
            with self._database.read() as session:
                some = list(_figures(session, monitor_id, number))
            if not some:
                return
            yield from some
            number = some[-1].number


def check_reference(row: SampleSet, options: dict[str, Any]) -> None:
    """Raise InvalidError if a set cannot be a reference with these options. Reads no values."""
    if row.statistics["constant"]:
        raise InvalidError(f"every row of {called(row)} is the same; nothing can be learned from it", field="reference")
    check_pair(row, row, options, ("reference", "reference"))


def check_thresholds(reference: SampleSet, thresholds: Thresholds) -> None:
    """Raise InvalidError for a threshold of a column that the reference does not have, or that has no figures."""
    if not thresholds.columns:
        return
    is_table = len(reference.shape) == 2
    columns = (names_of(reference) or [str(number) for number in range(reference.shape[1])]) if is_table else []
    for name in thresholds.columns:
        try:
            check_column(name, columns if len(columns) <= WITNESS_COLUMNS else [])
        except OptionError as error:
            raise InvalidError(str(error), field="thresholds.columns") from error


def content_of(row: SampleSet) -> str:
    """What tells a set from others by its rows: those with other names have the same content."""
    return sha256(json.dumps([row.sha256, row.table_schema], sort_keys=True).encode()).hexdigest()


def _epoch(monitor: Monitor, reference: SampleSet, options: dict[str, Any], now: float) -> MonitorEpoch:
    return MonitorEpoch(
        monitor_id=monitor.id, number=monitor.epoch, reference_id=reference.id,
        reference_name=reference.name or reference.id, reference_rows=reference.rows,
        content=content_of(reference), options=options, created_at=now,
    )  # fmt: skip


def _is_begun(session: Session, row: Monitor) -> bool:
    """Whether the current epoch has a successful update."""
    query = select(MonitorUpdate.id).where(MonitorUpdate.monitor_id == row.id, MonitorUpdate.epoch == row.epoch)
    return session.execute(query.where(MonitorUpdate.number.is_not(None)).limit(1)).first() is not None


def _refuse_seen(session: Session, row: Monitor, reference: SampleSet) -> None:
    """Raise ConflictError for a reference with rows that the monitor has seen: its test rows must be fresh."""
    content = content_of(reference)
    of_epochs = select(MonitorEpoch.number).where(MonitorEpoch.monitor_id == row.id, MonitorEpoch.content == content)
    if (number := session.scalars(of_epochs.limit(1)).first()) is not None:
        raise ConflictError(
            f"{called(reference)} was the reference of epoch {number}: earlier figures were made from its rows; give "
            "new rows of the same population",
            field="reference",
        )
    seen = MonitorUpdate.content == content, MonitorUpdate.number.is_not(None)
    batches = select(MonitorUpdate.id).where(MonitorUpdate.monitor_id == row.id, *seen)
    if (update := session.scalars(batches.limit(1)).first()) is not None:
        raise ConflictError(
            f"{called(reference)} has the rows of {update}, an earlier batch; give new rows", field="reference"
        )


def _label(session: Session, row: Monitor) -> None:
    session.add_all(
        MonitorLabel(label=digest_of(row.tenant_id, key, value), monitor_id=row.id) for key, value in row.labels.items()
    )


def _bytes(row: Monitor) -> int:
    return bytes_beside_files(row.labels, row.thresholds)


def _alarm(session: Session, row: Monitor, thresholds: Thresholds) -> None:
    """Find the alarms that are on under new thresholds, and since when."""
    tolerance = session.get_one(MonitorEpoch, (row.id, row.epoch)).options["tolerance"]
    history = _all_figures(session, row)
    row.alarms = [alarm.model_dump() for alarm in alarms_after(history, thresholds, tolerance, epoch=row.epoch)]
    row.alarms_on = len(row.alarms)


def _all_figures(session: Session, row: Monitor) -> Iterator[UpdateFigures]:
    """Those of all updates of the current epoch, oldest first."""
    number = 0
    while some := list(_figures(session, row.id, number, row.epoch)):
        yield from some
        number = some[-1].number


def _figures(session: Session, monitor_id: str, after: int, epoch: int | None = None) -> Iterator[UpdateFigures]:
    """What the next updates after a number found, of one epoch or of all."""
    query = select(MonitorUpdate.figures).where(MonitorUpdate.monitor_id == monitor_id, MonitorUpdate.number > after)
    if epoch is not None:
        query = query.where(MonitorUpdate.epoch == epoch)
    for figures in session.scalars(query.order_by(MonitorUpdate.number).limit(_AT_ONCE)):
        yield UpdateFigures.model_validate(figures)


def _found(session: Session, tenant_id: str, rows: Sequence[Monitor]) -> list[Found]:
    ids = [row.id for row in rows]
    epochs = {
        (epoch.monitor_id, epoch.number): epoch
        for epoch in session.scalars(select(MonitorEpoch).where(MonitorEpoch.monitor_id.in_(ids)))
    }
    # All of the tenant's jobs that have not ended, which are few. Asked for by its monitors, SQLite read all updates of
    # a page: 40 of 56 ms.
    updates = MonitorUpdate.__table__
    active = select(Job.id).where(Job.tenant_id == tenant_id, Job.kind == "monitor_update", Job.status.in_(ACTIVE))
    waiting = select(updates.c.monitor_id, func.count()).where(updates.c.id.in_(active)).group_by(updates.c.monitor_id)
    counts = {row[0]: row[1] for row in session.execute(waiting)}
    return [Found(row, epochs[row.id, row.epoch], counts.get(row.id, 0)) for row in rows]
