"""Request and response models of batches."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from wdist.definitions.comparison import ComparisonFigures
from wdist.errors import OptionError
from wdist.inference.comparison import statements_needed
from wdist_service.batches.service import (
    MAX_PAIRS,
    BatchSubmission,
    Pair,
    matrix_pairs,
    reference_pairs,
    status_of,
)
from wdist_service.estimates.schemas import Label, Metadata, Options, Priority, SetId, StatusName
from wdist_service.http.schemas import GivenName, View, maybe_rfc3339, rfc3339
from wdist_service.tables import Batch

_EXAMPLE: list[JsonValue] = [
    "ss_01jd3v5q3k8e9x7w2m4n6p8r0t",
    "ss_01jd3v5zz0c2e4g6j8m0p2r4t6",
    "ss_01jd3v6b1d3f5h7k9n1q3s5v7x",
]
_MAX_SETS = 100  # 4,950 pairs
BatchStatus = Literal["queued", "running", "canceling", "finished", "canceled"]
Figure = Literal[
    "value", "lower_bound", "simultaneous_lower_bound", "upper_bound", "simultaneous_upper_bound", "p_value",
    "adjusted_p_value",
]  # fmt: skip


class PairRequest(BaseModel):
    """One comparison."""

    model_config = ConfigDict(extra="forbid")

    source: SetId
    target: SetId
    custom_id: Label | None = Field(default=None, description="Your name for this pair, unique in the batch.")


class BatchRequest(Options):
    """Exactly one of `pairs`, `matrix`, or `reference` with `targets`; the options hold for every pair."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"matrix": _EXAMPLE, "confidence": 0.99},
                {"reference": _EXAMPLE[0], "targets": _EXAMPLE[1:], "compare": True},
                {"pairs": [{"custom_id": "week-47", "source": _EXAMPLE[0], "target": _EXAMPLE[1]}]},
            ]
        },
    )

    name: GivenName | None = Field(default=None, description="Your name for it, by which it is found in lists.")
    pairs: Annotated[list[PairRequest], Field(min_length=1, max_length=MAX_PAIRS)] | None = None
    matrix: Annotated[list[SetId], Field(min_length=2, max_length=_MAX_SETS)] | None = Field(
        default=None, description="Every pair of these sets."
    )
    reference: SetId | None = Field(default=None, description="The source of every pair.")
    targets: Annotated[list[SetId], Field(min_length=1, max_length=MAX_PAIRS)] | None = None
    simultaneous: bool = Field(
        default=False,
        description="Adds a simultaneous bound to each result: all of those of the batch hold together (Bonferroni).",
    )
    compare: bool = Field(
        default=False,
        description="Which target is closest to the reference? The estimates then share the error of the answer, see "
        "GET /v1/batches/{batch_id}/comparison.",
    )
    priority: Priority = "normal"
    metadata: Metadata = Field(default_factory=dict, description="Your own labels.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.reference is None) != (self.targets is None):
            raise ValueError("reference and targets belong together")
        if sum(given is not None for given in (self.pairs, self.matrix, self.targets)) != 1:
            raise ValueError("give exactly one of pairs, matrix, or reference with targets")
        for name in ("matrix", "targets"):
            sets = getattr(self, name)
            if sets is not None and len(set(sets)) != len(sets):
                raise ValueError(f"{name} names a set twice")
        if self.compare:
            self._check_comparison()
        names = [pair.custom_id for pair in self.pairs or () if pair.custom_id is not None]
        if len(set(names)) != len(names):
            raise ValueError("pairs uses a custom_id twice")
        return self

    def _check_comparison(self) -> None:
        if self.targets is None:
            raise ValueError("compare needs reference and targets")
        if self.reference in self.targets:
            raise ValueError("the reference is among the targets: leave it out there")
        try:
            statements_needed(len(self.targets), self.model_dump())
        except OptionError as error:
            raise ValueError(str(error)) from error

    def submission(self, idempotency_key: str | None) -> BatchSubmission:
        options = self.model_dump(include={*Options.model_fields, "simultaneous", "compare"})
        digests = self.digests() if idempotency_key else ()
        common = (options, self.priority, self.metadata, idempotency_key, digests, self.name)
        if self.matrix is not None:
            return BatchSubmission("matrix", matrix_pairs(self.matrix), self.matrix, *common)
        if self.reference is not None and self.targets is not None:
            pairs = reference_pairs(self.reference, self.targets)
            return BatchSubmission("reference", pairs, [self.reference, *self.targets], *common)
        pairs = [
            Pair(pair.source, pair.target, f"pairs.{k}", pair.custom_id) for k, pair in enumerate(self.pairs or ())
        ]  # fmt: skip
        return BatchSubmission("pairs", pairs, None, *common)


class CountsView(BaseModel):
    """Estimates by state."""

    total: int
    queued: int
    running: int
    canceling: int
    succeeded: int
    failed: int
    canceled: int


class BatchView(BaseModel):
    """Estimates submitted together. `sets`: of a matrix all; of a reference batch the reference, then the targets."""

    id: str
    object: Literal["batch"] = "batch"
    name: str | None = Field(default=None, description="Its owner's name for it; null if it has none.")
    status: BatchStatus
    kind: Literal["pairs", "matrix", "reference"]
    counts: CountsView
    sets: list[str] | None
    options: dict[str, Any]
    priority: Priority
    metadata: dict[str, str]
    created_at: str
    canceled_at: str | None


@View
def batch_view(row: Batch, counts: dict[str, int]) -> BatchView:
    """counts: its estimates by state."""
    return BatchView.model_validate(
        {
            "id": row.id,
            "name": row.name,
            "status": status_of(row, counts),
            "kind": row.kind,
            "counts": {"total": row.size, **counts},
            "sets": row.sets,
            "options": row.options,
            "priority": row.priority,
            "metadata": row.labels,
            "created_at": rfc3339(row.created_at),
            "canceled_at": maybe_rfc3339(row.canceled_at),
        }
    )


class MatrixWithdrawnView(BaseModel):
    """Which cells of a matrix are withdrawn, why, and what to do."""

    cells: list[list[list[str]]] = Field(description="Names of the withdrawn figures, by row and column.")
    reason: str = Field(description="Why, in plain words.")
    action: str = Field(description="What to do, in plain words.")


class MatrixWarningView(BaseModel):
    """What to mind about one pair of a matrix."""

    row: str
    column: str
    warning: str


class MatrixView(BaseModel):
    """Figures by row and column: null where there is no result (yet); a set against itself is 0 with p-value 1."""

    batch: str
    complete: bool = Field(description="No estimate is queued or running.")
    rows: list[str]
    columns: list[str]
    value: list[list[float | None]]
    confidence: float = Field(description="Of each lower bound by itself, and of the simultaneous ones all together.")
    lower_bound: list[list[float | None]] = Field(description="Each holds by itself.")
    simultaneous_lower_bound: list[list[float | None]] = Field(
        description="All hold together; null unless the batch was asked for simultaneous bounds or has only one pair."
    )
    upper_bound: list[list[float | None]] = Field(
        description="Each holds by itself, at the same confidence; null where a pair has no upper bound."
    )
    simultaneous_upper_bound: list[list[float | None]] = Field(
        description="All hold together; null where there is no simultaneous bound or no upper bound."
    )
    upper_kind: Literal["approximate", "finite-sample"] | None = Field(
        default=None, description="Of the upper bounds: approximate if that of any pair is; null if there are none."
    )
    units: str | None = Field(
        default=None, description="The units of all cells; null if pairs have other units, or none has a result."
    )
    split: Literal["random", "groups", "blocks"] | None = Field(
        default=None, description="What is independent, as in each result; null if there is none."
    )
    answer: str | None = Field(
        default=None,
        description="How many pairs differ, in a sentence; null if no figures say so of all pairs together: of groups "
        "and blocks of time without simultaneous bounds.",
    )
    warnings: list[MatrixWarningView] = Field(default_factory=list, description="Caveats of the pairs.")
    p_value: list[list[float | None]] = Field(description="Of each pair by itself.")
    adjusted_p_value: list[list[float | None]] = Field(
        description="Holm's adjustment: all pairs at most alpha differ, with an error of at most alpha in all."
    )
    estimates: list[list[str | None]] | None = Field(
        default=None, description="Ids of the estimates; null on the diagonal, and where one was deleted."
    )
    statuses: list[list[StatusName | None]] | None = Field(
        default=None, description="States of the estimates: a pair that failed has no figures."
    )
    withdrawn: MatrixWithdrawnView | None = Field(
        default=None, description="Cells of an earlier version that must not be used any more; null if all stand."
    )


class CandidateWarningView(BaseModel):
    """What is to be minded about the estimate of one candidate."""

    candidate: str = Field(description="Its name.")
    warning: str


class BatchComparisonView(BaseModel):
    """Which target of a batch is closest to its reference, once all estimates have ended."""

    batch: str
    complete: bool = Field(description="No estimate is queued or running.")
    comparison: ComparisonFigures | None = Field(description="null until all estimates have ended, or if none can be.")
    reason: str | None = Field(description="Why there is no comparison (yet), in words.")
    warnings: list[CandidateWarningView] = Field(default_factory=list, description="Caveats of the estimates.")
