"""The kind of job that an estimate is: what its trainer needs, and which others it runs together with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wdist.inference.pair_matrix import NAME_OF_FIRST, places
from wdist_service.queue.kinds import JobKind, Work
from wdist_service.sample_sets.columns import names_of
from wdist_service.tables import Batch, Estimate, Holder, Job, SampleSet, Status

# Limits on estimates that are claimed together: seconds of each, seconds of all, bytes of all their sample sets.
_SMALL_SECONDS, _TOGETHER_SECONDS, _TOGETHER_BYTES = 10.0, 60.0, 64 << 20


class EstimateKind(JobKind[Estimate]):
    """Estimates: training.py runs them, several small ones of a batch together."""

    table = Estimate
    runner = "wdist_service.estimates.training"

    def work(self, session: Session, job: Estimate) -> Work:
        options = dict(job.options)
        sets = {"source": job.source_id, "target": job.target_id}
        labels = options.pop("groups", None)
        batch = None if job.batch_id is None else session.get(Batch, job.batch_id)
        more: dict[str, Any] = {}
        if batch is not None and batch.is_split_once and job.position is not None:
            more["numbers"] = numbers_of(batch, job.position)
            sets |= {"first": batch.first_set}
            sets |= {f"groups_{number}": key for number, key in enumerate(batch.labels_of_all)}
        elif labels is not None:  # one label for each row of source and of target
            sets |= {f"groups_{number}": labels[key] for number, key in enumerate(list(sets.values()))}
        rows = {name: session.get_one(SampleSet, key) for name, key in sets.items()}
        if "first" in rows and not _needs_first(options, rows.values()):
            del rows["first"]
        if "first" in rows:
            more["name"] = rows["first"].name or NAME_OF_FIRST
        described = {name: description_of(row) for name, row in rows.items()}
        return Work(options, {name: row.sha256 for name, row in rows.items()}, described, more)

    def companions(self, session: Session, first: Estimate, most: int) -> list[str]:
        """Small estimates that wait behind `first` in its batch, at most its slot's share of them.

        Guided self-scheduling (Polychronopoulos and Kuck, 1987): a slot takes the remaining work divided by the slots.
        """
        if not _is_small(first):
            return []
        slots = int(session.execute(select(func.sum(Holder.slots)).where(Holder.beat_at > 0)).scalar_one() or 1)
        waiting = (
            select(Estimate)
            .where(
                Estimate.batch_id == first.batch_id, Estimate.position > first.position, Estimate.attempt == 1,
                Estimate.status == Status.QUEUED,
            )
            .order_by(Estimate.position)
        )  # fmt: skip
        count = len(session.execute(waiting.with_only_columns(Estimate.id).limit(slots * most)).all())
        part = min(most, math.ceil((1 + count) / slots)) - 1
        seconds, taken, held = first.cost_seconds or 0.0, [], _bytes(session, first)
        # Skip rows that another transaction has locked: waiting for them would require locking in the order of ids.
        free = waiting.limit(part).with_for_update(skip_locked=True, of=Job)
        for row in session.execute(free).scalars() if part else ():
            seconds, held = seconds + (row.cost_seconds or 0.0), held + _bytes(session, row)
            if not _is_small(row) or seconds > _TOGETHER_SECONDS or held > _TOGETHER_BYTES:
                break
            taken.append(row.id)
        return taken


ESTIMATE = EstimateKind()


def _needs_first(options: Mapping[str, Any], rows: Iterable[SampleSet]) -> bool:
    """Whether the first set of a matrix fixes units, or the centres of columns with missing values, for all pairs."""
    has_missing = any(row.table_schema is not None and row.table_schema["missing"] for row in rows)
    return options.get("scale") in ("standardize", "robust") or has_missing


def description_of(row: SampleSet) -> dict[str, Any]:
    """What the trainer is told of a set, as `wdist.data.sources.files.FileRows` has it.

    The set of a level is a part of its file, which the file's digest and its reading do not give again.
    """
    reading = row.reading or {}
    is_part = "by" in reading
    return {
        "name": row.name or row.id, "columns": names_of(row), "table": row.table_schema, "notes": row.notes or [],
        "reading": {} if is_part else reading, "file_sha256": None if is_part else row.file_sha256,
    }  # fmt: skip


def numbers_of(batch: Batch, position: int) -> tuple[int, int]:
    """The numbers of the two sets of an estimate in the list of its batch's matrix."""
    is_reference = batch.kind == "reference"
    i, j = places(len(batch.sets or ()), reference=is_reference)[position]
    return (i, j + 1) if is_reference else (i, j)


def _is_small(row: Estimate) -> bool:
    """Whether it may be taken with others of its batch; the clock of one that has seconds would run for all."""
    cost = math.inf if row.cost_seconds is None else row.cost_seconds
    return row.batch_id is not None and cost <= _SMALL_SECONDS and row.options.get("max_seconds") is None


def _bytes(session: Session, row: Estimate) -> int:
    return sum(session.get_one(SampleSet, key).bytes for key in (row.source_id, row.target_id))
