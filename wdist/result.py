"""The result of an estimate. Library, API, client, certificate and web page use the same names for its parts."""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, Field, PrivateAttr

from wdist.critics.critic import Critic
from wdist.definitions.docstrings import entries
from wdist.definitions.figures import Figures, percent, summary_lines
from wdist.errors import WdistError

if TYPE_CHECKING:
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
                "a pickled result keeps its certificate and witness only if they were asked for before pickling"
            )
        return self._make()

    def __reduce__(self) -> tuple[type[Later], tuple[()]]:
        return Later, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Later:
        return self


class Result(Figures):
    """What is known about W1(P, Q) from n rows of P (source) and m rows of Q (target), Euclidean ground metric.

    A result can be pickled (multiprocessing, joblib). `certificate` and `witness` are kept only if they were accessed
    before pickling.

    Attributes:
        {figures}
        curve: training curve, a list of {step, seconds, value}. Values are computed on select rows and not certified.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    critic: Critic = Field(description="The trained potential f; `critic.evaluate(rows)` scores new rows.")
    curve: list[dict[str, int | float]] = Field(default_factory=list)
    _certificate: Later | None = PrivateAttr(default=None)
    _witness: Later | None = PrivateAttr(default=None)

    @property
    def meaning(self) -> str:
        """The result in plain words."""
        held_out, confidence = self._held_out, f"{percent(self.confidence)} confidence"
        drawn = ", of which a draw is a group and then a row of it," if self.split == "groups" else ""
        if self.split == "blocks":
            confidence = f"approximately {confidence}"
        if self.lower_bound > 0:
            said = (
                f"With {confidence}, the Wasserstein-1 distance between the two populations{drawn} is at least "
                f"{self.lower_bound:.4g} ({self.units}); on {held_out} the critic measures {self.value:.4g}."
            )
        elif self.p_value is not None and self.p_value <= 1 - self.confidence:
            said = (
                f"The two populations{drawn} differ (p-value {self.p_value:.2g}), but {held_out} are too "
                f"few to bound their distance away from 0 at {confidence}; the critic measures {self.value:.4g} "
                f"({self.units})."
            )
        else:
            said = (
                f"No evidence of a difference at {confidence}: on {held_out} the critic measures {self.value:.4g} "
                f"({self.units}). This does not show that the two populations{drawn} are equal."
            )
        if self.split == "blocks":
            said += " Rows ordered in time depend on their neighbours: the true confidence may be far lower."
        return said

    @property
    def _held_out(self) -> str:
        """The number of held-out rows or groups, in words."""
        rows = min(self.n["source"]["test"], self.n["target"]["test"])
        if self.groups is None:
            return f"{rows:,} or more held-out rows of each set"
        groups = min(self.groups["source"], self.groups["target"])
        return f"{groups:,} or more held-out groups ({rows:,} or more rows) of each set"

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

    def plot(self) -> Figure:
        """Plot the certified bound beside simpler estimates, the training curve, and histograms of both sets' scores.

        Returns a matplotlib Figure. Notebooks display it; `figure.savefig("result.png")` saves it.

        Raises:
            WdistError: if matplotlib is not installed.
        """
        from wdist.plot import draw_result

        return draw_result(self)

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON types."""
        figures = {name: getattr(self, name) for name in Figures.model_fields}
        critic = {"family": self.critic.family, "config": self.critic.config}
        return figures | {"critic": critic, "warnings": list(self.warnings), "meaning": self.meaning}

    def __eq__(self, other: object) -> bool:
        """Whether all figures are equal, those of the curve included."""
        return isinstance(other, Result) and (self.to_dict(), self.curve) == (other.to_dict(), other.curve)

    def __repr__(self) -> str:
        return f"Result(lower_bound={self.lower_bound!r}, value={self.value!r}, confidence={self.confidence!r})"

    def __float__(self) -> float:
        return self.lower_bound

    def __format__(self, spec: str) -> str:
        return format(self.lower_bound, spec) if spec else str(self)

    def __str__(self) -> str:
        lines = [self.meaning, ""]
        lines += [f"  {name:<16} {figure:>11}   {meaning}" for name, figure, meaning in summary_lines(self.to_dict())]
        trained = f"{self.steps} steps" if self.steps else "closed form"
        lines += [f"  critic {self.critic.family}, {trained}, {self.seconds:.1f} s on {self.device}"]
        lines += [f"  warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th><td>{html.escape(figure)}</td>"
            f"<td style='text-align:left'>{html.escape(meaning)}</td></tr>"
            for name, figure, meaning in summary_lines(self.to_dict())
        )
        notes = "".join(f"<p>Warning: {html.escape(warning)}</p>" for warning in self.warnings)
        return f"<p>{html.escape(self.meaning)}</p><table>{rows}</table>{notes}"


Result.__doc__ = (Result.__doc__ or "").replace("{figures}", entries(Result).strip())
