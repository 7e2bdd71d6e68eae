"""The records that have behaviour of their own. Their fields, and all other records, are in contract.py.

A record without a docstring here has that of its base.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from pydantic import Field, PrivateAttr, ValidationError

from wdist_client import contract
from wdist_client.base import Model
from wdist_client.errors import WdistError, WithdrawnError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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


class Critic(contract.Critic):
    _evaluate: Callable[[Any], Any] | None = PrivateAttr(default=None)

    def evaluate(self, rows: Any) -> Any:
        """The certified critic f of each row, float64 (n,): high where a row looks like the target.

        Asks the server; await it with an `AsyncClient`. Raises WdistError for a result not obtained from a job.
        """
        if self._evaluate is None:
            raise WdistError("this result has lost its job: ask client.estimates.get(id).evaluate(rows)")
        return self._evaluate(rows)


class Result(contract.Result):
    critic: Critic
    _curve: Callable[[], Sequence[contract.CurvePoint]] | None = PrivateAttr(default=None)
    _names: tuple[str, str] | None = PrivateAttr(default=None)

    def of(
        self,
        curve: Callable[[], Sequence[contract.CurvePoint]] | None,
        evaluate: Callable[[Any], Any],
        names: tuple[str, str] | None,
    ) -> Self:
        """Ties the result to its job, which has the training curve, the critic and the names of the sets."""
        self._curve, self.critic._evaluate, self._names = curve, evaluate, names or self._names
        return self

    @property
    def names(self) -> tuple[str, str]:
        """What the two sets are called: by their names, if the job was created from their records."""
        return self._names or ("source", "target")

    def named(self, names: tuple[str, str] | None) -> Self:
        """The result, with these names of the sets."""
        self._names = names
        return self

    @property
    def curve(self) -> Sequence[contract.CurvePoint]:
        """The training curve, fetched on first use; empty for a result that is not tied to a job."""
        if self._curve is None:
            return ()
        curve = self._curve()
        self._curve = lambda: curve
        return curve

    def is_withdrawn(self, figure: str) -> bool:
        """Whether the server has withdrawn a figure of this result: lower_bound, p_value, upper_bound, ..."""
        return self.withdrawn is not None and figure in self.withdrawn.figures

    def __float__(self) -> float:
        """The lower bound. Raises WithdrawnError for one that is withdrawn: programs compare it unseen."""
        if self.withdrawn is not None and self.is_withdrawn("lower_bound"):
            raise WithdrawnError(f"the lower bound is withdrawn. {self.withdrawn.reason} {self.withdrawn.action}")
        return self.lower_bound

    def __format__(self, spec: str) -> str:
        """The whole result, or float(result) in the form of `spec`."""
        return format(float(self), spec) if spec else str(self)

    def __str__(self) -> str:
        from wdist_client.display.text import result_text

        return result_text(self)

    def _repr_html_(self) -> str:
        from wdist_client.display.text import result_html

        return result_html(self)

    def plot(self, curve: Sequence[contract.CurvePoint] | None = None) -> Figure:
        """The result as an interval on a line from 0, with the training curve beside it.

        `curve`: give it if the result cannot fetch it: with an `AsyncClient`, `await job.curve()`.

        Needs matplotlib.
        """
        from wdist_client.display.plot import plot_result

        return plot_result(self, self.curve if curve is None else curve)

    def save(self, path: str | PathLike[str], *, curve: Sequence[contract.CurvePoint] | None = None) -> None:
        """Writes figures and training curve into a JSON file, which `load` reads without a server.

        `curve`: as for `plot`. The critic and the certificate stay on the server: see `Job.certificate`.
        """
        from wdist_client.display.files import write_result

        write_result(self, path, self.curve if curve is None else curve)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Reads a result that `save` wrote; raises WdistError for any other file. It has lost its job."""
        from wdist_client.display.files import read_result

        figures, curve, names = read_result(path)
        try:
            result = cls.model_validate(figures)
            points = [contract.CurvePoint.model_validate(point) for point in curve]
        except ValidationError as error:
            raise WdistError(f"{path} is damaged: {error.errors()[0]['msg']}") from None
        result._curve = lambda: points
        return result.named(names)

    def report(
        self,
        path: str | PathLike[str],
        *,
        names: tuple[str, str] | None = None,
        curve: Sequence[contract.CurvePoint] | None = None,
    ) -> None:
        """Writes the result as one HTML file that needs nothing else: words, pictures and figures, and no rows.

        `names`: what to call the two sets; by default `names` of this result. `curve`: as for `plot`.
        """
        from wdist_client.display.files import write_report

        write_report(self, path, names or self.names, self.curve if curve is None else curve)


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
    def __repr__(self) -> str:
        return f"<Comparison: {self.sentence}>"

    def __str__(self) -> str:
        from wdist_client.display.comparison import comparison_text

        return comparison_text(self)

    def _repr_html_(self) -> str:
        from wdist_client.display.comparison import comparison_html

        return comparison_html(self)


class Update(contract.UpdateFigures):
    """What one batch of a monitor says: by itself, and as a part of the monitor's series."""

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
