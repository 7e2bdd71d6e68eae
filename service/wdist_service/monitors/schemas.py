"""Request and response models of monitors and of their updates."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from wdist.definitions.forms import words
from wdist.definitions.monitoring import Alarm, MonitorFigures, Thresholds, UpdateFigures
from wdist.definitions.times import checked_time
from wdist.errors import OptionError
from wdist.monitoring.options import MonitorOptions
from wdist_service.estimates.schemas import Metadata, SetId, StatusName
from wdist_service.http.schemas import ErrorView, GivenName, View, maybe_rfc3339, rfc3339
from wdist_service.tables import Monitor, MonitorEpoch, MonitorUpdate

_REFERENCE, _BATCH = "ss_01jd3v5q3k8e9x7w2m4n6p8r0t", "ss_01jd3v5zz0c2e4g6j8m0p2r4t6"
_MAX_THRESHOLDS = 1_000
_ZONE = re.compile(r" (\d\d:?\d\d)$")


def _time(given: Any) -> float | str | None:
    return checked_time(given)


def _time_as_text(given: Any) -> float | str | None:
    """The time in a parameter, where all is text: a number, unless it is a date as 20261130.

    A plus sign that was not encoded has become a space, as in 2026-11-30T08:00 01:00.
    """
    try:
        return checked_time(given)
    except OptionError:
        for meant in (float, _with_plus):
            try:
                return checked_time(meant(given))
            except (TypeError, ValueError, OptionError):
                continue
        raise


def _with_plus(given: str) -> str:
    return _ZONE.sub(r"+\1", given)


At = Annotated[float | str, BeforeValidator(_time)]
AtAsText = Annotated[float | str, BeforeValidator(_time_as_text)]


def _few(thresholds: Thresholds) -> Thresholds:
    if len(thresholds.columns) > _MAX_THRESHOLDS:
        raise ValueError(f"thresholds of at most {_MAX_THRESHOLDS:,} columns are kept")
    if any(not 0 <= each < float("inf") for each in thresholds.columns.values()):
        raise ValueError("a threshold is a finite number of at least 0")
    return thresholds


GivenThresholds = Annotated[Thresholds, AfterValidator(_few)]


class GivenOptions(MonitorOptions):
    """How a monitor compares: the options of the library."""

    model_config = ConfigDict(extra="forbid")

    name: GivenName = Field(default="monitor", description="Of the monitor; default: that of the reference.")
    thresholds: GivenThresholds = Field(
        default_factory=lambda: Thresholds(distance=None),
        description="When an alarm is raised; may be changed at any time.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="Device of the worker. auto takes a free GPU.",
        json_schema_extra=words("Device"),
    )

    def options(self) -> dict[str, Any]:
        """What is fixed when an epoch begins, as far as it was given."""
        fixed = set(MonitorOptions.model_fields) - {"name", "thresholds"}
        return self.model_dump(mode="json", include=fixed & self.model_fields_set)

    def digest(self) -> str:
        """What a request sent again shares with the first."""
        given = json.dumps(self.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
        return sha256(given.encode()).hexdigest()


class MonitorRequest(GivenOptions):
    """A new monitor; its options stand beside the reference."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "reference": _REFERENCE,
                    "name": "orders",
                    "confidence": 0.95,
                    "tolerance": 0.05,
                    "thresholds": {"distance": 0.1, "columns": {"price": 0.2}},
                    "metadata": {"team": "shop"},
                }
            ]
        },
    )

    reference: SetId = Field(description="The sample set that every batch is compared with. It is kept.")
    metadata: Metadata = Field(default_factory=dict, description="Your own labels.")


def _without_defaults(schema: dict[str, Any]) -> None:
    for each in schema["properties"].values():
        each.pop("default", None)
    schema["examples"] = [{"reference": _REFERENCE, "tolerance": 0.1}]


class EpochRequest(GivenOptions):
    """A new epoch. What is not given stays as it was in the epoch before; the confidence is that of the monitor."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    reference: SetId = Field(description="A set of new rows, which the monitor has not seen.")


class MonitorChange(BaseModel):
    """What to change of a monitor; what is not given stays."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"thresholds": {"distance": 0.2}}, {"paused": True}, {"name": "orders (EU)"}]},
    )

    name: GivenName | None = Field(None, description="Of the monitor; null changes nothing.")
    thresholds: GivenThresholds | None = Field(
        None,
        description="When an alarm is raised. They replace the earlier ones, and hold for the last update at once.",
    )
    paused: bool | None = Field(None, description="A paused monitor takes no updates.")
    metadata: Metadata | None = Field(None, description="Your own labels; they replace the earlier ones.")


