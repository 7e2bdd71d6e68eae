"""Request and response models of estimates. Unknown fields are rejected and every option is bounded."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator

from wdist_service.http.schemas import ErrorView, maybe_rfc3339, rfc3339
from wdist_service.tables import Estimate

MAX_STEPS = 1_000_000
MAX_SECONDS = 86_400.0
MAX_COLUMNS = 1 << 20
MAX_GROUPS = 5_001  # number of sets in the largest batch
MAX_BASELINE_ROWS = 5_000  # the limit of wdist.estimate, which imports torch; a test compares them
CriticName = Literal["auto", "affine", "sliced", "groupsort", "cone", "bcop"]
Priority = Literal["high", "normal", "low"]
StatusName = Literal["queued", "running", "canceling", "succeeded", "failed", "canceled"]
_TEXT = r"^[^\x00]*$"  # PostgreSQL cannot store NUL
Label = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=_TEXT)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Factors = Annotated[list[Positive], Field(min_length=1, max_length=MAX_COLUMNS)]
Method = Literal["betting", "empirical_bernstein", "paired_betting"]
Scale = Literal["none", "standardize"] | Positive | Factors
SetId = Annotated[str, Field(min_length=1, max_length=64)]
Groups = Annotated[dict[SetId, SetId], Field(min_length=1, max_length=MAX_GROUPS)]
LabelValue = Annotated[str, StringConstraints(max_length=512, pattern=_TEXT)]
Metadata = Annotated[dict[Label, LabelValue], Field(max_length=50)]


class Options(BaseModel):
    """How to estimate."""

    model_config = ConfigDict(extra="forbid", strict=True)

    confidence: float = Field(default=0.95, ge=0.5, lt=1, description="1 - alpha of the lower bound.")
    critic: CriticName = Field(default="auto", description="Family of critics; auto chooses on the select split.")
    seed: int = Field(default=0, ge=0, lt=1 << 63, description="Seed of the split and of training.")
    max_seconds: float | None = Field(default=None, gt=0, le=MAX_SECONDS, description="Training time, about.")
    steps: int | None = Field(default=None, ge=1, le=MAX_STEPS, description="Training steps, exactly.")
    scale: Scale | None = Field(
        default=None, description="Rescaling before distances are taken: none, a factor, standardize, one per column."
    )
    layout: Literal["nhwc", "nchw"] | None = Field(default=None, description="Axes of images where ambiguous.")
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="Of the worker: auto takes a free GPU.")
    baseline_rows: int = Field(
        default=1000, ge=0, le=MAX_BASELINE_ROWS, description="Rows of exact transport beside the result; 0: none."
    )
    method: Method = Field(
        default="betting", description="Of the lower bound; paired_betting needs sets independent of each other."
    )
    split: Literal["random", "blocks"] = Field(
        default="random", description="blocks: for rows ordered in time; the last ones are the test rows."
    )
    groups: Groups | None = Field(
        default=None,
        description="Rows that belong together (a patient, a burst) are split as a whole: for each set compared, "
        "the set of one column that holds the label of each of its rows.",
        examples=[{"ss_01jd3v5q3k8e9x7w2m4n6p8r0t": "ss_01jd3v6b1d3f5h7k9n1q3s5v7x"}],
    )
    diameter: float | None = Field(
        default=None,
        gt=0,
        le=1e300,
        description="Largest possible distance of two rows after scale, an assumption: gives upper_bound. "
        "Rows have to be independent draws: not with groups, blocks or standardize.",
    )
    empirical: bool | None = Field(
        default=None, description="Bracket the distance of the uploaded rows themselves; null: where that is cheap."
    )

    statements: int = Field(
        default=1,
        ge=1,
        le=1_000_000,
        description="How many estimates are read together: the result has a simultaneous bound that holds for all.",
    )

    @field_validator("steps")
    @classmethod
    def _one_budget(cls, steps: int | None, others: ValidationInfo) -> int | None:
        if steps is not None and others.data.get("max_seconds") is not None:
            raise ValueError("give steps or max_seconds, not both: one would contradict the other")
        return steps

    @field_validator("groups")
    @classmethod
    def _at_random(cls, groups: dict[str, str] | None, others: ValidationInfo) -> dict[str, str] | None:
        if groups is not None and others.data.get("split") != "random":
            raise ValueError("groups are split at random: leave split out, or groups")
        if groups is not None and others.data.get("method") == "paired_betting":
            raise ValueError("a group may be in both sets: method paired_betting needs independent ones; use betting")
        return groups

    @field_validator("diameter")
    @classmethod
    def _of_independent_rows(cls, diameter: float | None, others: ValidationInfo) -> float | None:
        given = others.data
        if diameter is not None and (given.get("groups") is not None or given.get("split") == "blocks"):
            raise ValueError(
                "an upper bound needs rows that are independent draws: leave out diameter, or groups and blocks"
            )
        if diameter is not None and given.get("scale") == "standardize":
            raise ValueError("the largest distance after standardize is not known beforehand: give scale as numbers")
        return diameter


class EstimateRequest(Options):
    """A comparison of two sample sets."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "source": "ss_01jd3v5q3k8e9x7w2m4n6p8r0t",
                    "target": "ss_01jd3v5zz0c2e4g6j8m0p2r4t6",
                    "confidence": 0.99,
                },
                {
                    "source": "ss_01jd3v5q3k8e9x7w2m4n6p8r0t",
                    "target": "ss_01jd3v5zz0c2e4g6j8m0p2r4t6",
                    "groups": {
                        "ss_01jd3v5q3k8e9x7w2m4n6p8r0t": "ss_01jd3v6b1d3f5h7k9n1q3s5v7x",
                        "ss_01jd3v5zz0c2e4g6j8m0p2r4t6": "ss_01jd3v6k3m5p7r9t1v3x5z7b9d",
                    },
                    "steps": 500,
                    "method": "empirical_bernstein",
                    "empirical": True,
                },
            ]
        },
    )

    source: str = Field(max_length=64, description="Sample set of P.")
    target: str = Field(max_length=64, description="Sample set of Q; value = (E_Q f - E_P f) / L.")
    priority: Priority = "normal"
    metadata: Metadata = Field(default_factory=dict, description="Your own labels.")


