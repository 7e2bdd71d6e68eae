"""Batches: many estimates submitted together, all or none. A matrix batch compares every pair of K sets."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from wdist.definitions.results.withdrawn import withdrawn
from wdist.inference.comparison import statements_needed
from wdist.inference.pair_matrix import TOGETHER, UpperKind, common_kind, common_units, pair_matrix, places, words_of
from wdist_service import tenancy
from wdist_service.database import Database, retried_after_races
from wdist_service.errors import ConflictError, InvalidError, NotFoundError
from wdist_service.estimates.checks import check_groups, check_pair
from wdist_service.estimates.cost import job_seconds
from wdist_service.estimates.labels import label_batch
from wdist_service.estimates.service import Estimates, Submission
from wdist_service.ids import new_id
from wdist_service.keys.quotas import Quota, admit_bytes, admit_jobs, bytes_beside_files
from wdist_service.queue import owners
from wdist_service.queue.dispatch import Queue
from wdist_service.sample_sets.columns import called
from wdist_service.tables import ACTIVE, TERMINAL, Batch, Estimate, Job, SampleSet, Status

MAX_PAIRS = 5_000  # in one transaction, which holds SQLite's write lock
_RESULTS_AT_ONCE = 200
Kind = Literal["pairs", "matrix", "reference"]


@dataclass(frozen=True)
class Pair:
    """One comparison of a batch. `where` is its place in the request, for error messages."""

    source: str
    target: str
    where: str
    custom_id: str | None = None


@dataclass(frozen=True)
class BatchSubmission:
    """A validated request for a batch. `sets` is all sets of a matrix, or the reference followed by the targets."""

    kind: Kind
    pairs: list[Pair]
    sets: list[str] | None
    options: dict[str, Any]
    priority: str = "normal"
    labels: dict[str, Any] = field(default_factory=dict)
    idempotency_key: str | None = None
    digests: tuple[str, ...] = ()  # of the request: the first is stored, any is recognised
    name: str | None = None


def matrix_pairs(sets: list[str]) -> list[Pair]:
    """Every pair (i, j) with i < j."""
    return [Pair(sets[i], sets[j], f"matrix.{j}") for i, j in places(len(sets), reference=False)]


def reference_pairs(reference: str, targets: list[str]) -> list[Pair]:
    """The reference paired with each target."""
    return [Pair(reference, target, f"targets.{k}") for k, target in enumerate(targets)]


@dataclass(frozen=True)
class MatrixWithdrawn:
    """Names of the withdrawn figures by row and column, why they are withdrawn, and what to do."""

    cells: list[list[list[str]]]
    reason: str
    action: str


@dataclass(frozen=True)
class Matrix:
    """Results of a matrix (K, K) or of a reference batch (1, targets), as arrays; nan where there is none yet."""

    rows: list[str]
    columns: list[str]
    figures: dict[str, NDArray[np.float64]]
    is_complete: bool
    units: str | None = None
    upper_kind: UpperKind | None = None
    withdrawn: MatrixWithdrawn | None = None
    estimates: list[list[str | None]] = field(default_factory=list)  # ids; None where there is no estimate
    statuses: list[list[Any]] = field(default_factory=list)  # of `Status`
    words: dict[str, Any] = field(default_factory=dict)  # as `words_of` returns them


class Batches:
    """The batches of all tenants."""

    def __init__(self, database: Database, queue: Queue, jobs: Estimates) -> None:
        self._database = database
        self._queue = queue
        self._jobs = jobs

    @retried_after_races
    def submit(self, tenant_id: str, given: BatchSubmission, quota: Quota) -> Batch:
        """Store and queue all estimates of the batch, or none.

        Raises NotFoundError and InvalidError, which name the pair, and the errors of `quotas.admit_jobs`.
        """
        with self._database.write() as session:
            key, digests = given.idempotency_key, given.digests
            if (earlier := tenancy.accepted_before(session, Batch, tenant_id, key, digests)) is not None:
                return earlier
            costs = self._check(session, tenant_id, given)
            admit_jobs(session, tenant_id, quota, costs, time.time())
            size = bytes_beside_files(given.options, given.labels, given.sets, [pair.custom_id for pair in given.pairs])
            admit_bytes(session, tenant_id, quota, size, time.time())
            statements = _statements(given)
            batch = Batch(
                id=new_id("batch"), tenant_id=tenant_id, name=given.name, kind=given.kind, sets=given.sets,
                size=len(given.pairs),
                options=given.options, priority=given.priority, labels=given.labels, created_at=time.time(),
                idempotency_key=given.idempotency_key, request_digest=next(iter(given.digests), None),
                is_split_once=given.sets is not None, statements=statements,
                stored_bytes=size,
            )  # fmt: skip
            session.add(batch)
            submissions = [  # without options and labels, which the batch has
                Submission(
                    pair.source, pair.target, {}, given.priority,
                    batch_id=batch.id, custom_id=pair.custom_id, position=position, cost_seconds=cost,
                )
                for position, (pair, cost) in enumerate(zip(given.pairs, costs, strict=True))
            ]  # fmt: skip
            rows = self._jobs.submit_all(session, tenant_id, submissions)
            batch.first_id, batch.last_id = rows[0].id, rows[-1].id
            label_batch(session, batch)
            return batch

    def _check(self, session: Session, tenant_id: str, given: BatchSubmission) -> list[float]:
        """Check that every pair can be compared. Returns the estimated seconds of each."""
        sets = _sets(session, tenant_id, (key for pair in given.pairs for key in (pair.source, pair.target)))
        for pair in given.pairs:
            for identifier in (pair.source, pair.target):
                if identifier not in sets:
                    raise NotFoundError(f"there is no sample set {identifier!r}", field=pair.where)
            try:
                check_pair(sets[pair.source], sets[pair.target], given.options)
            except InvalidError as error:
                is_option = error.field not in {"source", "target"}
                where = error.field if is_option else pair.where
                message = f"{called(sets[pair.source])} against {called(sets[pair.target])}: {error.detail}"
                raise InvalidError(error.detail if is_option else message, field=where) from error
        if (groups := given.options.get("groups")) is not None:
            labels = _sets(session, tenant_id, groups.values())
            if missing := sorted(set(groups.values()) - set(labels)):
                raise NotFoundError(f"there is no sample set {missing[0]!r}", field="groups")
            check_groups({key: labels[name] for key, name in groups.items()}, sets.values())
        return [job_seconds(sets[pair.source], sets[pair.target], given.options) for pair in given.pairs]

    def counts(self, session: Session, batches: Sequence[Batch]) -> dict[str, dict[str, int]]:
        """Estimates of each batch by state, without those that were deleted; by the batch's id."""
        counts = {batch.id: {str(status): 0 for status in Status} for batch in batches}
        mixed = [batch.id for batch in batches if batch.first_id is None]  # another version's
        # Ranges of ids are counted in an index. By `batch_id`, a page of 100 batches read every row of their estimates.
        ranges = (
            select(Batch.id, Job.status, func.count())
            .join(Job, and_(Job.tenant_id == Batch.tenant_id, Job.id.between(Batch.first_id, Batch.last_id)))
            .where(Batch.id.in_(counts), Job.kind == "estimate", Job.status.in_(list(Status)))
            .group_by(Batch.id, Job.status)
        )
        rows = select(Estimate.batch_id, Estimate.status, func.count()).where(Estimate.batch_id.in_(mixed))
        rows = rows.group_by(Estimate.batch_id, Estimate.status)
        for query in (ranges, rows) if mixed else (ranges,):
            for batch_id, status, count in session.execute(query):
                counts[str(batch_id)][str(status)] = count
        return counts

    @retried_after_races
    def cancel(self, tenant_id: str, batch_id: str) -> Batch:
        """Stop every estimate that is not finished, in one transaction."""
        with self._database.write() as session:
            batch = tenancy.find(session, Batch, tenant_id, batch_id)
            active = Estimate.batch_id == batch_id, Estimate.status.in_(ACTIVE)
            query = select(Estimate).where(*active).order_by(Estimate.id).with_for_update()
            estimates = list(session.execute(query).scalars())
            if estimates and batch.canceled_at is None:
                batch.canceled_at = time.time()
            withdrawn = owners.cancel_all(session, self._queue, estimates)
        self._queue.withdraw(withdrawn)
        return batch

    @retried_after_races
    def rename(self, tenant_id: str, batch_id: str, name: str | None) -> Batch:
        """Give a batch another name; None removes it."""
        with self._database.write() as session:
            batch = tenancy.find(session, Batch, tenant_id, batch_id, lock="update")
            batch.name = name
        return batch

    def results(self, batch_id: str) -> Iterator[list[Estimate]]:
        """Yield the batch's estimates in chunks, in the order of submission."""
        position = -1
        while True:
            with self._database.read() as session:
                query = select(Estimate).where(Estimate.batch_id == batch_id, Estimate.position > position)
                rows = list(session.execute(query.order_by(Estimate.position).limit(_RESULTS_AT_ONCE)).scalars())
            if not rows:
                return
            yield rows
            position = rows[-1].position or 0

    def matrix(self, batch: Batch) -> Matrix:
        """The results as a matrix. Raises ConflictError for a batch of explicit pairs."""
        if batch.sets is None:
            raise ConflictError(f"{batch.id} is a batch of explicit pairs; it has results, and no matrix")
        is_reference = batch.kind == "reference"
        rows, columns = (batch.sets[:1], batch.sets[1:]) if is_reference else (batch.sets, batch.sets)
        with self._database.read() as session:
            query = select(Estimate.position, Estimate.status, Estimate.result, Estimate.id)
            found = list(session.execute(query.where(Estimate.batch_id == batch.id)).tuples())
        results = [(position, result) for position, _, result, _ in found if position is not None]
        figures = pair_matrix(len(batch.sets), results, reference=is_reference)
        finished = sum(status in TERMINAL for _, status, _, _ in found)
        estimates = _in_cells(batch, {position: identifier for position, _, _, identifier in found})
        statuses = _in_cells(batch, {position: status for position, status, _, _ in found})
        marks = _withdrawn_cells(batch, results)
        known = [result for _, result in results if result is not None]
        words = words_of(rows, columns, results, figures)
        if marks is not None:
            words["answer"] = None
        return Matrix(
            list(rows), list(columns), figures, finished == batch.size, common_units(known), common_kind(known), marks,
            estimates, statuses, words,
        )  # fmt: skip


