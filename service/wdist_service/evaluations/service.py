"""Evaluate a critic on a stored set of any size. Evaluations are rows of a table that the API processes work through.

One process at a time holds a row, for a lease measured by the database's clock. Every write checks the holder, so a
process that died or froze changes nothing. When its lease runs out, another process starts the evaluation again.

They are not a kind of job of the queue (jobs.py): a server without workers evaluates too, and an evaluation needs no
trainer and no torch.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import math
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import or_, select, update
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from wdist.data.columns import check_names
from wdist.data.tables.encoding import Encoding
from wdist.data.tables.schema import TableSchema
from wdist.errors import SampleError
from wdist_service import tenancy
from wdist_service.database import Database
from wdist_service.errors import InvalidError, RequestError, StorageUnavailableError, TooLargeError
from wdist_service.evaluations.evaluator import Evaluator, TooMuchError
from wdist_service.ids import new_id
from wdist_service.keys.quotas import Quota, admit_bytes, admit_evaluation
from wdist_service.queue.leases import renewed
from wdist_service.sample_sets.columns import called, names_of
from wdist_service.settings import Settings
from wdist_service.storage.damage import damage_of
from wdist_service.storage.files import DiskFullError, Incoming, Storage
from wdist_service.storage.references import discard_unused
from wdist_service.tables import Artifact, Estimate, Evaluation, SampleSet, Status

log = logging.getLogger("wdist.evaluations")
_POLL_SECONDS = 2.0
_PART_SECONDS = 10.0  # target time of one child: how often progress is reported, and what a crash loses
_FIRST_ROWS, _MOST_ROWS = 1_000, 200_000
_RENEWALS = 3  # how often the hold is renewed within one lease
_OPEN = (Status.QUEUED, Status.RUNNING)


class LostError(Exception):
    """The row is gone, or another process holds it."""


class Evaluations:
    """Accepts evaluations, and runs them one after the other in its own thread."""

    def __init__(self, database: Database, storage: Storage, evaluations: Evaluator, settings: Settings) -> None:
        self._database = database
        self._storage = storage
        self._evaluations = evaluations
        self._settings = settings
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    # --- called by the API

    def submit(
        self, tenant_id: str, estimate: Estimate, sample_set: SampleSet, *, width: int, gradient: bool, quota: Quota
    ) -> Evaluation:
        """Store and queue an evaluation, or return the identical one that exists. `width`: numbers in a gradient.

        Raises TooLargeError, and the errors of `quotas.admit_bytes` and `quotas.admit_evaluation`.
        """
        size = 8 * sample_set.rows * (width if gradient else 1) + 128
        if size > self._settings.max_upload_bytes:
            raise TooLargeError(
                f"the result would have {size:,} bytes, the limit is {self._settings.max_upload_bytes:,}; evaluate "
                "the set in parts",
                field="sample_set",
            )
        with self._database.write() as session:
            same = tenancy.owned(Evaluation, tenant_id).where(
                Evaluation.estimate_id == estimate.id, Evaluation.sample_set_id == sample_set.id,
                Evaluation.gradient == gradient, Evaluation.status != Status.FAILED,
            )  # fmt: skip
            if (earlier := session.execute(same.limit(1)).scalar_one_or_none()) is not None:
                return earlier
            tenancy.find(session, SampleSet, tenant_id, sample_set.id, field="sample_set", lock="share")
            tenancy.find(session, Estimate, tenant_id, estimate.id, lock="share")
            now = time.time()
            admit_bytes(session, tenant_id, quota, size, now)
            admit_evaluation(session, tenant_id, quota)
            row = Evaluation(
                id=new_id("ev"), tenant_id=tenant_id, estimate_id=estimate.id, sample_set_id=sample_set.id,
                gradient=gradient, status=Status.QUEUED, rows=sample_set.rows, done=0, bytes=size, created_at=now,
                held_until=0.0,
            )  # fmt: skip
            session.add(row)
        self._wake.set()
        return row

    def delete(self, tenant_id: str, evaluation_id: str, estimate_id: str) -> None:
        """Delete an evaluation, and stop it if it is running."""
        with self._database.write() as session:
            row = find(session, tenant_id, evaluation_id, estimate_id)
            session.delete(row)
        if row.sha256 is not None:
            discard_unused(self._database, self._storage, [row.sha256])

    # --- the thread

    def start(self) -> None:
        self._thread = threading.Thread(target=self._loop, name="evaluations", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, and requeue the running evaluation for another process or the next start."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_PART_SECONDS)

    def _loop(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                if not self.work():
                    self._wake.wait(_POLL_SECONDS)
            except Exception:  # the thread must survive an outage of the database or the bucket
                log.exception("cannot work on evaluations, trying again in %.0f s", _POLL_SECONDS)
                self._stopping.wait(_POLL_SECONDS)

    def work(self) -> bool:
        """Run the evaluation that has waited longest. Returns False if none is waiting."""
        token = secrets.token_hex(16)
        row = self._claim(token)
        if row is None:
            return False
        try:
            with self._kept(row, token):
                self._evaluate(row, token)
        except LostError:
            pass
        except (StorageUnavailableError, DatabaseError):
            self._give_back(row, token)
            raise
        except (RequestError, DiskFullError) as error:
            self._fail(row, token, "invalid", error.detail if isinstance(error, RequestError) else "the disk is full")
        except Exception as error:
            log.exception("an evaluation failed", extra={"evaluation": row.id})
            self._fail(
                row, token, "internal_error", f"the server met an unexpected {type(error).__name__}; see its log"
            )
        return True

    def _fail(self, row: Evaluation, token: str, type_: str, message: str) -> None:
        ended = {"status": Status.FAILED, "finished_at": time.time(), "holder": None, "bytes": 0}
        with contextlib.suppress(LostError):
            self._write(row, token, error={"type": type_, "message": message}, **ended)

    def _give_back(self, row: Evaluation, token: str) -> None:
        """Requeue the evaluation, to be started again by this process or another."""
        with self._database.write() as session:
            held = Evaluation.id == row.id, Evaluation.holder == token, Evaluation.status == Status.RUNNING
            given_back = {"status": Status.QUEUED, "holder": None, "held_until": 0.0, "done": 0}
            session.execute(update(Evaluation).where(*held).values(**given_back))

    def _claim(self, token: str) -> Evaluation | None:
        with self._database.read() as session:
            free = or_(Evaluation.status == Status.QUEUED, Evaluation.held_until < self._database.now(session))
            query = select(Evaluation.id).where(Evaluation.status.in_(_OPEN), free).order_by(Evaluation.id).limit(1)
            if (found := session.execute(query).scalar_one_or_none()) is None:
                return None
        with self._database.write() as session:
            now = self._database.now(session)
            free = or_(Evaluation.status == Status.QUEUED, Evaluation.held_until < now)
            values = {"status": Status.RUNNING, "holder": token, "held_until": now + self._settings.lease_seconds}
            taken = update(Evaluation).where(Evaluation.id == found, Evaluation.status.in_(_OPEN), free)
            if session.execute(taken.values(done=0, **values).returning(Evaluation.id)).first() is None:
                return None
            return session.get_one(Evaluation, found)

    def _evaluate(self, row: Evaluation, token: str) -> None:
        """Evaluate all parts into one .npy file. Raises LostError, RequestError and DiskFullError."""
        with self._database.read() as session:
            sample_set = session.get(SampleSet, row.sample_set_id)
            critic = critic_files(session, self._storage, row.estimate_id)
        if sample_set is None:
            raise InvalidError(f"there is no sample set {row.sample_set_id!r} any more")
        with self._evaluations.folder() as folder, self._storage.incoming() as file:
            rows = rows_of(self._storage, sample_set, folder)
            table = check_columns(critic, sample_set)
            for done in self._parts(row, critic, rows, table, file):
                self._write(row, token, done=done)
            file.seal()
            self._storage.send(file)
            with self._database.write() as session:
                self._database.hold(session, file.sha256)
                ended = {"status": Status.SUCCEEDED, "sha256": file.sha256, "bytes": file.bytes}
                self._change(session, row, token, ended | {"finished_at": time.time(), "holder": None})
                self._storage.place(file)

    def _parts(
        self, row: Evaluation, critic: Mapping[str, Path], rows: Path, table: dict[str, Any] | None, file: Incoming
    ) -> Iterator[int]:
        """Write the result part by part and yield the rows done. Parts are sized to take about _PART_SECONDS each."""
        done, size = 0, _FIRST_ROWS
        while done < row.rows:
            if self._stopping.is_set():
                raise LostError
            stop = min(row.rows, done + size)
            started = time.monotonic()
            try:
                with self._evaluations.folder() as folder:
                    what = "gradient" if row.gradient else "values"
                    part = np.load(
                        self._evaluations.run(folder, critic, rows, what, (done, stop), table), mmap_mode="r"
                    )
                    if done == 0:
                        file.write(_header(row.rows, part))
                    file.write(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
            except TooMuchError:
                if size == 1:
                    raise
                size = max(1, size // 4)
                continue
            done = stop
            seconds = max(0.1, time.monotonic() - started)
            size = min(_MOST_ROWS, max(1, int(size * min(8.0, _PART_SECONDS / seconds))))
            yield done

    @contextmanager
    def _kept(self, row: Evaluation, token: str) -> Iterator[None]:
        """Renew the hold until the block ends. Requeue the evaluation if this process is stopping."""

        def renew() -> bool:
            with contextlib.suppress(LostError, DatabaseError):  # the next write detects the loss, or tries again
                self._write(row, token)
            return True

        try:
            with renewed(self._settings.lease_seconds / _RENEWALS, renew):
                yield
        finally:
            if self._stopping.is_set():
                self._give_back(row, token)

    def _write(self, row: Evaluation, token: str, **values: object) -> None:
        with self._database.write() as session:
            self._change(session, row, token, values)

    def _change(self, session: Session, row: Evaluation, token: str, values: Mapping[str, object]) -> None:
        held_until = self._database.now(session) + self._settings.lease_seconds
        held = Evaluation.id == row.id, Evaluation.holder == token
        statement = update(Evaluation).where(*held).values(**{"held_until": held_until, **values})
        if session.execute(statement.returning(Evaluation.id)).first() is None:
            raise LostError


def find(session: Session, tenant_id: str, evaluation_id: str, estimate_id: str) -> Evaluation:
    """One evaluation of one estimate. Raises NotFoundError."""
    tenancy.find(session, Estimate, tenant_id, estimate_id)
    row = tenancy.find(session, Evaluation, tenant_id, evaluation_id)
    if row.estimate_id != estimate_id:
        raise tenancy.missing(Evaluation, evaluation_id)
    return row


def critic_files(session: Session, storage: Storage, estimate_id: str) -> dict[str, Path]:
    """The stored files of an estimate's critic, by their names in its directory."""
    query = select(Artifact).where(Artifact.estimate_id == estimate_id, Artifact.name.like("critic.%"))
    with damage_of(f"the critic of {estimate_id}", "run the estimate again"):
        return {row.name: storage.path(row.sha256) for row in session.execute(query).scalars()}


