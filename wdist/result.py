"""The result of an estimate. Library, API, client, certificate and web page use the same names for its parts."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

from wdist.errors import WdistError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wdist.certificate.file import Certificate
    from wdist.critics.critic import Critic
    from wdist.witness import Witness


def _percent(share: float) -> str:
    return f"{(100 * Decimal(repr(float(share)))).normalize():f} %"  # exactly the share given: 99.999999999, not 100


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


@dataclass
class Result:
    """What is known about W1(P, Q) from n rows of P (source) and m rows of Q (target), Euclidean ground metric.

    A result can be pickled (multiprocessing, joblib). `certificate` and `witness` are kept only if they were accessed
    before pickling.

    Attributes:
        value: held-out mean difference of the critic divided by its proven Lipschitz bound; its expectation is <= W1.
        lower_bound: max(0, one-sided confidence bound); above W1 with probability at most 1 - confidence (only
            approximately with `split` "blocks").
        upper_bound: one-sided upper bound, if `diameter` was given; None otherwise.
        confidence: 1 - alpha.
        simultaneous: {statements, lower_bound} if the estimate is one of several that are read together: all their
            simultaneous bounds hold at once with probability `confidence` (Bonferroni); None otherwise.
        p_value: one-sided permutation test of P = Q on the held-out scores; None if rows are not exchangeable.
        lipschitz_bound: L, proven in float64 from the stored weights.
        critic: the trained potential f; `critic.evaluate(rows)` scores new rows.
        seed: seed of the split and of training.
        n: number of rows of each set in the train, select and test parts.
        split: "random" (independent rows), "groups" (P and Q are the distributions of a row drawn by first drawing a
            group), or "blocks" (rows ordered in time).
        groups: {source, target}, the number of test groups in each set if whole groups were split; None otherwise.
        scale: rescaling of the data before distances are computed (None: the data's own units).
        units: the units of `value` and the bounds.
        trivial: simpler estimates in the same units {mean_difference, max_sliced}: the test rows' mean difference along
            the direction between the means of the train rows, and their max-sliced W1 (None with groups).
        empirical: bracket of the W1 between the given rows themselves {lower, upper, exact}, or None.
        null_baseline: exact optimal transport on `rows` rows a side {rows, between, within}, or None. `within` compares
            two disjoint parts of one set, so it shows the bias of the empirical distance. It ignores groups.
        steps, seconds, device: training steps, elapsed time, and the device used.
        warnings: caveats about the data and the bounds.
        curve: training curve, a list of {step, seconds, value}. Values are computed on select rows and not certified.
    """

    value: float
    lower_bound: float
    upper_bound: float | None
    confidence: float
    p_value: float | None
    lipschitz_bound: float
    critic: Critic
    seed: int
    n: dict[str, dict[str, int]]
    scale: Any
    units: str
    trivial: dict[str, float | None]
    empirical: dict[str, float | None] | None
    null_baseline: dict[str, float] | None
    steps: int
    seconds: float
    device: str
    warnings: list[str] = field(default_factory=list)
    curve: list[dict[str, float]] = field(default_factory=list)
    simultaneous: dict[str, float] | None = None
    split: str = "random"
    groups: dict[str, int] | None = None
    _certificate: Later | None = field(default=None, repr=False, compare=False)
    _witness: Later | None = field(default=None, repr=False, compare=False)

    @property
    def meaning(self) -> str:
        """The result in plain words."""
        held_out, confidence = self._held_out, f"{_percent(self.confidence)} confidence"
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
                f"The two populations{drawn} differ (permutation p-value {self.p_value:.2g}), but {held_out} are too "
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
        return f"{min(self.groups.values()):,} or more held-out groups ({rows:,} or more rows) of each set"

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
        return {
            "value": self.value,
            "lower_bound": self.lower_bound,
            "upper_bound": self.upper_bound,
            "confidence": self.confidence,
            "simultaneous": self.simultaneous,
            "p_value": self.p_value,
            "lipschitz_bound": self.lipschitz_bound,
            "critic": {"family": self.critic.family, "config": self.critic.config},
            "seed": self.seed,
            "n": self.n,
            "split": self.split,
            "groups": self.groups,
            "scale": self.scale,
            "units": self.units,
            "trivial": self.trivial,
            "empirical": self.empirical,
            "null_baseline": self.null_baseline,
            "steps": self.steps,
            "seconds": self.seconds,
            "device": self.device,
            "warnings": list(self.warnings),
            "meaning": self.meaning,
        }

    def __float__(self) -> float:
        return self.lower_bound

    def __format__(self, spec: str) -> str:
        return format(self.lower_bound, spec) if spec else str(self)

    def _lines(self) -> list[tuple[str, str, str]]:
        """(name, figure, meaning) of each line of the printed summary."""
        about = "approximately " if self.split == "blocks" else ""
        unit = "rows" if self.groups is None else "groups"
        at_least = f"W1 is at least this, with {about}{_percent(self.confidence)} confidence"
        value = f"the critic's mean difference on held-out {unit}: the estimate, from below"
        lines = [
            ("lower_bound", f"{self.lower_bound:.5g}", at_least),
            ("value", f"{self.value:.5g}", value),
            ("lipschitz_bound", f"{self.lipschitz_bound:.8f}", "proven from the weights; value is divided by it"),
        ]
        if self.p_value is not None:
            lines.insert(2, ("p_value", f"{self.p_value:.2g}", "how often equal populations would show this much"))
        if self.upper_bound is not None:
            lines.insert(1, ("upper_bound", f"{self.upper_bound:.5g}", "W1 is at most this, at the same confidence"))
        if self.simultaneous is not None:
            figure, count = f"{self.simultaneous['lower_bound']:.5g}", int(self.simultaneous["statements"])
            lines.insert(1, ("simultaneous", figure, f"{about}at least this, together with all {count:,} statements"))
        if (mean_difference := self.trivial.get("mean_difference")) is not None:
            lines.append(
                (
                    "mean difference",
                    f"{mean_difference:.5g}",
                    f"the trivial estimate on the same held-out {unit}: compare with value",
                )
            )
        if self.null_baseline is not None:
            rows = f"{int(self.null_baseline['rows']):,} rows of each set" + (
                "" if unit == "rows" else ", not by group"
            )
            lines.append(("exact OT", f"{self.null_baseline['between']:.5g}", f"empirical distance of {rows}"))
            lines.append(
                ("null baseline", f"{self.null_baseline['within']:.5g}", "the same between two parts of one set: bias")
            )
        return lines

    def __str__(self) -> str:
        lines = [self.meaning, ""]
        lines += [f"  {name:<16} {figure:>11}   {meaning}" for name, figure, meaning in self._lines()]
        trained = f"{self.steps} steps" if self.steps else "closed form"
        lines += [f"  critic {self.critic.family}, {trained}, {self.seconds:.1f} s on {self.device}"]
        lines += [f"  warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th><td>{html.escape(figure)}</td>"
            f"<td style='text-align:left'>{html.escape(meaning)}</td></tr>"
            for name, figure, meaning in self._lines()
        )
        notes = "".join(f"<p>Warning: {html.escape(warning)}</p>" for warning in self.warnings)
        return f"<p>{html.escape(self.meaning)}</p><table>{rows}</table>{notes}"
