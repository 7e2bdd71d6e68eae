"""Typed responses of the server. Fields added by newer servers are kept and available by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from wdist_client.errors import WdistError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

T = TypeVar("T")

ENDED = frozenset({"succeeded", "failed", "canceled"})
"""The states of an estimate that do not change any more."""


class Model(BaseModel):
    """Base: immutable, new fields allowed."""

    model_config = ConfigDict(extra="allow", frozen=True)

    def __eq__(self, other: object) -> bool:
        """Whether all fields are equal. The job that a record is tied to does not matter."""
        return isinstance(other, type(self)) and self.model_dump() == other.model_dump()


class SampleSet(Model):
    """An uploaded array: immutable and content-addressed (`sha256` of the .npy bytes)."""

    id: str
    name: str | None = None
    sha256: str
    rows: int
    shape: list[int]
    dtype: str
    bytes: int
    created_at: datetime | None = None
    statistics: dict[str, Any] = Field(default_factory=dict)
    columns: list[str] | None = None

    def __str__(self) -> str:
        shape = " x ".join(f"{n:,}" for n in self.shape)
        return f"{self.id}{f' ({self.name})' if self.name else ''}: {shape} {self.dtype_name}"

    @property
    def dtype_name(self) -> str:
        """The NumPy name of the type: float32 for <f4."""
        import numpy as np

        return np.dtype(self.dtype).name


class Progress(Model):
    """How far a running job is; `value` comes from the select split and is not certified."""

    step: int = 0
    steps: int | None = None
    seconds: float | None = None
    value: float | None = None
    eta_seconds: float | None = None
    trying: str | None = None


class Problem(Model):
    """Why a job failed, in words a user can act on."""

    type: str | None = None
    message: str = ""


class CriticInfo(Model):
    """Which critic certified the result."""

    family: str
    config: dict[str, Any] = Field(default_factory=dict)
    _evaluate: Callable[[Any], Any] | None = PrivateAttr(default=None)

    def evaluate(self, rows: Any) -> Any:
        """The certified critic f of each row, float64 (n,): high where a row looks like the target.

        Asks the server; await it with an `AsyncClient`. Raises WdistError for a result not obtained from a job.
        """
        if self._evaluate is None:
            raise WdistError("this result has lost its job: ask client.estimates.get(id).evaluate(rows)")
        return self._evaluate(rows)


class Split(Model):
    """Rows of one set in each part; the test part is looked at once, for the result."""

    train: int
    select: int
    test: int


class Rows(Model):
    """The splits of both sets."""

    source: Split
    target: Split


class Trivial(Model):
    """Simpler bounds on the same held-out rows, in the same units."""

    mean_difference: float | None = None
    max_sliced: float | None = None


class Empirical(Model):
    """Facts about the uploaded rows themselves, as discrete measures."""

    lower: float | None = None
    upper: float | None = None
    exact: float | None = None


class NullBaseline(Model):
    """Exact optimal transport on `rows` rows a side: `between` the sets, and `within` one of them (pure bias)."""

    rows: int
    between: float
    within: float


class Simultaneous(Model):
    """A weaker lower bound, which holds at once with those of all `statements` estimates made together."""

    statements: int
    lower_bound: float


class Result(Model):
    """What is known about the Wasserstein-1 distance of the two populations; `float(result)` is `lower_bound`.

    Attributes:
        value: held-out mean difference of the critic over its proven Lipschitz bound: the estimate, from below.
        lower_bound: W1 is at least this, at `confidence`; 0 is "no evidence of a difference", not "equal".
        upper_bound: W1 is at most this, where one was asked for; otherwise None.
        p_value: how often equal populations would show this much; None where it cannot be had.
        lipschitz_bound: L, proven from the critic's weights; `value` is already divided by it.
        split: random (independent rows), groups (a draw is a group, and a row of it; `groups` says how many were held
            out), or blocks (rows ordered in time: the confidence is approximate).
        meaning: the sentence a person reads.
        Units, split, seed, baselines and cost are in the other fields.
    """

    value: float
    lower_bound: float
    upper_bound: float | None = None
    confidence: float
    simultaneous: Simultaneous | None = None
    p_value: float | None = None
    lipschitz_bound: float
    critic: CriticInfo
    seed: int
    n: Rows
    split: str = "random"
    groups: dict[str, int] | None = None
    scale: Any = None
    units: str | None = None
    trivial: Trivial = Trivial()
    empirical: Empirical | None = None
    null_baseline: NullBaseline | None = None
    steps: int | None = None
    seconds: float | None = None
    device: str | None = None
    warnings: list[str] = Field(default_factory=list)
    meaning: str = ""
    _curve: Callable[[], Sequence[CurvePoint]] | None = PrivateAttr(default=None)

    def of(self, curve: Callable[[], Sequence[CurvePoint]] | None, evaluate: Callable[[Any], Any]) -> Self:
        """Ties the result to its job, which has the training curve and the critic."""
        self._curve, self.critic._evaluate = curve, evaluate
        return self

    @property
    def curve(self) -> Sequence[CurvePoint]:
        """The training curve, fetched on first use; empty for a result that is not tied to a job."""
        if self._curve is None:
            return ()
        curve = self._curve()
        self._curve = lambda: curve
        return curve

    def __float__(self) -> float:
        return self.lower_bound

    def __format__(self, spec: str) -> str:
        return format(self.lower_bound, spec) if spec else str(self)

    def __str__(self) -> str:
        from wdist_client.display.text import result_text

        return result_text(self)

    def _repr_html_(self) -> str:
        from wdist_client.display.text import result_html

        return result_html(self)

    def plot(self, curve: Sequence[CurvePoint] | None = None) -> Figure:
        """The result as an interval on a line from 0, with the training curve beside it.

        `curve`: give it if the result cannot fetch it: with an `AsyncClient`, `await job.curve()`.

        Needs matplotlib: pip install "wdist-client[plot]".
        """
        from wdist_client.display.plot import plot_result

        return plot_result(self, self.curve if curve is None else curve)


class Event(Model):
    """Something that happened to a job: status, progress, log; `completed` is the last, with the job's record."""

    id: str | None = None
    type: str
    data: dict[str, Any] = Field(default_factory=dict)


