"""What a monitor can be asked: its own options, and those of an estimate that make sense for it, without torch."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo

from wdist.definitions.arguments import MonitorArguments
from wdist.definitions.docstrings import shows_fields
from wdist.definitions.figures import WITNESS_COLUMNS
from wdist.definitions.forms import words
from wdist.definitions.monitoring import Thresholds
from wdist.definitions.reading import Reading
from wdist.definitions.refusals import checked
from wdist.errors import OptionError
from wdist.options import PLAIN, Family, Method, Number, Options, Scale, Steps, Whole

F = TypeVar("F", bound=Callable[..., Any])

REFUSED = {
    "groups": "its rows must be independent draws; put one row of each group, drawn at random, into the reference and "
    "into each batch, or compare two sets of groups by an estimate",
    "split": "its rows must be independent draws, and rows of one time depend on their neighbours; put some of them, "
    "drawn at random, into the reference and into each batch",
    "diameter": "its upper bounds are approximate",
    "ranges": "its upper bounds are approximate",
    "max_seconds": "give update_steps, so that an update can be repeated",
    "planned_steps": "give steps and update_steps",
    "statements": "its bounds hold together already",
    **dict.fromkeys(("threshold", "alarm", "alarm_over", "fail_above", "limit"), "did you mean thresholds?"),
    **dict.fromkeys(("alarm_above", "column_above"), "did you mean thresholds?"),  # as its flags are called
}
"""Options that are asked for, and what to do instead."""


def refused(given: Iterable[str]) -> str | None:
    """What to do instead of the first of these options that only estimates have; None where there is none."""
    name = next((name for name in given if name in REFUSED), None)
    return None if name is None else f"{name} is no option of a monitor: {REFUSED[name]}"


def refused_flags() -> dict[str, str]:
    """The flags that only estimates have, and what to do instead, with options as flags."""
    named = re.compile(r"\b[a-z]+_[a-z]+\b")
    said_of = REFUSED | {"thresholds": REFUSED["threshold"]}
    return {
        _flag(name): named.sub(lambda option: _flag(option[0]), said.replace("thresholds", "alarm_above"))
        for name, said in said_of.items()
        if name not in ("alarm_above", "column_above")
    }


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def _of_an_estimate(name: str) -> Any:
    """The definition of this option of an estimate: its bounds, default and description."""
    found: FieldInfo = copy.copy(Options.model_fields[name])
    return found


class MonitorOptions(BaseModel):
    """How a monitor compares batches with its reference. Only name and thresholds may change within an epoch."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    name: str = Field(default="monitor", min_length=1, max_length=200, description="What the monitor is called.")
    confidence: Number = Field(
        default=0.95,
        ge=0.5,
        lt=1,
        description="1 - alpha. Half of alpha is for all bounds of the series, and half for its evidence. The bounds "
        "of a batch alone hold at this confidence, too.",
    )
    tolerance: Number = Field(
        default=0.0,
        ge=0,
        description="A distance up to this is no drift. It is fixed when an epoch begins.",
        json_schema_extra=words("Distance that is no drift"),
    )
    thresholds: Thresholds = Field(
        default_factory=Thresholds.model_construct, description="When an alarm is raised; may be changed at any time."
    )
    critic: Family = _of_an_estimate("critic")
    seed: Whole = _of_an_estimate("seed")
    steps: Annotated[Steps, PLAIN] | None = Field(
        default=None,
        description="Training steps of the first update of an epoch; by default as many as an estimate takes.",
        json_schema_extra=words("Training steps of the first update"),
    )
    update_steps: Annotated[Steps, PLAIN] | None = Field(
        default=None,
        description="Training steps of each later update, which go on from the last critic; by default a quarter of "
        "what an estimate takes.",
        json_schema_extra=words("Training steps of later updates"),
    )
    scale: Scale | None = _of_an_estimate("scale")
    category_cost: Number = _of_an_estimate("category_cost")
    layout: Literal["nhwc", "nchw"] | None = _of_an_estimate("layout")
    device: str = _of_an_estimate("device")
    method: Method = _of_an_estimate("method")
    upper: Literal["standard", "tight", "none"] = _of_an_estimate("upper")

    @model_validator(mode="before")
    @classmethod
    def _of_monitors(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and (said := refused(given)):
            raise ValueError(said)
        return given

    @classmethod
    def checked(cls, **given: Any) -> Self:
        """The options with these values. Raises OptionError, which names the option and what it must be."""
        return checked(cls, given, [*cls.model_fields, *Reading.model_fields])

    @property
    def alpha(self) -> float:
        """The error of the whole monitor, and of each end of the bounds of a batch alone."""
        return 1 - self.confidence


def monitor_options(given: Mapping[str, Any]) -> tuple[MonitorOptions, Reading]:
    """What keyword arguments say of a monitor, and of how its reference and batches are read.

    Raises OptionError for a value out of range and for an unknown name, with the nearest of both.
    """
    if said := refused(given):
        raise OptionError(said)
    fields = Reading.model_fields
    reading = Reading.checked(**{name: value for name, value in given.items() if name in fields})
    return MonitorOptions.checked(**{name: value for name, value in given.items() if name not in fields}), reading


def takes_monitor_options(function: F) -> F:
    """Shows options and reading in the signature and the docstring of a function that takes them as keyword arguments.

    The lines `{options}` and `{reading}` of the docstring become one entry a field.
    """
    return shows_fields(function, MonitorArguments, options=MonitorOptions, reading=Reading)


def check_column(column: str, columns: list[str]) -> None:
    """Raise OptionError for a threshold of a column that is none of the reference's."""
    if column not in columns:
        if not columns:
            raise OptionError(
                f"thresholds: {column!r} cannot have one: columns have figures in tables of at most {WITNESS_COLUMNS}"
            )
        known = ", ".join(map(repr, columns[:10])) + (", ..." if len(columns) > 10 else "")
        raise OptionError(f"thresholds: there is no column {column!r}; the reference has {known}")
