"""The records that have behaviour of their own. Their fields, and all other records, are in contract.py.

A record without a docstring here has that of its base.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from pydantic import Field

from wdist_client import contract
from wdist_client.base import Model, in_a_line
from wdist_client.results.result import Critic as Critic
from wdist_client.results.result import Result as Result

T = TypeVar("T")

ENDED = frozenset({"succeeded", "failed", "canceled"})
"""The states of an estimate that do not change any more."""


class SampleSet(contract.SampleSet):
    """An uploaded array: immutable and content-addressed (`sha256` of the .npy bytes)."""

    def __str__(self) -> str:
        shape = " x ".join(f"{n:,}" for n in self.shape)
        return f"{self.id}{f' ({self.name})' if self.name else ''}: {shape} {self.dtype_name}"

    @property
    def dtype_name(self) -> str:
        """The NumPy name of the type: float32 for <f4."""
        import numpy as np

        return np.dtype(self.dtype).name


class Evaluation(contract.EvaluationJob):
    """A job that scores every row of a stored set: `done` of `rows` so far."""

    @property
    def ended(self) -> bool:
        return self.status in ENDED


class Event(Model):
    """Something that happened to a job: status, progress, log; `completed` is the last, with the job's record."""

    id: str | None = None
    type: str
    data: dict[str, Any] = Field(default_factory=dict)


class Estimate(contract.Estimate):
    """The record of a job that compares two sample sets; `result` is there once `status` is succeeded."""

    custom_id: str | None = None  # among the results of a batch
    result: Result | None = None

    @property
    def ended(self) -> bool:
        """Whether the job will not change any more."""
        return self.status in ENDED

    def __repr__(self) -> str:
        return f"<Estimate {in_short(self)}>"


def in_short(estimate: Estimate) -> str:
    """Id, status, and the verdict or why there is none, in a line."""
    said = estimate.error.message if estimate.error else ""
    if estimate.result is not None:
        verdict = estimate.result.verdict
        said = " ".join(filter(None, (verdict.headline, verdict.distance))) or estimate.result.meaning
    return in_a_line(f"{estimate.id} {estimate.status}{f': {said}' if said else ''}")


class Counts(contract.Counts):
    @property
    def ended(self) -> int:
        """Estimates that will not change any more."""
        return self.succeeded + self.failed + self.canceled


class Batch(contract.Batch):
    counts: Counts

    @property
    def ended(self) -> bool:
        """Whether the batch will not change any more."""
        return self.status in ("finished", "canceled")


class Comparison(contract.ComparisonFigures):
    """Which of several candidates is closer to a reference. All statements hold together with `confidence`.

    Attributes:
        warnings: (candidate, warning) of each estimate.
    """

    warnings: list[tuple[str, str]] = Field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain JSON types."""
        warnings = [{"candidate": name, "warning": warning} for name, warning in self.warnings]
        return self.model_dump(mode="json", exclude={"warnings"}) | {"warnings": warnings}

    def __repr__(self) -> str:
        return in_a_line(f"<Comparison: {self.sentence}>")

    def __str__(self) -> str:
        from wdist_client.display.comparison import comparison_text

        return comparison_text(self)

    def _repr_html_(self) -> str:
        from wdist_client.display.comparison import comparison_html

        return comparison_html(self)


class Update(contract.UpdateFigures):
    """What one batch of a monitor says: by itself, and as a part of the monitor's series."""

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain JSON types."""
        return self.model_dump(mode="json")

    def __repr__(self) -> str:
        return in_a_line(f"<Update {self.number}: {self.meaning}>")

    def __str__(self) -> str:
        from wdist_client.display.monitor import update_text

        return update_text(self)

    def _repr_html_(self) -> str:
        from wdist_client.display.monitor import update_html

        return update_html(self)


class MonitorUpdate(contract.MonitorUpdate):
    """The record of a job that compares a batch with a monitor's reference; `figures` once it has succeeded."""

    figures: Update | None = None

    @property
    def ended(self) -> bool:
        """Whether the job will not change any more."""
        return self.status in ENDED


class MonitorState(contract.Monitor):
    """The record of a monitor: what it compares with, its error budget, and where it stands."""

    last: Update | None = None


class NewWebhook(contract.NewWebhook):
    """A webhook with its `secret`, which the server shows once; neither `repr` nor a notebook shows it."""

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return [(name, value) for name, value in super().__repr_args__() if name != "secret"]


class Page(Model, Generic[T]):
    """One page of a list; `next` is the cursor of the one after it."""

    data: list[T]
    has_more: bool = False
    next: str | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self.data):,} records{', and more' if self.has_more else ''}>"