def rows_of(storage: Storage, row: SampleSet, folder: Path | None = None) -> Path:
    """The file of a stored set, for as long as `folder` if there is one. Raises DamagedError, by name."""
    with damage_of(f"sample set {called(row)}"):
        return storage.path(row.sha256) if folder is None else storage.keep(row.sha256, folder)


def check_columns(critic: Mapping[str, Path], row: SampleSet) -> dict[str, Any] | None:
    """How a stored set becomes rows of the critic: its schema and the encoding; None if it holds these rows.

    Raises InvalidError if the set has other columns than those that the critic was trained on.
    """
    document = json.loads(critic["critic.json"].read_text())
    try:
        check_names(document.get("columns"), names_of(row), "the critic", called(row), by_position=True)
        return _coding(document.get("recipe") or {}, row)
    except SampleError as error:
        raise InvalidError(str(error), field="sample_set") from error


def _coding(recipe: Mapping[str, Any], row: SampleSet) -> dict[str, Any] | None:
    if recipe.get("encoding") is None:
        if row.table_schema is not None:
            raise SampleError(f"the critic takes plain numbers, {called(row)} is a table of other columns, too")
        return None
    encoding = Encoding.from_json(recipe["encoding"])
    if row.table_schema is not None:
        schema = TableSchema.from_json(row.table_schema)
    elif names_of(row) is None and row.shape[1:] == [len(encoding.columns)]:
        return None  # as `wdist encode` writes them
    elif len(row.shape) == 2:
        schema = TableSchema.of_numbers(names_of(row) or [str(k) for k in range(row.shape[1])])
    else:
        raise SampleError(f"the critic takes tables, {called(row)} has rows of shape {tuple(row.shape[1:])}")
    encoding.check(schema, called(row))
    if schema.has_levels_of_missing and not encoding.schema.has_levels_of_missing:
        columns = row.statistics["columns"]
        if columns is None or any(column["missing"] for column in columns):
            raise SampleError(f"{called(row)} has missing values, for which the critic has no level")
    return {"schema": schema.to_json(), "encoding": recipe["encoding"]}


def numbers_in_a_row(critic: Mapping[str, Path], row: SampleSet) -> int:
    """How many numbers the critic takes of a row of the set, and so how many its gradient has."""
    recipe = json.loads(critic["critic.json"].read_text()).get("recipe") or {}
    if recipe.get("encoding") is None:
        return math.prod(row.shape[1:])
    return len(Encoding.from_json(recipe["encoding"]).columns)


def _header(rows: int, part: NDArray[Any]) -> bytes:
    """Header of an .npy file with `rows` rows of the same shape and type as those of `part`."""
    header = io.BytesIO()
    described = {"descr": part.dtype.str, "fortran_order": False, "shape": (rows, *part.shape[1:])}
    np.lib.format.write_array_header_1_0(header, described)
    return header.getvalue()
