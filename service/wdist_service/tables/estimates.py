"""Estimates, their batches and evaluations."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    select,
)
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship, validates

from wdist_service.tables.base import Base, OwnedRow
from wdist_service.tables.jobs import Job
from wdist_service.tables.sample_sets import SampleSet
from wdist_service.text import search_key


class Estimate(Job):
    """A job comparing two sample sets, and its result."""

    prefix, noun = "est", "estimate"
    __tablename__ = "estimates"
    __mapper_args__ = {"polymorphic_identity": "estimate"}  # noqa: RUF012
    __table_args__ = (
        Index("ix_estimates_source", "source_id", "id"),
        Index("ix_estimates_target", "target_id", "id"),
        Index("ix_estimates_batch", "batch_id", "position"),
    )

    # Under a name of its own, so that `Estimate.id` is the column of `jobs`, by whose indexes lists are read.
    job_id: Mapped[str] = mapped_column("id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    source_id: Mapped[str] = mapped_column(String(40))
    target_id: Mapped[str] = mapped_column(String(40))
    # Empty in an estimate of a batch, which has them once for all of its estimates; an earlier version copied them.
    own_options: Mapped[dict[str, Any]] = mapped_column("options")
    own_labels: Mapped[dict[str, Any]] = mapped_column("metadata")
    result: Mapped[dict[str, Any] | None]
    curve: Mapped[list[Any] | None] = mapped_column(deferred=True)
    batch_id: Mapped[str | None] = mapped_column(String(40))
    custom_id: Mapped[str | None] = mapped_column(String(64))
    position: Mapped[int | None]
    batch: Mapped[Batch | None] = relationship(
        primaryjoin="foreign(Estimate.batch_id) == Batch.id", viewonly=True, lazy="selectin"
    )
    # Read with the row: a set may have been deleted, and its name with it. Changing the row changes neither.
    source_name: Mapped[str | None] = column_property(
        select(SampleSet.name).where(SampleSet.id == source_id).correlate_except(SampleSet).scalar_subquery(),
        expire_on_flush=False,
    )
    target_name: Mapped[str | None] = column_property(
        select(SampleSet.name).where(SampleSet.id == target_id).correlate_except(SampleSet).scalar_subquery(),
        expire_on_flush=False,
    )

    @property
    def name(self) -> str | None:
        """Its owner's name for it."""
        return self.own_name

    @property
    def options(self) -> dict[str, Any]:
        """What it was asked."""
        if self.own_options or self.batch_id is None or self.batch is None:
            return self.own_options
        return self.batch.options_of_pair(self.source_id, self.target_id)

    @property
    def labels(self) -> dict[str, Any]:
        """Its owner's labels, `metadata` in requests and answers."""
        if self.own_labels or self.batch_id is None or self.batch is None:
            return self.own_labels
        return self.batch.labels


class Evaluation(Job):
    """A job evaluating a critic, or its gradient, on every row of a stored set."""

    prefix, noun = "ev", "evaluation"
    __tablename__ = "evaluations"
    __mapper_args__ = {"polymorphic_identity": "evaluation"}  # noqa: RUF012
    __table_args__ = (
        Index("ix_evaluations_estimate", "estimate_id", "id"),
        Index("ix_evaluations_sample_set", "sample_set_id"),
    )

    job_id: Mapped[str] = mapped_column("id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    estimate_id: Mapped[str] = mapped_column(ForeignKey("estimates.id"))
    sample_set_id: Mapped[str] = mapped_column(String(40))
    gradient: Mapped[bool]
    rows: Mapped[int] = mapped_column(BigInteger)
    bytes: Mapped[int] = mapped_column(BigInteger)  # of the .npy file, or its expected size before there is one
    identity: Mapped[str | None] = mapped_column(String(100), unique=True)  # what it evaluates; None: it failed


_OF_BATCHES = frozenset({"simultaneous", "compare"})  # options that a single estimate does not have


class Batch(OwnedRow):
    """Estimates submitted together. Its state follows from theirs, except that a cancellation is recorded."""

    prefix, noun = "batch", "batch"
    __tablename__ = "batches"
    __table_args__ = (UniqueConstraint("tenant_id", "idempotency_key"), Index("ix_batches_tenant", "tenant_id", "id"))

    name: Mapped[str | None] = mapped_column(String(200))
    name_key: Mapped[str | None] = mapped_column(Text)  # the name as a search compares it
    kind: Mapped[str] = mapped_column(String(16))  # pairs | matrix | reference
    sets: Mapped[list[Any] | None]  # of a matrix: all; of a reference batch: the reference, then the targets
    size: Mapped[int]
    options: Mapped[dict[str, Any]]
    priority: Mapped[str] = mapped_column(String(8))
    labels: Mapped[dict[str, Any]] = mapped_column("metadata")
    created_at: Mapped[float]
    canceled_at: Mapped[float | None]
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    request_digest: Mapped[str | None] = mapped_column(String(64))
    # Of a matrix: each set is split once for all its pairs, and the first one fixes the unit. None: another version's,
    # which split and scaled each pair by itself; what it has trained must not be taken up with another split.
    is_split_once: Mapped[bool | None]
    statements: Mapped[int | None]  # option of each estimate, if the batch's other options decide on it
    # Its estimates have the ids from the first to the last, and no others do; None: of a version that mixed them.
    first_id: Mapped[str | None] = mapped_column(String(40))
    last_id: Mapped[str | None] = mapped_column(String(40))
    stored_bytes: Mapped[int] = mapped_column(BigInteger, default=0)  # of a long request, as in `Job`

    @validates("name")
    def _is_found_by(self, _: str, name: str | None) -> str | None:
        self.name_key = None if name is None else search_key(name)
        return name

    def options_of_pair(self, source_id: str, target_id: str) -> dict[str, Any]:
        """The options of the estimate of two of its sets."""
        options = {name: value for name, value in self.options.items() if name not in _OF_BATCHES}
        if (groups := options.get("groups")) is not None:
            options["groups"] = {key: groups[key] for key in dict.fromkeys((source_id, target_id))}
        if self.statements is not None:
            options["statements"] = self.statements
        return options

    # What each estimate of a matrix needs beside its own two sets.

    @property
    def first_set(self) -> str:
        return str((self.sets or [""])[0])

    @property
    def labels_of_all(self) -> list[str]:
        """The sets of group labels, in the order of `sets`; none without groups."""
        labels = self.options.get("groups") or {}
        return [labels[key] for key in self.sets or ()] if labels else []


class JobLabel(Base):
    """A label by which estimates are found: of one, or of all those of a batch, whose ids are consecutive.

    No two entries of one label overlap, so that the entries in the order of `first_id` give estimates in the order of
    their ids.
    """

    __tablename__ = "job_labels"

    label: Mapped[str] = mapped_column(String(32), primary_key=True)  # estimates/labels.py: digest of owner, key, value
    first_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    last_id: Mapped[str] = mapped_column(String(40))
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    batch_id: Mapped[str | None] = mapped_column(ForeignKey("batches.id", ondelete="CASCADE"), index=True)