class UpdateRequest(BaseModel):
    """A stored batch to compare with the reference."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"batch": _BATCH, "at": "2026-11-30"}, {"batch": _BATCH}]}
    )

    batch: SetId = Field(description="The sample set that is the batch.")
    at: At | None = Field(None, description="Time of the batch: a number, or an ISO 8601 date or time.")

    def digest(self, monitor_id: str) -> str:
        """What a request sent again shares with the first."""
        return sha256(json.dumps([monitor_id, self.batch, self.at]).encode()).hexdigest()


class MonitorView(MonitorFigures):
    """A monitor: what it compares with, its budget of error, and where it stands."""

    id: str
    object: Literal["monitor"] = "monitor"
    status: Literal["active", "paused"] = Field(description="A paused monitor takes no updates.")
    reference_set: str = Field(description="The sample set that is the reference of the current epoch.")
    units: str | None = Field(None, description="The units of all figures; null before the first update of the epoch.")  # type: ignore[assignment]
    waiting: int = Field(description="Updates that are queued or running.")
    metadata: dict[str, str]
    created_at: str
    updated_at: str | None = Field(description="When the last update succeeded.")


class UpdateProgressView(BaseModel):
    """How far a running update is."""

    model_config = ConfigDict(extra="allow")

    step: int | None = None
    steps: int | None = None
    seconds: float | None = None
    value: float | None = Field(None, description="On select rows, not certified.")
    eta_seconds: float | None = None
    trying: str | None = None


class MonitorUpdateView(BaseModel):
    """A job that compares one batch with the reference, and what it found."""

    id: str
    object: Literal["monitor_update"] = "monitor_update"
    status: StatusName
    monitor: str
    epoch: int
    number: int | None = Field(description="Among the successful updates of the monitor, from 1.")
    batch: str = Field(description="The sample set that is the batch; its rows may have been deleted since.")
    name: str | None = Field(description="Of the batch.")
    at: float | str | None = Field(description="Time of the batch, as it was given.")
    created_at: str
    started_at: str | None
    finished_at: str | None
    attempt: int
    progress: UpdateProgressView | None
    figures: UpdateFigures | None = Field(description="What the batch says, once the update has succeeded.")
    raised: list[Alarm] = Field(description="Alarms that are on since this update.")
    cleared: list[Alarm] = Field(description="Alarms that were on until this update.")
    error: ErrorView | None


@View
def monitor_view(row: Monitor, epoch: MonitorEpoch, waiting: int) -> MonitorView:
    """epoch: its current one. waiting: the number of its updates that have not ended."""
    options = dict(epoch.options)
    return MonitorView.model_validate(
        {
            "id": row.id,
            "status": "active" if row.paused_at is None else "paused",
            "name": row.name,
            "reference": epoch.reference_name,
            "reference_set": epoch.reference_id,
            "reference_rows": epoch.reference_rows,
            "confidence": options.pop("confidence"),
            "tolerance": options.pop("tolerance"),
            "thresholds": row.thresholds,
            "units": epoch.units,
            "epoch": row.epoch,
            "updates": row.updates,
            "waiting": waiting,
            "last": row.figures,
            "alarms": row.alarms,
            "options": options,
            "metadata": row.labels,
            "created_at": rfc3339(row.created_at),
            "updated_at": maybe_rfc3339(row.updated_at),
        }
    )


@View
def update_view(row: MonitorUpdate) -> MonitorUpdateView:
    return MonitorUpdateView.model_validate(
        {
            "id": row.id,
            "status": row.status,
            "monitor": row.monitor_id,
            "epoch": row.epoch,
            "number": row.number,
            "batch": row.sample_set_id,
            "name": row.name,
            "at": row.at,
            "created_at": rfc3339(row.created_at),
            "started_at": maybe_rfc3339(row.started_at),
            "finished_at": maybe_rfc3339(row.finished_at),
            "attempt": row.attempt,
            "progress": row.progress,
            "figures": row.figures,
            "raised": row.raised or [],
            "cleared": row.cleared or [],
            "error": row.error,
        }
    )
