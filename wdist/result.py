"""The result of an estimate. Library, API, client, certificate and web page use the same names for its parts."""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import ConfigDict, Field, PrivateAttr, ValidationError

from wdist.critics.critic import Critic
from wdist.definitions.docstrings import entries
from wdist.definitions.figures import Figures, rows_in_words, summary_lines
from wdist.definitions.results.reprs import in_a_line
from wdist.definitions.results.verdict import Verdict, verdict
from wdist.errors import OptionError, WdistError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wdist.certificate.file import Certificate
    from wdist.witness import Witness


class Later:
    """A part of a result that is computed on demand. Pickling drops it, because it needs the rows."""

    def __init__(self, make: Callable[[], Any] | None = None) -> None:
        self._make = make

    def __call__(self) -> Any:
        """Compute the part. Raises WdistError after pickling."""
        if self._make is None:
            raise WdistError(
                "a saved or pickled result keeps its certificate and witness only if they were asked for before that; "
                "the witness in a file of the client is read by wdist_client.Result.load"
            )
        return self._make()

    def __reduce__(self) -> tuple[type[Later], tuple[()]]:
        return Later, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Later:
        return self


class Result(Figures):
    """What is known about W1(P, Q) from n rows of P (source) and m rows of Q (target), Euclidean ground metric.

    `save` and `load` keep a result in a file; it can also be pickled (multiprocessing, joblib). Both keep `certificate`
    and `witness` only if they were accessed before, because they need the rows.

    Attributes:
        {figures}
        curve: training curve, a list of {step, seconds, value}. Values are computed on select rows and not certified.
        names: names of the two sets, for reports: those of their files, or source and target.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    critic: Critic = Field(description="The trained potential f; `critic.evaluate(rows)` scores new rows.")
    curve: list[dict[str, int | float]] = Field(default_factory=list)
    names: tuple[str, str] = ("source", "target")
    _rows: Later | None = PrivateAttr(default=None)
    _unclipped: Later = PrivateAttr(default_factory=Later)
    _certificate: Later | None = PrivateAttr(default=None)
    _witness: Later | None = PrivateAttr(default=None)

    @property
    def meaning(self) -> str:
        """The result in plain words: those of `verdict`."""
        return self.verdict.text

    @property
    def verdict(self) -> Verdict:
        """The answer: do the populations differ, by how much, and is that large?"""
        return verdict(self._figures())

    @cached_property
    def certificate(self) -> Certificate:
        """The result as a file that anyone can check: `result.certificate.save("c.cert")`, then `wdist verify`.

        Reads both sample sets once to compute their digests.

        Raises:
            WdistError: if the result was not made by `estimate_w1`, or was pickled before the first access.
        """
        if self._certificate is None:
            raise WdistError("this result was not made by estimate_w1: it has no certificate")
        certificate: Certificate = self._certificate()
        return certificate

    @cached_property
    def witness(self) -> Witness:
        """Where the sets differ, according to the critic: row scores, the most unusual rows and, for tables, columns.

        Reads the test rows once more, and part of the train rows.

        Raises:
            WdistError: if the result was not made by `estimate_w1`, or was pickled before the first access.
        """
        if self._witness is None:
            raise WdistError("this result was not made by estimate_w1: it has no witness")
        witness: Witness = self._witness()
        return witness

    def plot(self, ax: Axes | None = None, names: tuple[str, str] | None = None) -> Figure:
        """Plot the certified bound beside simpler estimates, the training curve, and histograms of both sets' scores.

        Args:
            ax: matplotlib axes into which to draw the bound alone, in a figure of your own.
            names: what to call the two sets; by default `names` of this result.

        Returns the matplotlib Figure. Notebooks display it; `figure.savefig("result.png")` saves it. The scores are
        held out and not clipped: their means are `unclipped` apart. Without a witness, a saved result leaves them out.

        Raises:
            WdistError: if matplotlib is not installed.
        """
        from wdist.export.plot import draw_result

        if isinstance(ax, str | Path):
            raise OptionError(f"plot takes axes, not a path; to write a picture: result.plot().savefig({str(ax)!r})")
        return draw_result(self, ax, names or self.names)

    def save(self, path: str | Path) -> None:
        """Write the result into one file: figures, curve, critic, and certificate and witness if they were accessed.

        The file is safetensors with JSON in its header. It holds no rows, and is no proof: that is what `certificate`
        is for. `wdist_client.Result.load` reads it too, without torch.
        """
        from wdist.export.file import StoredResult, write_result

        kept = self.__dict__
        figures = {name: getattr(self, name) for name in Figures.model_fields if name != "critic"}
        parts = self.critic, kept.get("certificate"), kept.get("witness")
        said = {"verdict": self.verdict.model_dump(), "meaning": self.meaning}
        write_result(path, StoredResult(figures, self.curve, self.names, *parts, said))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a result that `save` wrote, here or in the client. It needs neither the rows nor pickle.

        A file of the client has no witness: a server keeps its figures, and not the score of every held-out row.

        Raises:
            WdistError: if the file is something else, is damaged, or is of a later format.
        """
        from wdist.export.file import read_result

        stored = read_result(path)
        try:
            result = cls(critic=stored.critic, curve=stored.curve, names=stored.names, **stored.figures)
        except ValidationError as error:
            raise WdistError(f"{path} is damaged: {error.errors()[0]['msg']}") from None
        result._certificate = result._witness = result._rows = result._unclipped = Later()
        found = {"certificate": stored.certificate, "witness": stored.witness}
        result.__dict__.update({name: part for name, part in found.items() if part is not None})
        return result

    def report(self, path: str | Path, *, names: tuple[str, str] | None = None, rows: int = 0) -> None:
        """Write the result as one HTML file that needs nothing else: words, pictures, figures and columns.

        Args:
            path: of the file.
            names: what to call the two sets; by default `names` of this result.
            rows: how many of the most unusual held-out rows of each set to show, with their values. By default the
                report holds no rows.

        Reads the rows if the witness was not accessed before. Without them, the report of a saved result leaves the
        scores and the columns out.

        Raises:
            WdistError: if rows are asked for and this result was saved or pickled, which keeps none.
            OptionError: if the path ends as that of another format does, such as .pdf.
        """
        from wdist.export.report import write_report

        write_report(self, path, names or self.names, rows)

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON types."""
        said = self.verdict
        return self._figures() | {"verdict": said.model_dump(), "meaning": said.text}

    def _figures(self) -> dict[str, Any]:
        figures = {name: getattr(self, name) for name in Figures.model_fields}
        critic = {"family": self.critic.family, "config": self.critic.config}
        return figures | {"critic": critic, "warnings": list(self.warnings)}

    def __eq__(self, other: object) -> bool:
        """Whether all figures are equal, those of the curve included."""
        return isinstance(other, Result) and (self.to_dict(), self.curve) == (other.to_dict(), other.curve)

    def __repr__(self) -> str:
        upper = "" if self.upper_bound is None else f"upper_bound={self.upper_bound!r}, "
        figures = f"lower_bound={self.lower_bound!r}, {upper}value={self.value!r}, confidence={self.confidence!r}"
        return in_a_line(f"Result({figures}): {self.verdict.headline}")

    def __float__(self) -> float:
        return self.lower_bound

    def __format__(self, spec: str) -> str:
        return format(self.lower_bound, spec) if spec else str(self)

    def __str__(self) -> str:
        lines = [] if self.names == ("source", "target") else [f"{self.names[0]} (source), {self.names[1]} (target)"]
        lines += [*self._sentences(), ""]
        lines += [f"  {name:<16} {figure:>11}   {meaning}" for name, figure, meaning in summary_lines(self.to_dict())]
        trained = f"{self.steps} steps" if self.steps else "closed form"
        lines += [f"  critic {self.critic.family}, {trained}, {self.seconds:.1f} s on {self.device}"]
        lines += [f"  {rows_in_words(self.n)}"]
        lines += [f"  warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th><td>{html.escape(figure)}</td>"
            f"<td style='text-align:left'>{html.escape(meaning)}</td></tr>"
            for name, figure, meaning in summary_lines(self.to_dict())
        )
        headline, *others = (html.escape(sentence) for sentence in self._sentences())
        said = "".join(f"<p>{sentence}</p>" for sentence in others)
        notes = "".join(f"<p>{html.escape(f'Warning: {warning}')}</p>" for warning in self.warnings)
        return f"<p><strong>{headline}</strong></p>{said}<table>{rows}</table>{notes}"

    def _sentences(self) -> list[str]:
        """The verdict, part by part: the answer, the distance, its size, and what else to know."""
        said = self.verdict
        return [part for part in (said.headline, said.distance, said.size, said.caveat) if part is not None]


Result.__doc__ = (Result.__doc__ or "").replace("{figures}", entries(Result).strip())
