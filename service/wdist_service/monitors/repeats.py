"""Batches whose rows a monitor has seen in another order, type or file format: found before they are queued.

The trainer compares the digests of all contents, for which it reads a batch through. Here, only a batch with the same
outline as an earlier one is read: most are told apart by what is known of every set.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from wdist.data.content import content_sha256
from wdist.data.readers.npy import open_npy
from wdist.data.samples import open_samples
from wdist.data.sources.files import FileRows
from wdist.data.tables.schema import TableSchema
from wdist.definitions.reading import Selection
from wdist.errors import WdistError
from wdist_service import tenancy
from wdist_service.database import Database
from wdist_service.errors import ConflictError, RequestError
from wdist_service.estimates.job import description_of
from wdist_service.monitors.service import content_of
from wdist_service.sample_sets.columns import called
from wdist_service.storage.files import Storage
from wdist_service.tables import ACTIVE, Monitor, MonitorEpoch, MonitorUpdate, SampleSet, Status

_MOST_BYTES = 64 << 20  # longer sets are compared by the trainer alone


def outline_of(row: SampleSet) -> str:
    """What sets of the same rows have in common, whatever their order: a digest of size, extremes and levels."""
    known = row.statistics
    columns = [_outline(column) for column in known["columns"] or [known]]
    return sha256(json.dumps([row.rows, math.prod(row.shape[1:]), columns]).encode()).hexdigest()


def refuse_repeated(database: Database, storage: Storage, tenant_id: str, monitor_id: str, batch_id: str) -> None:
    """Raise ConflictError for a batch of the rows of the reference or of an earlier batch, in whatever order.

    `Updates.submit` knows batches of the very same content. What cannot be found or read is left to those whose task it
    is.
    """
    try:
        with database.read() as session:
            monitor = tenancy.find(session, Monitor, tenant_id, monitor_id)
            batch = tenancy.find(session, SampleSet, tenant_id, batch_id)
            epoch = session.get_one(MonitorEpoch, (monitor.id, monitor.epoch))
            alike = [] if batch.bytes > _MOST_BYTES else list(_alike(session, monitor, epoch, batch))
        same = _same(storage, batch, alike, epoch.options["layout"]) if alike else None
    except (RequestError, WdistError, OSError):
        return
    if same is not None:
        raise ConflictError(
            f"{called(batch)} has the rows of {same} in another order or format: each row counts once", field="batch"
        )


class _Alike(NamedTuple):
    """Rows with the outline of a batch: in words, and the digest of their content if it is known, else their set."""

    words: str
    content: str | None
    row: SampleSet | None


def _alike(session: Session, monitor: Monitor, epoch: MonitorEpoch, batch: SampleSet) -> Iterator[_Alike]:
    outline = outline_of(batch)
    reference = session.get(SampleSet, epoch.reference_id)
    if reference is not None and reference.id != batch.id and outline_of(reference) == outline:
        yield _Alike("the reference", None, reference)
    updates = select(MonitorUpdate).where(
        MonitorUpdate.monitor_id == monitor.id, MonitorUpdate.outline == outline,
        MonitorUpdate.content != content_of(batch), MonitorUpdate.status.in_((*ACTIVE, Status.SUCCEEDED)),
    )  # fmt: skip
    for update in session.scalars(updates):
        words = f"{update.id}, an earlier update,"
        if update.figures is not None:
            yield _Alike(words, update.figures["sha256"], None)
        elif (row := session.get(SampleSet, update.sample_set_id)) is not None:
            yield _Alike(words, None, row)


def _same(storage: Storage, batch: SampleSet, alike: Sequence[_Alike], layout: str | None) -> str | None:
    """Which of these has the rows of the batch, in words; None if none has."""
    content = _content(storage, batch, layout)
    for words, known, row in alike:
        if (known if row is None else _content(storage, row, layout)) == content:
            return words
    return None


def _content(storage: Storage, row: SampleSet, layout: str | None) -> str:
    """The digest by which a monitor of the library knows the rows of a set."""
    told = description_of(row)
    table = None if told["table"] is None else TableSchema.from_json(told["table"])
    take = Selection.model_validate(told["reading"])
    rows = FileRows(
        told["name"], open_npy(storage.path(row.sha256), row.id), told["columns"], table, told["notes"], take,
        lambda: told["file_sha256"],
    )  # fmt: skip
    return content_sha256(open_samples(rows, told["name"], layout, take=take))


def _outline(column: Mapping[str, Any]) -> list[Any]:
    if "levels" in column:
        return [column["distinct"], column["missing"]]
    ends = column["min"], column["max"]
    return [None if end is None else float(end) + 0.0 for end in ends]  # -0.0 becomes 0.0
