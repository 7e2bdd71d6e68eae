"""The options of an estimate as keyword arguments; made from wdist/options.py by `make generate`."""

from typing import Any, Literal, TypedDict


class OptionArguments(TypedDict, total=False):
    """The keyword arguments of `estimate_w1` that are options: see `wdist.options.Options`."""

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