class CurvePoint(Model):
    """One point of a training curve; `value` comes from the select split and is not certified."""

    step: int
    seconds: float
    value: float


class Curve(Model):
    """A training curve; `complete` once the job has ended."""

    data: list[CurvePoint]
    complete: bool = True


class Estimate(Model):
    """The record of a job that compares two sample sets; `result` is there once `status` is succeeded."""

    id: str
    status: str
    source: str
    target: str
    options: dict[str, Any] = Field(default_factory=dict)
    priority: int | str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempt: int = 0
    custom_id: str | None = None
    progress: Progress | None = None
    result: Result | None = None
    error: Problem | None = None

    @property
    def ended(self) -> bool:
        """Whether the job will not change any more."""
        return self.status in ENDED


class Counts(Model):
    """Estimates of a batch by state."""

    total: int
    queued: int = 0
    running: int = 0
    canceling: int = 0
    succeeded: int = 0
    failed: int = 0
    canceled: int = 0

    @property
    def ended(self) -> int:
        """Estimates that will not change any more."""
        return self.succeeded + self.failed + self.canceled


class Batch(Model):
    """The record of many estimates submitted together."""

    id: str
    status: str
    kind: str
    counts: Counts
    sets: list[str] | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)
    created_at: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether the batch will not change any more."""
        return self.status in ("finished", "canceled")


class MatrixRecord(Model):
    """Figures by row and column (ids of sets); None where there is no result."""

    rows: list[str]
    columns: list[str]
    value: list[list[float | None]]
    lower_bound: list[list[float | None]]
    simultaneous_lower_bound: list[list[float | None]] | None = None
    upper_bound: list[list[float | None]] | None = None
    confidence: float | None = None
    p_value: list[list[float | None]]
    adjusted_p_value: list[list[float | None]] | None = None
    complete: bool = True


class Page(Model, Generic[T]):
    """One page of a list; `next` is the cursor of the one after it."""

    data: list[T]
    has_more: bool = False
    next: str | None = None
