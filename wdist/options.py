"""The options of an estimate, checked before any data is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from wdist.errors import OptionError
from wdist.inference.registry import METHODS

MAX_STEPS = 1_000_000
MAX_STATEMENTS = 1_000_000
MAX_BASELINE_ROWS = 5_000  # exact OT on more rows takes minutes and gigabytes


@dataclass(frozen=True)
class StatementOptions:
    """The options that matter after training, when bounds are computed: see `estimate_w1`."""

    confidence: float
    method: str
    split: str
    baseline_rows: int
    diameter: float | None
    empirical: bool | None
    statements: int = 1

    @property
    def alpha(self) -> float:
        """Error of the lower bound. If there is an upper bound too, each gets half of the error."""
        return (1 - self.confidence) / (1 if self.diameter is None else 2)


@dataclass(frozen=True)
class Options:
    """The options of `estimate_w1`, checked before any data is read."""

    confidence: float = 0.95
    critic: str = "auto"
    seed: int = 0
    device: str = "auto"
    max_seconds: float | None = None
    steps: int | None = None
    baseline_rows: int = 1_000
    method: str = "betting"
    split: str = "random"
    diameter: float | None = None
    empirical: bool | None = None
    statements: int = 1

    def __post_init__(self) -> None:
        _within("confidence", self.confidence, 0.5, 1, open_end=True)
        _whole("seed", self.seed, 0, 2**63 - 1)
        _whole("statements", self.statements, 1, MAX_STATEMENTS)
        _whole("baseline_rows", self.baseline_rows, 0, MAX_BASELINE_ROWS)
        if self.method not in METHODS:
            raise OptionError(f"method {self.method!r} is unknown; choose one of {', '.join(METHODS)}")
        if self.split not in ("random", "blocks"):
            raise OptionError(f"split {self.split!r} is unknown; choose 'random' or 'blocks' (rows ordered in time)")
        if self.diameter is not None:
            _within("diameter", self.diameter, 0, 1e300)
        if self.steps is not None:
            _whole("steps", self.steps, 1, MAX_STEPS)
        if self.max_seconds is not None:
            _within("max_seconds", self.max_seconds, 0.001, 1e7)
            if self.steps is not None:
                raise OptionError("give steps or max_seconds, not both: one would contradict the other")

    @property
    def request(self) -> StatementOptions:
        """The options that matter after training."""
        return StatementOptions(
            self.confidence, self.method, self.split, self.baseline_rows, self.diameter, self.empirical, self.statements
        )


def _within(name: str, value: Any, low: float, high: float, *, open_end: bool = False) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not low <= value <= high or (open_end and value == high):
        end = f"below {high:g}" if open_end else f"at most {high:g}"
        raise OptionError(f"{name} is {value!r}; it must be a number, at least {low:g} and {end}")


def _whole(name: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise OptionError(f"{name} is {value!r}; it must be a whole number from {low:,} to {high:,}")
