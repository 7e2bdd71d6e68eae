"""What a monitor is asked and what it answers: each field is defined here and nowhere else.

The library's `Monitor`, the command line, the server's models and /openapi.json, and the client's models are made from
these definitions. Nothing here needs torch or the server.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

When = float | str
"""The time of a batch: a number, or an ISO 8601 date or time; a monitor takes one of the two."""

Distance = Annotated[float, Field(ge=0, allow_inf_nan=False)]

AlarmKind = Literal["distance", "column", "evidence"]


class Thresholds(BaseModel):
    """When a monitor raises an alarm. They are compared with lower bounds of the series, never with values."""

    model_config = ConfigDict(extra="forbid", strict=True)

    distance: Distance | None = Field(
        default=None,
        description="Alarm when the distance of a batch from the reference is shown to be above this; None: the "
        "monitor's tolerance.",
    )
    columns: dict[str, Distance] = Field(
        default_factory=dict,
        description="Alarm when the distance of one column by itself is shown to be above this, by the column's name.",
    )


class Alarm(BaseModel):
    """An alarm that is on."""

    kind: AlarmKind = Field(
        description="distance: series_lower_bound is above the threshold. column: that of a column. evidence: the "
        "evidence of the series has reached its limit; it stays on until a new epoch begins."
    )
    column: str | None = Field(default=None, description="The column, of kind column.")
    bound: float | None = Field(default=None, description="The bound that is above the threshold; None for evidence.")
    threshold: float | None = Field(default=None, description="What it is compared with; None for evidence.")
    since: int = Field(description="Number of the update from which on it has been on without a break.")
    since_at: When | None = Field(default=None, description="Time of the batch of that update.")


class MonitoredColumn(BaseModel):
    """One column of a batch compared with the same column of the reference."""

    name: str = Field(description="Of the column.")
    value: float = Field(description="W1 of this column alone, on held-out rows.")
    lower_bound: float = Field(description="It is at least this, together with all other bounds of the series.")
    attribution: float = Field(description="Share of the critic's difference that this column carries.")


class UnusualRow(BaseModel):
    """A held-out row of the batch that is least like the reference."""

    row: int = Field(description="Its number in the batch, from 0.")
    score: float = Field(description="The critic's score over its Lipschitz bound, above the reference's mean.")


class Change(BaseModel):
    """How far this batch is from the one before.

    The critic of this update scores both, so that `value` is not the difference of the two updates' values, which are
    of two critics.
    """

    value: float = Field(
        description="Mean score of this batch less that of the one before, both by the critic of this update. The sign "
        "is of this critic, and means little where it shows no difference from the reference."
    )
    lower_bound: float = Field(
        description="W1 between this batch and the one before is at least this, together with all other bounds of the "
        "series."
    )


class UpdateFigures(BaseModel):
    """What one batch says: by itself, and as a part of its monitor's series."""

    number: int = Field(description="Of this update among all of its monitor, from 1.")
    epoch: int = Field(description="From 1; a new reference begins a new epoch.")
    at: When | None = Field(default=None, description="Time of the batch, as it was given.")
    name: str | None = Field(default=None, description="What the batch is called.")
    sha256: str = Field(description="Of the batch's content; one that was seen before is refused.")
    rows: dict[str, int] = Field(description="Rows of the batch in train, select and test.")
    value: float = Field(description="What the critic shows on held-out rows: low on average.")
    lower_bound: float = Field(description="The distance is at least this, of this batch alone, at `confidence`.")
    upper_bound: float | None = Field(description="It is at most this, of this batch alone, at `confidence`.")
    p_value: float | None = Field(description="Of reference and batch being equal, for this batch alone.")
    series_lower_bound: float = Field(
        description="The distance is at least this. All bounds of the series hold together, however long it gets, with "
        "half of the monitor's error."
    )
    series_upper_bound: float | None = Field(
        description="It is at most this, together with all bounds of the series. Approximate: with heavy tails it is "
        "too low more often than the other bounds are wrong. It raises no alarm."
    )
    evidence: float = Field(
        description="Of the whole series since its epoch began: that some batch was further from the reference than "
        "the tolerance. An e-process: 1 / `evidence_limit` bounds the probability that it ever reaches the limit "
        "without such drift."
    )
    evidence_limit: float = Field(
        description="The evidence at which an alarm is raised, with the other half of the error."
    )
    change: Change | None = Field(
        default=None, description="Compared with the batch before; None for the first of an epoch."
    )
    columns: list[MonitoredColumn] = Field(
        default_factory=list, description="Of tables, the most different ones first."
    )
    unusual: list[UnusualRow] = Field(default_factory=list, description="The most unusual held-out rows of the batch.")
    alarms: list[Alarm] = Field(default_factory=list, description="Alarms that are on after this update.")
    critic: str = Field(description="Family of the critic that was chosen for this batch.")
    steps: int = Field(description="Steps of training for this update.")
    seconds: float = Field(description="Duration of this update.")
    warnings: list[str] = Field(default_factory=list, description="What to mind about this update.")
    meaning: str = Field(description="The update in one sentence.")


class MonitorFigures(BaseModel):
    """A monitor: what it compares with, its error budget, and where it stands."""

    name: str = Field(description="Of the monitor.")
    reference: str = Field(description="What the reference is called.")
    reference_rows: int = Field(description="Number of its rows.")
    confidence: float = Field(
        description="With this probability, no alarm is ever false, however long the monitor runs."
    )
    tolerance: float = Field(description="A distance up to this is no drift. Fixed when an epoch begins.")
    thresholds: Thresholds = Field(description="When an alarm is raised; may be changed at any time.")
    units: str = Field(description="The units of all figures.")
    epoch: int = Field(description="The current epoch, from 1.")
    updates: int = Field(description="How many updates there are.")
    last: UpdateFigures | None = Field(default=None, description="The last update.")
    alarms: list[Alarm] = Field(default_factory=list, description="Alarms that are on.")
    options: dict[str, Any] = Field(default_factory=dict, description="Other options that were given.")
