"""Options of estimates and batches: the keyword arguments of both clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from wdist_client.models import SampleSet


class CommonOptions(TypedDict, total=False):
    """How to estimate. Options left out get the server's defaults."""

    confidence: float
    critic: str
    seed: int
    steps: int
    max_seconds: float
    scale: float | str | list[float] | None
    layout: Literal["nhwc", "nchw"] | None
    device: str
    baseline_rows: int
    method: str
    split: Literal["random", "blocks"]
    diameter: float
    empirical: bool
    statements: int
    priority: Literal["high", "normal", "low"]
    metadata: Mapping[str, str]


class EstimateOptions(CommonOptions, total=False):
    """Options of one estimate."""

    groups: Sequence[SampleSet | str] | Mapping[str, str]
    idempotency_key: str


class BatchOptions(CommonOptions, total=False):
    """Options of each estimate of a batch."""

    groups: Mapping[str, str]
    simultaneous: bool
    idempotency_key: str


class SetOptions(TypedDict, total=False):
    """Which part of a file becomes the sample set."""

    member: str | None
    labels: str | None
    drop: Sequence[str]


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without those that are None, which get the server's defaults."""
    return {name: value for name, value in options.items() if value is not None}
