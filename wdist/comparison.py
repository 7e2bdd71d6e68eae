"""`compare_w1`: which of several sample sets is closer to a reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Unpack

from pydantic import ConfigDict, Field

from wdist.data.sources.advice import NAMING_CANDIDATES
from wdist.definitions.arguments import Arguments
from wdist.definitions.comparison import ComparisonFigures
from wdist.definitions.docstrings import entries
from wdist.definitions.figures import percent, short
from wdist.definitions.results.numbers import rounded_down, rounded_up
from wdist.definitions.results.reprs import in_a_line
from wdist.errors import OptionError
from wdist.estimate import called
from wdist.inference.comparison import check_delta, compared_figures, statements_needed
from wdist.matrix import Sets, matrix_of, open_levels, open_sets, refuse_levels
from wdist.options import Options, options_and_reading, takes_options
from wdist.result import Result
from wdist.training.progress import Progress


class Comparison(ComparisonFigures):
    """Which of several candidates is closer to a reference. All that it says holds together with `confidence`.

    Attributes:
        {figures}
        warnings: (candidate, warning) of each estimate.
        results: the result of each candidate against the reference, in the order given. Their own `lower_bound` and
            `upper_bound` hold each by itself.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    warnings: list[tuple[str, str]] = Field(default_factory=list)
    results: list[Result] = Field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain JSON types."""
        warnings = [{"candidate": name, "warning": warning} for name, warning in self.warnings]
        return self.model_dump(mode="json", include=set(ComparisonFigures.model_fields)) | {"warnings": warnings}

    def __repr__(self) -> str:
        return in_a_line(f"<Comparison: {self.sentence}>")

    def __str__(self) -> str:
        about = "approximately " if self.kind == "approximate" else ""
        width = max(10, *(len(each.name) for each in self.ranking))
        head = f"Distance from {self.reference}, all together with {about}{percent(self.confidence)} confidence"
        lines = [self.sentence, "", f"{head} ({self.units})"]
        lines.append(f"  place  {'':<{width}}  {'at least':>10}  {'at most':>10}  {'shown':>10}")
        for each in self.ranking:
            place = f"{each.best}" if each.best == each.worst else f"{each.best}-{each.worst}"
            ends = rounded_down(each.lower_bound), rounded_up(each.upper_bound), short(max(0.0, each.value))
            figures = "".join(f"  {figure:>10}" for figure in ends)
            lines.append(f"  {place:<5}  {each.name:<{width}}{figures}")
        if len(self.differences) > 1:
            lines += ["", *(each.sentence for each in self.differences)]
        lines += [f"warning: {self.reference} and {name}: {text}" for name, text in self.warnings]
        return "\n".join(lines)


Comparison.__doc__ = (Comparison.__doc__ or "").replace("{figures}", entries(ComparisonFigures).strip())


@takes_options
def compare_w1(
    data: Any,
    candidates: Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    by: str | None = None,
    levels: Sequence[Any] | None = None,
    reference: Any = None,
    delta: float | None = None,
    groups: str | None = None,
    progress: bool | Callable[[Progress], object] | None = None,
    **arguments: Unpack[Arguments],
) -> Comparison:
    """Tell which candidate is closer to the reference in the Wasserstein-1 distance, and by how much.

    Args:
        data: the reference, a set of rows as `estimate_w1` takes it; with `by`, one table.
        candidates: two or more sets, perhaps by name, whose rows are independent of the reference's. A set without a
            name is called by its path, or by its number from 1.
        by: column of a table whose levels are the reference and the candidates, instead of `candidates`.
        levels: with `by`, the levels that are compared; by default all.
        reference: with `by`, the level that is the reference.
        delta: candidates whose distances differ by at most this count as equally near.
        groups: column of tables with labels of rows that belong together.
        progress: True shows a line on standard error; a function is called with each `Progress`.
        {reading}
        {options}

    The options hold for every candidate; `statements` counts only where it is more than this comparison needs.

    Raises what `estimate_w1` raises; OptionError also for fewer than two candidates, for a delta that is not above 0,
    for two candidates of one name, and for options that leave out the upper bounds: a difference is a lower bound of
    one candidate less an upper bound of another.
    """
    options, reading = options_and_reading(arguments)
    check_delta(delta)
    if by is not None:
        if candidates is not None:
            raise OptionError("by makes the candidates of the levels of one table: leave candidates out")
        if reference is None or isinstance(reference, bool):
            raise OptionError(f"say which level of {by!r} is the reference: reference='LEVEL'")
        sets = open_levels(data, by, reading, levels, reference, groups)
        return comparison_of(sets, options, delta=delta, progress=progress)
    if candidates is None:
        raise OptionError("give a reference and at least two candidates; two sets alone are compared by an estimate")
    refuse_levels(levels, reference is not None and reference)
    statements_needed(len(candidates), {**options.model_dump(), "groups": groups})  # refuses before any file is read
    return comparison_of(open_sets(_named(data, candidates), reading, groups), options, delta=delta, progress=progress)


def comparison_of(
    sets: Sets,
    options: Options,
    *,
    delta: float | None = None,
    progress: bool | Callable[[Progress], object] | None = None,
) -> Comparison:
    """`compare_w1` of open sets, the first of which is the reference."""
    check_delta(delta)
    _refuse_twice(sets.names)
    needed = statements_needed(len(sets.rows) - 1, {**options.model_dump(), "groups": sets.labels})
    options = options.model_copy(update={"statements": max(options.statements, needed)})
    matrix = matrix_of(sets, options, reference=True, progress=progress)
    figures = compared_figures(matrix.rows[0], matrix.columns, [each.to_dict() for each in matrix.results], delta)
    warnings = [(name, warning) for _, name, warning in matrix.warnings]
    return Comparison(**vars(figures), warnings=warnings, results=matrix.results)


def _named(reference: Any, candidates: Sequence[Any] | Mapping[str, Any]) -> dict[str, Any]:
    """All sets by name, the reference first. Raises OptionError for a name that two of them have."""
    if isinstance(candidates, Mapping):
        named = [(str(name), data) for name, data in candidates.items()]
    else:
        named = [(called(data, f"candidate {k}"), data) for k, data in enumerate(candidates, start=1)]
    named = [(called(reference, "reference"), reference), *named]
    _refuse_twice([name for name, _ in named])
    return dict(named)


def _refuse_twice(names: Sequence[str]) -> None:
    """Raise OptionError for a name that two sets have: the answer speaks of them by their names."""
    for k, name in enumerate(names):
        if name in names[:k]:
            raise OptionError(f"two sets are called {name!r}: leave one out{NAMING_CANDIDATES}")
