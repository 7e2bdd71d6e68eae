"""Keyword arguments; made from the options and from definitions/reading.py by `make generate`."""

from collections.abc import Collection, Mapping
from typing import Any, Literal, TypedDict

from wdist.definitions.monitoring import Thresholds


class OptionArguments(TypedDict, total=False):
    """The keyword arguments that are options of an estimate: see `wdist.options.Options`."""

    confidence: float
    critic: Literal["auto", "affine", "sliced", "groupsort", "cone", "bcop"]
    seed: int
    max_seconds: float | None
    planned_steps: Any
    steps: int | None
    scale: Any
    category_cost: float
    layout: Literal["nhwc", "nchw"] | None
    device: str
    baseline_rows: int
    method: Literal["betting", "empirical_bernstein", "paired_betting", "target_stakes"]
    split: Literal["random", "blocks"]
    upper: Literal["standard", "tight", "none"]
    diameter: float | None
    ranges: Any
    empirical: bool | None
    statements: int


class ReadingArguments(TypedDict, total=False):
    """The keyword arguments that say how data is read: see `wdist.definitions.reading.Reading`."""

    columns: Collection[str] | None
    drop: Collection[str]
    categories: Collection[str]
    dates: Collection[str]
    time_unit: Literal["seconds", "minutes", "hours", "days"] | None
    time_start: str | None
    missing: Literal["error", "drop", "level"]
    member: str | None
    decimal: Literal[".", ","] | None
    separator: str | None
    thousands: Literal[",", ".", " ", "'", "_"] | None
    header: bool | None
    encoding: str | None
    sheet: str | None
    embedding: str | None
    subfolders: bool


class Arguments(OptionArguments, ReadingArguments, total=False):
    """The keyword arguments of `estimate_w1` that are defined by options and reading."""


class MonitorArguments(ReadingArguments, total=False):
    """The keyword arguments of `Monitor` that are options: see `wdist.monitoring.options.MonitorOptions`."""

    name: str
    confidence: float
    tolerance: float
    thresholds: Thresholds | Mapping[str, Any] | float | None
    critic: Literal["auto", "affine", "sliced", "groupsort", "cone", "bcop"]
    seed: int
    steps: int | None
    update_steps: int | None
    scale: Any
    category_cost: float
    layout: Literal["nhwc", "nchw"] | None
    device: str
    method: Literal["betting", "empirical_bernstein", "paired_betting", "target_stakes"]
    upper: Literal["standard", "tight", "none"]