def status_of(batch: Batch, counts: dict[str, int]) -> str:
    """State of a batch: queued, running, canceling, finished or canceled."""
    active = sum(counts[status] for status in ACTIVE)
    if batch.canceled_at is not None:
        return "canceling" if active else "canceled"
    if not active:
        return "finished"
    return "queued" if counts[Status.QUEUED] == batch.size else "running"


def _sets(session: Session, tenant_id: str, identifiers: Iterable[str]) -> dict[str, SampleSet]:
    """The tenant's sets among these ids, by id. Ids that do not exist are left out."""
    named = sorted(key for key in set(identifiers) if "\0" not in key)  # PostgreSQL rejects NUL
    sets: dict[str, SampleSet] = {}
    for start in range(0, len(named), 500):  # SQLite limits the variables of a statement
        query = tenancy.owned(SampleSet, tenant_id).where(SampleSet.id.in_(named[start : start + 500]))
        locked = query.order_by(SampleSet.id).with_for_update(read=True)  # keeps them from being deleted
        sets |= {row.id: row for row in session.execute(locked).scalars()}
    return sets


def _in_cells(batch: Batch, values: dict[int | None, str]) -> list[list[str | None]]:
    """What each estimate of a batch has, by its position, as rows and columns of the matrix; mirrored."""
    is_reference, size = batch.kind == "reference", len(batch.sets or ())
    cells: list[list[str | None]] = [[None] * (size - is_reference) for _ in range(1 if is_reference else size)]
    for position, (i, j) in enumerate(places(size, reference=is_reference)):
        cells[i][j] = values.get(position)
        if not is_reference:
            cells[j][i] = cells[i][j]
    return cells


