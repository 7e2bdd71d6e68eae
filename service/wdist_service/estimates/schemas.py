"""Request and response models of estimates. Unknown fields are rejected and every option is bounded."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator

from wdist import options
from wdist.data.splits import MINIMUM_ROWS
from wdist.definitions.figures import Figures
from wdist.definitions.forms import words
from wdist.definitions.results.verdict import Verdict, verdict
from wdist.definitions.results.withdrawn import Withdrawn, withdrawn
from wdist_service.http.schemas import ErrorView, GivenName, View, maybe_rfc3339, rfc3339
from wdist_service.tables import Estimate
from wdist_service.text import TEXT

MAX_SECONDS = 86_400.0
MAX_GROUPS = 5_001  # number of sets in the largest batch
Priority = Annotated[
    Literal["high", "normal", "low"],
    Field(
        description="Tenants share the workers fairly; of one tenant's jobs, those of a higher priority start first.",
        json_schema_extra=words("Priority", high="before others", normal="in turn", low="after others"),
    ),
]
StatusName = Literal["queued", "running", "canceling", "succeeded", "failed", "canceled"]
Label = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=TEXT)]
SetId = Annotated[str, Field(min_length=1, max_length=64)]
Groups = Annotated[dict[SetId, SetId], Field(min_length=1, max_length=MAX_GROUPS)]
LabelValue = Annotated[str, StringConstraints(max_length=512, pattern=TEXT)]
# Pydantic writes the pattern of keys as one of properties, which says nothing of others.
Metadata = Annotated[dict[Label, LabelValue], Field(max_length=50, json_schema_extra={"additionalProperties": False})]


# In the order of 0.1, whose digests of requests depend on it.
_OPTIONS_OF_0_1 = (
    "confidence", "critic", "seed", "max_seconds", "steps", "scale", "layout", "device", "baseline_rows", "method",
    "split", "groups", "diameter", "empirical", "statements",
)  # fmt: skip

_DEFAULTS_OF_0_1 = {"method": "betting"}  # where they were others


_ROWS: dict[str, Any] = {"x-least-rows": MINIMUM_ROWS}  # which the web page says before it asks


class Options(options.Options):
    """How to estimate: the options of the library, and what differs where others pay for the time."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="Device of the worker. auto takes a free GPU.",
        json_schema_extra=words("Device"),
    )
    max_seconds: Annotated[float, Field(gt=0, le=MAX_SECONDS)] | None = Field(
        default=None, description=options.Options.model_fields["max_seconds"].description
    )
    groups: Groups | None = Field(
        default=None,
        description="Rows that belong together (a patient, a burst) are split as a whole: for each set compared, "
        "the set of one column that holds the label of each of its rows.",
        examples=[{"ss_01jd3v5q3k8e9x7w2m4n6p8r0t": "ss_01jd3v6b1d3f5h7k9n1q3s5v7x"}],
    )

    def digests(self) -> tuple[str, str]:
        """What a request sent again shares with the first: the digest that is stored, and the one that 0.1 stored.

        The first leaves out defaults and sorts the names, so that an option of a later version does not change it.
        """
        given = json.dumps(self.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
        not_given = _DEFAULTS_OF_0_1.keys() - self.model_fields_set
        every = self.model_dump(mode="json") | {name: _DEFAULTS_OF_0_1[name] for name in not_given}
        later = (options.Options.model_fields.keys() - {*_OPTIONS_OF_0_1}) | {"compare"}  # which is of batches
        later |= {name for name in ("name",) if every.get(name) is None}  # 0.1 had none: a named request is another
        as_in_0_1 = {name: every[name] for name in (*_OPTIONS_OF_0_1, *every) if name not in later}
        written = json.dumps(as_in_0_1, separators=(",", ":"), ensure_ascii=False)
        return sha256(given.encode()).hexdigest(), sha256(written.encode()).hexdigest()

    @field_validator("groups")
    @classmethod
    def _can_be_split(cls, groups: dict[str, str] | None, others: ValidationInfo) -> dict[str, str] | None:
        given = others.data
        asked = (given.get(name) for name in ("split", "diameter", "ranges"))
        if groups is not None and (reason := options.refuse_groups(*asked)):
            raise ValueError(reason)
        return groups


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

    name: GivenName | None = Field(default=None, description="Your name for it, by which it is found in lists.")
    source: str = Field(max_length=64, description="Sample set of P.", json_schema_extra=_ROWS)
    target: str = Field(
        max_length=64, description="Sample set of Q; value = (E_Q f - E_P f) / L.", json_schema_extra=_ROWS
    )
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


class CriticView(BaseModel):
    """Which critic certified the result."""

    model_config = ConfigDict(extra="allow")

    family: str
    config: dict[str, Any] = Field(description="Its configuration, in the family's own words.")


class ResultView(Figures):
    """What is known about W1(P, Q); `meaning` says it in a sentence."""

    model_config = ConfigDict(extra="allow")

    critic: CriticView = Field(description="The family of the critic, and its configuration.")
    verdict: Verdict = Field(description="The answer in plain words.")
    meaning: str = Field(description="All sentences of the verdict.")
    withdrawn: Withdrawn | None = Field(
        default=None,
        description="Figures of an earlier version that must not be used any more; null if every figure stands.",
    )


class EstimateView(BaseModel):
    """A job comparing two sample sets, and its result."""

    id: str
    object: Literal["estimate"] = "estimate"
    name: str | None = Field(default=None, description="Its owner's name for it; null if it has none.")
    status: StatusName
    source: str
    target: str
    source_name: str | None = Field(
        default=None, description="Name of the source; null if it has none, or was deleted."
    )
    target_name: str | None = Field(
        default=None, description="Name of the target; null if it has none, or was deleted."
    )
    options: dict[str, Any]
    priority: Priority
    metadata: dict[str, str]
    created_at: str
    started_at: str | None
    finished_at: str | None
    attempt: int
    finishing: bool = Field(default=False, description="It was asked to end training early and state what it has.")
    progress: ProgressView | None
    result: ResultView | None
    error: ErrorView | None


class CurvePointView(BaseModel):
    """One point of a training curve."""

    model_config = ConfigDict(extra="allow")

    step: int
    seconds: float
    value: float | None = Field(description="On select rows, not certified; null where it is not a finite number.")


class CurveView(BaseModel):
    """Training curve: value on select rows, not certified."""

    data: list[CurvePointView]
    complete: bool = Field(description="The estimate has ended.")


@View
def estimate_view(row: Estimate) -> EstimateView:
    return EstimateView.model_validate(
        {
            "id": row.id,
            "name": row.name,
            "status": row.status,
            "source": row.source_id,
            "target": row.target_id,
            "source_name": row.source_name,
            "target_name": row.target_name,
            "options": row.options,
            "priority": row.priority,
            "metadata": row.labels,
            "created_at": rfc3339(row.created_at),
            "started_at": maybe_rfc3339(row.started_at),
            "finished_at": maybe_rfc3339(row.finished_at),
            "attempt": row.attempt,
            "finishing": row.finish_asked_at is not None,
            "progress": row.progress,
            "result": None if row.result is None else _result(row.result),
            "error": row.error,
        }
    )


def _result(stored: dict[str, Any]) -> dict[str, Any]:
    """A stored result with what is said of it: of an older one too, whose own words may be others."""
    said = verdict(stored)
    return {**stored, "verdict": said, "meaning": said.text, "withdrawn": withdrawn(stored)}
