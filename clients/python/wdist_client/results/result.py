"""The result of an estimate: the members of the library's `wdist.Result`, with the same meaning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, PrivateAttr, ValidationError

from wdist_client import contract
from wdist_client.base import in_a_line
from wdist_client.errors import WdistError, WithdrawnError
from wdist_client.results.certificate import Certificate
from wdist_client.results.file import StoredResult, Tensor, read_result, write_result
from wdist_client.results.witness import Witness

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

StoredCritic = tuple[dict[str, Any], dict[str, Tensor]]


@dataclass(frozen=True)
class Parts:
    """What the job of a result is asked for when somebody wants it. None: a part that is asked of the job itself.

    job: its id; after a file was read, None.
    """

    job: str | None = None
    curve: Callable[[], Sequence[contract.CurvePoint]] | None = None
    witness: Callable[[], Witness] | None = None
    certificate: Callable[[], Certificate] | None = None
    critic: Callable[[], StoredCritic] | None = None


class Verdict(contract.Verdict):
    @property
    def text(self) -> str:
        """All sentences."""
        return " ".join(filter(None, (self.headline, self.distance, self.size, self.caveat)))


class Critic(contract.Critic):
    _evaluate: Callable[[Any], Any] | None = PrivateAttr(default=None)

    def evaluate(self, rows: Any) -> Any:
        """The certified critic f of each row, float64 (n,): high where a row looks like the target.

        rows: as for `Job.evaluate`; a file is read as the sets were. Asks the server; await it with an `AsyncClient`.
        Raises WdistError for a result not obtained from a job.
        """
        if self._evaluate is None:
            raise WdistError("this result has lost its job: ask client.estimates.get(id).evaluate(rows)")
        return self._evaluate(rows)


class Result(contract.Result):
    critic: Critic
    verdict: Verdict = Field(default_factory=Verdict)
    _parts: Parts = PrivateAttr(default_factory=Parts)
    _known: dict[str, Any] = PrivateAttr(default_factory=dict)
    _names: tuple[str, str] | None = PrivateAttr(default=None)

    def of(self, parts: Parts, evaluate: Callable[[Any], Any], names: tuple[str, str] | None) -> Self:
        """Ties the result to its job, which has the other parts, and the names of the sets."""
        self._parts, self.critic._evaluate, self._names = parts, evaluate, names or self._names
        return self

    def with_parts(self, **parts: Any) -> Self:
        """The result with parts that were fetched already: curve, witness, certificate, critic; None is none."""
        found = {name: part for name, part in parts.items() if part is not None}
        self._known |= found
        fetched: dict[str, Any] = {name: partial(found.get, name) for name in found}
        self._parts = replace(self._parts, **fetched)
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
        found: Sequence[contract.CurvePoint] = () if self._parts.curve is None else self._part("curve")
        return found

    @property
    def witness(self) -> Witness:
        """Where the sets differ: the most unusual rows, the histogram of scores and, for tables, the columns.

        Fetched on first use. With an `AsyncClient`, `await job.witness()`. Raises WdistError for a result without a
        job whose file does not have it, NotFound for an estimate that ran before servers kept it.
        """
        found: Witness = self._part("witness")
        return found

    @property
    def certificate(self) -> Certificate:
        """The result as a file that anyone can check: `result.certificate.save("c.cert")`, then `wdist verify`.

        Fetched on first use. With an `AsyncClient`, `await job.certificate()`. Raises WdistError for a result without a
        job whose file does not have it.
        """
        found: Certificate = self._part("certificate")
        return found

    def _part(self, name: str) -> Any:
        """A part, asked for once."""
        if name not in self._known:
            make = getattr(self._parts, name)
            if make is None:
                raise WdistError(self._without(name))
            self._known[name] = make()
        return self._known[name]

    def _without(self, part: str) -> str:
        """Why a part cannot be had, and what to do."""
        if self._parts.job is not None:
            return f"the {part} is awaited with an AsyncClient: await job.{part}() of {self._parts.job}"
        return (
            f"this result has lost its job, and a file keeps the {part} only if it was asked for before `save`: ask "
            f"client.estimates.get(id).{part}()"
        )

    def is_withdrawn(self, figure: str) -> bool:
        """Whether the server has withdrawn a figure of this result: lower_bound, p_value, upper_bound, ..."""
        return self.withdrawn is not None and figure in self.withdrawn.figures

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON types: the keys are those of the library's, and `withdrawn` if figures are."""
        record = self.model_dump(mode="json")
        if self.withdrawn is None:
            record.pop("withdrawn", None)
        return record

    def __float__(self) -> float:
        """The lower bound. Raises WithdrawnError for one that is withdrawn: programs compare it unseen."""
        if self.withdrawn is not None and self.is_withdrawn("lower_bound"):
            raise WithdrawnError(f"the lower bound is withdrawn. {self.withdrawn.reason} {self.withdrawn.action}")
        return self.lower_bound

    def __format__(self, spec: str) -> str:
        """The whole result, or float(result) in the form of `spec`."""
        return format(float(self), spec) if spec else str(self)

    def __repr__(self) -> str:
        upper = "" if self.upper_bound is None else f"upper_bound={self.upper_bound!r}, "
        figures = f"lower_bound={self.lower_bound!r}, {upper}value={self.value!r}, confidence={self.confidence!r}"
        return in_a_line(f"Result({figures}): {self.verdict.headline or self.meaning}")

    def __str__(self) -> str:
        from wdist_client.display.text import result_text

        return result_text(self)

    def _repr_html_(self) -> str:
        from wdist_client.display.text import result_html

        return result_html(self)

    def plot(
        self,
        ax: Axes | None = None,
        names: tuple[str, str] | None = None,
        *,
        curve: Sequence[contract.CurvePoint] | None = None,
    ) -> Figure:
        """The result as an interval on a line from 0, with the training curve beside it; returns the figure.

        Args:
            ax: draw the interval alone, into these axes of a figure of your own.
            names: what to call the two sets; by default `names` of this result.
            curve: give it if the result cannot fetch it: with an `AsyncClient`, `await job.curve()`.

        Raises WdistError if matplotlib is not installed.
        """
        from wdist_client.display.plot import plot_result

        points = () if ax is not None else self.curve if curve is None else curve
        return plot_result(self, points, ax, names or self.names)

    def save(self, path: str | PathLike[str], *, curve: Sequence[contract.CurvePoint] | None = None) -> None:
        """Writes the result into one file: figures, words, curve and critic, and what else was asked for before.

        That is the file of the library, whose `wdist.Result.load` reads it and scores rows with its critic; the
        library finds no witness in it, for which it would need the score of every held-out row. Witness and
        certificate are kept if they were accessed before. `curve`: as for `plot`. With an `AsyncClient`, a result
        cannot ask for its critic: `await job.save(path)` writes the whole.
        """
        self._write(path, self.curve if curve is None else curve)

    def _write(self, path: str | PathLike[str], curve: Sequence[contract.CurvePoint]) -> None:
        critic = None if self._parts.critic is None else self._part("critic")
        certificate, witness = (self._known.get(name) for name in ("certificate", "witness"))
        stored = StoredResult(
            self.to_dict(), [point.model_dump(mode="json") for point in curve], self.names, critic, certificate,
            None if witness is None else witness.to_dict(), self._known.get("tensors", {}),
        )  # fmt: skip
        write_result(path, stored, self.names)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Reads a result that the client or the library saved; raises WdistError for any other file.

        It has lost its job: witness and certificate are there if the file has them, and `critic.evaluate` needs the
        job, or the library: `wdist.Result.load(path).critic.evaluate(rows)`.
        """
        stored = read_result(path)
        try:
            result = cls.model_validate(stored.result)
            points = [contract.CurvePoint.model_validate(point) for point in stored.curve]
            known: dict[str, Any] = {"curve": points}
            if stored.certificate is not None:
                known["certificate"] = Certificate(stored.certificate)
            if stored.witness is not None:
                known["witness"] = Witness(stored.witness)
        except ValidationError as error:
            raise WdistError(f"{path} is damaged: {error.errors()[0]['msg']}") from None
        result._known = {"tensors": stored.tensors}
        return result.with_parts(**known, critic=stored.critic).named(stored.names)

    def report(
        self,
        path: str | PathLike[str],
        *,
        names: tuple[str, str] | None = None,
        curve: Sequence[contract.CurvePoint] | None = None,
    ) -> None:
        """Writes the result as one HTML file that needs nothing else: words, pictures and figures, and no rows.

        `names`: what to call the two sets; by default `names` of this result. `curve`: as for `plot`. The columns of a
        table are shown if the witness was accessed before. Raises OptionError for a path that ends as that of another
        format does, such as .pdf.
        """
        from wdist_client.display.files import write_report

        points = self.curve if curve is None else curve
        write_report(self, path, names or self.names, points, self._known.get("witness"))
