"""Receive uploaded arrays in blocks, check them on the way, and store them under their sha256."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Text, and_, cast, or_, select
from sqlalchemy.orm import Session

from wdist.data.tables.schema import TableSchema
from wdist.definitions.reading import Selection
from wdist.errors import SampleError
from wdist_service import tenancy
from wdist_service.database import Database, retried_after_races
from wdist_service.decoding.formats import Format, is_kept_as_sent
from wdist_service.decoding.runner import Decoders, LevelsOf, NoRoomError, Report
from wdist_service.errors import ConflictError, InvalidError, RequestError
from wdist_service.ids import new_id
from wdist_service.keys.quotas import Room, bytes_beside_files
from wdist_service.sample_sets import npy
from wdist_service.sample_sets.coded import CodedStatistics
from wdist_service.sample_sets.columns import called, checked_names, name_columns
from wdist_service.sample_sets.identity import complete, identity_of, name_of_level, stored_as, twin_of
from wdist_service.sample_sets.statistics import Statistics
from wdist_service.storage.files import Incoming, Storage
from wdist_service.storage.references import delete_with_files
from wdist_service.tables import ACTIVE, Batch, Estimate, Evaluation, Monitor, MonitorEpoch, MonitorUpdate, SampleSet

_BLOCK_BYTES = 1 << 20
_pool = ThreadPoolExecutor(8, "statistics")
Also = Callable[[Session, SampleSet], None]


class DigestError(RequestError):
    """The body is not what its sender sent."""

    status, type, title = 400, "digest_mismatch", "The body was damaged on its way"


class NpyReceiver:
    """Receives an .npy body block by block. Raises InvalidError as soon as it cannot be a sample set."""

    def __init__(
        self, file: Incoming, report: Report | None = None, check: Callable[[tuple[int, ...], int], None] | None = None
    ) -> None:
        """report: what the decoder found that wrote the file, if one did.

        check: gets the shape and the bytes that the header declares, before more than that is received, and may raise.
        """
        self._file = file
        self._report = report
        self._check = check
        self._start = b""
        self._statistics: Statistics | CodedStatistics | None = None
        self._expected_bytes = 0

    def feed(self, data: bytes | memoryview) -> None:
        """Check and store the next bytes."""
        try:
            if self._statistics is None:
                self._start += data
                if (header := npy.read_header(self._start)) is None:
                    return
                self._expected_bytes = npy.total_bytes(header)
                if self._check is not None:
                    self._check(header.shape, self._expected_bytes)
                table = None if self._report is None else self._report.table
                coded = None if table is None else TableSchema.from_json(table)
                self._statistics = Statistics(header) if coded is None else CodedStatistics(header, coded)
                self._shape, self._dtype = header.shape, header.dtype.str
                self._take(memoryview(self._start), header.offset)
                self._start = b""
            else:
                self._take(memoryview(data), 0)
        except SampleError as error:
            raise InvalidError(str(error), field="body") from error

    def _take(self, data: memoryview, offset: int) -> None:
        if self._file.bytes + len(data) > self._expected_bytes:
            raise InvalidError(
                f"the body is longer than the {self._expected_bytes:,} bytes that its header declares", field="body"
            )
        # In parallel: statistics and sha256 each take about as long as the disk write, and both release the GIL.
        checked = _pool.submit(self._statistics.update, data[offset:]) if self._statistics is not None else None
        try:
            self._file.write(data)
        finally:
            if checked is not None:
                checked.result()

    def finish(self, tenant_id: str, name: str | None) -> SampleSet:
        """Check that the body is complete and flush it to disk. Returns the row to store."""
        if self._statistics is None:
            what = "is empty" if not self._start else "ends inside the .npy header"
            raise InvalidError(f"the body {what}; send the array as numpy.save writes it", field="body")
        if self._file.bytes != self._expected_bytes:
            raise InvalidError(
                f"the body is truncated: its header declares {self._expected_bytes:,} bytes, {self._file.bytes:,} "
                "came; send it again",
                field="body",
            )
        try:
            self._statistics.end()
        except SampleError as error:
            raise InvalidError(str(error), field="body") from error
        self._file.seal()
        report = self._report or Report()
        return SampleSet(
            id=new_id("ss"), tenant_id=tenant_id, name=name if name is not None else report.name,
            sha256=self._file.sha256, bytes=self._file.bytes, rows=self._shape[0], shape=list(self._shape),
            dtype=self._dtype, statistics=self._statistics.to_json(), column_names=report.columns,
            table_schema=report.table, notes=report.notes or None, file_sha256=self._file.sha256,
            created_at=time.time(),
        )  # fmt: skip


class SampleSets:
    """The sample sets of all tenants."""

    def __init__(self, database: Database, storage: Storage, decoders: Decoders) -> None:
        self._database = database
        self._storage = storage
        self._decoders = decoders
        self._splitting = threading.Lock()

    def add_parts(
        self, room: Room, name: str | None, parts: Sequence[Path], kind: Format, take: Selection, also: Also
    ) -> tuple[SampleSet, bool]:
        """Check and store a body that is split over several files."""
        with self._storage.incoming() as file:
            if not is_kept_as_sent(kind, take):
                for block in _blocks(parts):
                    file.write(block)
                file.seal()
                return self.add_decoded(room, name, file, kind, take, also)
            receiver = NpyReceiver(file)
            for block in _blocks(parts):
                receiver.feed(block)
            return self.add(file, receiver.finish(room.tenant_id, name), room, also)

    def add_decoded(
        self, room: Room, name: str | None, body: Incoming, kind: Format, take: Selection, also: Also | None = None
    ) -> tuple[SampleSet, bool]:
        """Decode a complete body in a format other than .npy, then check it and store it as .npy.

        Raises QuotaError once the decoder would write more than the caller may still store.
        """
        with self._storage.decoded() as file:
            with self._within(room, body) as left:
                report = self._decoders.decode(body.path, kind, take, file, left)
            receiver = NpyReceiver(file, report)
            for block in _blocks([file.path]):
                receiver.feed(block)
            row = receiver.finish(room.tenant_id, name)
            row.file_sha256 = body.sha256
            row.reading = _reading(take) or None
            return self.add(file, row, room, also)

    @contextmanager
    def _within(self, room: Room, body: Incoming) -> Iterator[int | None]:
        """How many bytes may be decoded from a body. Raises QuotaError where the decoder found that they are more.

        A body that was sent before may give again what its sets have: no new one is stored then.
        """
        with self._database.read() as session:
            left = room.left(session)
            if left is not None:
                same = tenancy.owned(SampleSet, room.tenant_id).where(SampleSet.file_sha256 == body.sha256)
                left = max(left, sum(row.bytes for row in session.scalars(same)))
        try:
            yield left
        except NoRoomError:
            raise room.refusal(left or 0) from None

    def add_levels(
        self, room: Room, name: str | None, body: Incoming, kind: Format, take: Selection, of: LevelsOf
    ) -> list[tuple[SampleSet, bool]]:
        """Decode a complete table and store the rows of each level as a set of its own, all or none.

        A set is called by its level, behind the name if there is one.
        """
        with ExitStack() as files:
            files.enter_context(self._splitting)  # it holds as many files open as there are levels
            whole, split = (files.enter_context(self._storage.decoded()) for _ in range(2))
            with self._within(room, body) as left:
                report = self._decoders.split(body.path, kind, take, of, whole, split, left)
            received = []
            with split.path.open("rb") as source:
                for level, size in report.sets:
                    file = files.enter_context(self._storage.incoming())
                    receiver = NpyReceiver(file, report)
                    for block in _blocks_of(source, size):
                        receiver.feed(block)
                    row = receiver.finish(room.tenant_id, name_of_level(name, level))
                    row.file_sha256 = body.sha256
                    row.reading = {**_reading(take), "by": of.by, "level": level}
                    received.append((file, row))
            return self._add_all(received, room)

    def add(self, file: Incoming, row: SampleSet, room: Room, also: Also | None = None) -> tuple[SampleSet, bool]:
        """Store a received set. Returns it, and whether it is new: each tenant keeps the same set once.

        `also` runs in the same transaction after any set. Raises QuotaError for a new set for which there is no room.
        """
        return self._add_all([(file, row)], room, also)[0]

    @retried_after_races
    def _add_all(
        self, received: Sequence[tuple[Incoming, SampleSet]], room: Room, also: Also | None = None
    ) -> list[tuple[SampleSet, bool]]:
        """Store several sets in one transaction."""
        for file, _ in received:
            self._storage.send(file)
        with self._database.write() as session:
            self._database.hold(session, *(row.sha256 for _, row in received))
            new: dict[str, SampleSet] = {}  # by identity: levels may have the same rows, and names that become equal
            stored = []
            for _, row in received:
                row.identity = identity_of(row)
                if (found := new.get(row.identity) or stored_as(session, row)) is None:
                    row.stored_bytes = row.bytes + bytes_beside_files(
                        row.statistics, row.column_names, row.table_schema, row.notes, row.reading
                    )
                    new[row.identity] = row
                else:
                    complete(found, row)
                stored.append((found or row, found is None))
            if new:
                room.admit(session, sum(row.stored_bytes for row in new.values()))
            for file, _ in received:  # also of known sets: what was stored may be damaged
                self._storage.place(file)
            session.add_all(new.values())
            if also is not None:
                for row, _ in stored:
                    also(session, row)
            return stored

    @retried_after_races
    def name_columns(self, tenant_id: str, sample_set_id: str, names: list[str]) -> SampleSet:
        """Name the columns of a stored table. Raises InvalidError, and ConflictError if they have other names."""
        with self._database.write() as session:
            row = tenancy.find(session, SampleSet, tenant_id, sample_set_id, lock="update")
            names = checked_names(row, names)
            with session.no_autoflush:
                name_columns(row, names)
                if (twin := twin_of(session, row)) is not None:
                    raise ConflictError(f"{called(twin)} has the same values with these names of columns: use that set")
            row.identity = identity_of(row)
            return row

    def delete(self, tenant_id: str, sample_set_id: str, unless_used_after: float = math.inf) -> None:
        """Delete a set. Raises ConflictError while a queued or running job needs it, and if it was sent again since."""

        def rows(session: Session) -> list[str]:
            row = tenancy.find(session, SampleSet, tenant_id, sample_set_id, lock="update")
            if (row.used_at or 0.0) > unless_used_after:
                raise ConflictError(f"{called(row)} was used again")
            if (use := use_of(session, row.id)) is not None:
                raise ConflictError(f"{called(row)} is {use}")
            session.delete(row)
            return [row.sha256]

        delete_with_files(self._database, self._storage, rows)


def _reading(take: Selection) -> dict[str, Any]:
    return take.model_dump(mode="json", exclude_defaults=True)


def _blocks_of(source: BinaryIO, size: int) -> Iterator[bytes]:
    """The next bytes of a file, `size` in all."""
    while size > 0 and (block := source.read(min(size, _BLOCK_BYTES))):
        size -= len(block)
        yield block


def _blocks(paths: Sequence[Path]) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                yield block


def is_in_use(session: Session, sample_set_id: str) -> bool:
    """Whether a monitor, or a job that is queued or running, needs the set."""
    return use_of(session, sample_set_id) is not None


def use_of(session: Session, sample_set_id: str) -> str | None:
    """What needs a set, as in "it is `used by ...`"; None if nothing does."""
    if (monitored := _monitor_use(session, sample_set_id)) is not None:
        return monitored
    evaluated = select(Evaluation.id).where(Evaluation.sample_set_id == sample_set_id)
    if session.execute(evaluated.where(Evaluation.status.in_(ACTIVE)).limit(1)).first():
        return "used by a queued or running evaluation; wait for it or delete it"
    if _is_estimated(session, sample_set_id):
        return "used by a queued or running estimate; wait for it or cancel it"
    return None


def _monitor_use(session: Session, sample_set_id: str) -> str | None:
    """A monitor needs the reference of its current epoch, and an update its batch until it has ended."""
    current = (
        select(Monitor.id)
        .join(MonitorEpoch, and_(MonitorEpoch.monitor_id == Monitor.id, MonitorEpoch.number == Monitor.epoch))
        .where(MonitorEpoch.reference_id == sample_set_id)
    )
    if (monitor := session.scalars(current.limit(1)).first()) is not None:
        return f"the reference of {monitor}; delete the monitor, or begin an epoch with another reference"
    updates = select(MonitorUpdate.id).where(MonitorUpdate.sample_set_id == sample_set_id)
    if (update := session.scalars(updates.where(MonitorUpdate.status.in_(ACTIVE)).limit(1)).first()) is not None:
        return f"the batch of {update}, which has not ended; wait for it or cancel it"
    return None


def _is_estimated(session: Session, sample_set_id: str) -> bool:
    """Whether a queued or running estimate needs the set."""
    for column in (Estimate.source_id, Estimate.target_id):
        query = select(Estimate.id).where(column == sample_set_id, Estimate.status.in_(ACTIVE)).limit(1)
        if session.execute(query).first() is not None:
            return True
    active = Estimate.status.in_(ACTIVE)
    for batch in session.scalars(select(Batch).where(Batch.id.in_(select(Estimate.batch_id).where(active)))):
        if batch.is_split_once and sample_set_id in (batch.first_set, *batch.labels_of_all):
            return True
        labelled = [key for key, labels in (batch.options.get("groups") or {}).items() if labels == sample_set_id]
        ends = or_(Estimate.source_id.in_(labelled), Estimate.target_id.in_(labelled))
        if labelled and session.execute(select(Estimate.id).where(Estimate.batch_id == batch.id, active, ends)).first():
            return True
    # Of an estimate by itself, the sets of group labels appear only in its options. Few are active at a time.
    named = cast(Estimate.own_options, Text).contains(f'"{sample_set_id}"', autoescape=True)
    query = select(Estimate.id).where(active, named).limit(1)
    return session.execute(query).first() is not None