class ProgressView(BaseModel):
    """How far a running estimate is; `value` comes from select rows and is not certified."""

    step: int
    steps: int
    seconds: float
    value: float | None
    eta_seconds: float | None
    trying: str | None = None


class ResultView(BaseModel):
    """What is known about W1(P, Q); `meaning` says it in a sentence."""

    model_config = ConfigDict(extra="allow")

    value: float
    lower_bound: float
    upper_bound: float | None
    confidence: float
    p_value: float | None
    lipschitz_bound: float
    critic: dict[str, Any]
    seed: int
    n: dict[str, dict[str, int]]
    split: Literal["random", "groups", "blocks"] = Field(
        default="random",
        description="What is independent: rows; groups, of which a draw is one and then a row of it; blocks: rows "
        "ordered in time, the confidence is approximate.",
    )
    groups: dict[str, int] | None = Field(default=None, description="Held-out groups of source and target.")
    simultaneous: dict[str, Any] | None = Field(
        default=None, description="statements, and the lower_bound that holds at once with those of all of them."
    )
    scale: Any
    units: str
    trivial: dict[str, Any]
    empirical: dict[str, Any] | None
    null_baseline: dict[str, Any] | None
    steps: int
    seconds: float
    device: str
    warnings: list[str]
    meaning: str


class EstimateView(BaseModel):
    """A job comparing two sample sets, and its result."""

    id: str
    object: Literal["estimate"] = "estimate"
    status: StatusName
    source: str
    target: str
    options: dict[str, Any]
    priority: Priority
    metadata: dict[str, str]
    created_at: str
    started_at: str | None
    finished_at: str | None
    attempt: int
    progress: ProgressView | None
    result: ResultView | None
    error: ErrorView | None


class CurveView(BaseModel):
    """Training curve: value on select rows, not certified."""

    data: list[dict[str, Any]]
    complete: bool


def estimate_view(row: Estimate) -> EstimateView:
    return EstimateView.model_validate(
        {
            "id": row.id,
            "status": row.status,
            "source": row.source_id,
            "target": row.target_id,
            "options": row.options,
            "priority": row.priority,
            "metadata": row.labels,
            "created_at": rfc3339(row.created_at),
            "started_at": maybe_rfc3339(row.started_at),
            "finished_at": maybe_rfc3339(row.finished_at),
            "attempt": row.attempt,
            "progress": row.progress,
            "result": row.result,
            "error": row.error,
        }
    )
