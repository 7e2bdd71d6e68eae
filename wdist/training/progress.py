"""How a running estimate reports to its caller, and how the caller stops it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Progress:
    """A progress report of a running estimate; `value` comes from select rows and is not certified."""

    step: int
    steps: int
    seconds: float
    value: float | None
    eta_seconds: float | None
    trying: str


@dataclass
class Reporter:
    """Tells the caller of one estimate how far training has come.

    Attributes:
        progress: called with each `Progress`.
        should_stop: polled before each step.
        should_finish: polled before each step, until it has returned true.
        started: when the estimate began, on the clock of `time.perf_counter`.
        best: the best select value of all candidates so far.
    """

    progress: Callable[[Progress], object] | None = None
    should_stop: Callable[[], bool] | None = None
    should_finish: Callable[[], bool] | None = None
    started: float = field(default_factory=time.perf_counter)
    best: float | None = None
    _finishes: bool = False

    def finishes(self) -> bool:
        """Whether the caller has asked to end training now and state what there is."""
        self._finishes = self._finishes or (self.should_finish is not None and self.should_finish())
        return self._finishes

    def tell(
        self, step: int, steps: int, trying: str, here: int, seconds: float, budget_left: float = math.inf
    ) -> None:
        """Report that `step` of `steps` are done; this stage has taken `here` of them, in `seconds`."""
        if self.progress is not None:
            eta = min(seconds / here * (steps - step), budget_left) if here else None
            self.progress(Progress(step, steps, time.perf_counter() - self.started, self.best, eta, trying))

    def note(self, value: float) -> None:
        """Keep `value` if it is the best select value so far."""
        self.best = value if self.best is None else max(self.best, value)
