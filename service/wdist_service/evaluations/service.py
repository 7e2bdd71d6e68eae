"""What owners do with evaluations of a critic on a stored set of any size, which are jobs of the queue."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from wdist.data.columns import check_names
from wdist.data.tables.encoding import levels_not_known
from wdist.errors import SampleError
from wdist_service import tenancy
from wdist_service.database import Database, retried_after_races
from wdist_service.errors import InvalidError, TooLargeError
from wdist_service.evaluations.coding import encoding_of, schema_of
from wdist_service.ids import new_id
from wdist_service.keys.quotas import Quota, admit_bytes, admit_evaluation
from wdist_service.queue import owners
from wdist_service.queue.dispatch import Queue
from wdist_service.sample_sets.columns import called, names_of
from wdist_service.settings import Settings
from wdist_service.storage.damage import damage_of
from wdist_service.storage.files import Storage
from wdist_service.storage.references import discard_unused
from wdist_service.tables import Artifact, Estimate, Evaluation, SampleSet, Status


class Evaluations:
    """Accepts and deletes evaluations."""

    def __init__(self, database: Database, queue: Queue, storage: Storage, settings: Settings) -> None:
        self._database = database
        self._queue = queue
        self._storage = storage
        self._settings = settings

    @retried_after_races
    def submit(
        self, tenant_id: str, estimate: Estimate, sample_set: SampleSet, *, width: int, gradient: bool, quota: Quota
    ) -> Evaluation:
        """Store and queue an evaluation, or return the equal one that exists. `width`: numbers in a gradient.

        Raises TooLargeError, and the errors of `quotas.admit_bytes` and `quotas.admit_evaluation`.
        """
        size = 8 * sample_set.rows * (width if gradient else 1) + 128
        if size > self._settings.max_upload_bytes:
            raise TooLargeError(
                f"the result would have {size:,} bytes, the limit is {self._settings.max_upload_bytes:,}; evaluate "
                "the set in parts",
                field="sample_set",
            )
        identity = f"{estimate.id}:{sample_set.id}:{'gradient' if gradient else 'values'}"
        with self._database.write() as session:
            tenancy.find(session, SampleSet, tenant_id, sample_set.id, field="sample_set", lock="share")
            # Equal requests wait for each other here, whichever replica they came to.
            tenancy.find(session, Estimate, tenant_id, estimate.id, lock="update")
            same = tenancy.owned(Evaluation, tenant_id).where(Evaluation.identity == identity)
            if (earlier := session.execute(same).scalar_one_or_none()) is not None:
                if earlier.status not in (Status.FAILED, Status.CANCELED):
                    return earlier
                earlier.identity = None
                session.flush()
            admit_bytes(session, tenant_id, quota, size, time.time())
            admit_evaluation(session, tenant_id, quota)
            row = Evaluation(
                id=new_id("ev"), tenant_id=tenant_id, status=Status.QUEUED, priority="normal", created_at=time.time(),
                attempt=1, failures=0, estimate_id=estimate.id, sample_set_id=sample_set.id, gradient=gradient,
                rows=sample_set.rows, bytes=size, identity=identity,
            )  # fmt: skip
            owners.submit(session, self._queue, [row])
            return row

    def delete(self, tenant_id: str, evaluation_id: str, estimate_id: str) -> None:
        """Delete an evaluation. The worker that runs it stops."""
        turns, hashes = self._delete(tenant_id, evaluation_id, estimate_id)
        self._queue.withdraw(turns)
        discard_unused(self._database, self._storage, hashes)

    @retried_after_races
    def _delete(self, tenant_id: str, evaluation_id: str, estimate_id: str) -> tuple[list[tuple[str, int]], list[str]]:
        """Delete the row. Returns the turns to withdraw, and the sha256 of the files."""
        with self._database.write() as session:
            row = find(session, tenant_id, evaluation_id, estimate_id, lock="update")
            turns = owners.cancel_all(session, self._queue, [row])
            return turns, owners.delete_jobs(session, self._queue, [row.id])


def find(
    session: Session, tenant_id: str, evaluation_id: str, estimate_id: str, lock: Literal["update"] | None = None
) -> Evaluation:
    """One evaluation of one estimate, locked as in `tenancy.find`. Raises NotFoundError."""
    tenancy.find(session, Estimate, tenant_id, estimate_id)
    row = tenancy.find(session, Evaluation, tenant_id, evaluation_id, lock=lock)
    if row.estimate_id != estimate_id:
        raise tenancy.missing(Evaluation, evaluation_id)
    return row


def critic_files(session: Session, storage: Storage, estimate_id: str) -> dict[str, Path]:
    """The stored files of an estimate's critic, by their names in its directory."""
    query = select(Artifact).where(Artifact.job_id == estimate_id, Artifact.name.like("critic.%"))
    with damage_of(f"the critic of {estimate_id}", "run the estimate again"):
        return {row.name: storage.path(row.sha256) for row in session.execute(query).scalars()}


def rows_of(storage: Storage, row: SampleSet) -> Path:
    """The file of a stored set. Raises DamagedError, by the set's name."""
    with damage_of(f"sample set {called(row)}"):
        return storage.path(row.sha256)


def check_columns(critic: Mapping[str, Path], row: SampleSet) -> tuple[dict[str, Any] | None, str | None]:
    """How a stored set becomes rows of the critic: its schema and the encoding, or None if it holds these rows.

    With it what to know of the scores: levels that the critic was trained without.
    Raises InvalidError if the set has other columns than those that the critic was trained on.
    """
    document = json.loads(critic["critic.json"].read_text())
    try:
        check_names(document.get("columns"), names_of(row), "the critic", called(row), by_position=True)
        encoding = encoding_of(document)
        schema = schema_of(encoding, row.shape, names_of(row), row.table_schema, called(row))
        if encoding is None or schema is None:
            return None, None
        if schema.has_levels_of_missing and not encoding.schema.has_levels_of_missing:
            columns = row.statistics["columns"]
            if columns is None or any(column["missing"] for column in columns):
                raise SampleError(f"{called(row)} has missing values, for which the critic has no level")
        note = "; ".join(levels_not_known(encoding, schema, "the critic", "the rows")) or None
        return {"schema": schema.to_json(), "encoding": document["recipe"]["encoding"]}, note
    except SampleError as error:
        raise InvalidError(str(error), field="sample_set") from error


def numbers_in_a_row(critic: Mapping[str, Path], row: SampleSet) -> int:
    """How many numbers the critic takes of a row of the set, and so how many its gradient has."""
    encoding = encoding_of(json.loads(critic["critic.json"].read_text()))
    return math.prod(row.shape[1:]) if encoding is None else len(encoding.columns)