def _withdrawn_cells(batch: Batch, results: Sequence[tuple[int, dict[str, Any] | None]]) -> MatrixWithdrawn | None:
    """The withdrawn figures of a batch's matrix; None if there are none."""
    is_reference, size = batch.kind == "reference", len(batch.sets or ())
    where = places(size, reference=is_reference)
    found = {
        where[position]: mark for position, result in results if result is not None and (mark := withdrawn(result))
    }
    if not found:
        return None
    names = {place: list(mark.figures) for place, mark in found.items()}
    if len(where) == 1:  # of a single pair, the simultaneous bounds are its own
        own = names.get(where[0], [])
        both = [TOGETHER + name for name in ("lower_bound", "upper_bound") if name in own]
        names = {where[0]: list(dict.fromkeys([*own, *both]))}
    if any("p_value" in each for each in names.values()):  # Holm's adjustment of each pair uses all p-values
        known = [where[position] for position, result in results if result is not None]
        names = {place: [*names.get(place, ()), "adjusted_p_value"] for place in known}
    cells: list[list[list[str]]] = [
        [[] for _ in range(size - is_reference)] for _ in range(1 if is_reference else size)
    ]
    for (i, j), each in names.items():
        cells[i][j] = each
        if not is_reference:
            cells[j][i] = each
    reasons = dict.fromkeys(mark.reason for mark in found.values())
    return MatrixWithdrawn(cells, " ".join(reasons), next(iter(found.values())).action)


def _statements(given: BatchSubmission) -> int | None:
    """The option of each estimate, where the others decide on it; None: as given.

    With `simultaneous` each estimate also gets a bound that holds together with all the others; with `compare`, the
    bounds that a comparison of the targets needs.
    """
    if not (given.options.get("simultaneous") or given.options.get("compare")):
        return None
    needed = [given.options.get("statements", 1)]
    if given.options.get("simultaneous"):
        needed.append(len(given.pairs))
    if given.options.get("compare"):
        needed.append(statements_needed(len(given.pairs), given.options))
    return int(max(needed))
