"""`wdist matrix`: compares all pairs of several local files, without a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from wdist.cli.arguments import AsJson, Drop, FailAbove, Progress, SetName, Switch
from wdist.cli.estimate import ProgressLine, compared
from wdist.cli.inputs import HELP, Input, Inputs
from wdist.cli.options import options_as_flags
from wdist.cli.output import EX_NO, fail, remark, say

if TYPE_CHECKING:
    from wdist.result import Result


@options_as_flags(without=["statements"])
def matrix(
    *names: Annotated[SetName, Parameter(name="SET", help=HELP)],
    drop: Drop = (),
    as_json: AsJson = False,
    progress: Progress = None,
    reference: Annotated[Switch, Parameter(help="only the first against each of the others")] = False,
    fail_above: FailAbove = None,
    simultaneous: Annotated[Switch, Parameter(help="--fail-above is about bounds that hold together")] = False,
    **options: Any,
) -> int:
    """Compare all pairs of several files and print the bounds; returns the exit status."""
    from wdist.errors import WdistError

    if len(names) < 2:
        return fail("give at least two sets")
    try:
        with Inputs(drop) as inputs:
            sets = inputs.open(names)
            rows = sets[:1] if reference else sets
            columns = sets[1:] if reference else sets
            pairs = [(a, b) for i, a in enumerate(rows) for b in (columns if reference else sets[i + 1 :])]
            given = options | {"statements": len(pairs)}
            found = {}
            for k, (a, b) in enumerate(pairs, start=1):
                with ProgressLine(progress, f"pair {k} of {len(pairs)}, {a.given} and {b.given}, ") as tell:
                    found[a, b] = compared(a, b, dict(given), tell)
    except WdistError as error:
        return fail(str(error))
    result = _MatrixOfFiles(rows, columns, found)
    say(json.dumps(result.to_dict(), indent=2) if as_json else result)
    judged = _together if simultaneous else _alone
    highest = max(judged(pair) for pair in found.values())
    if fail_above is not None and highest > fail_above:
        kind = "simultaneous" if simultaneous else "lower"
        remark(f"wdist: a {kind} bound, {highest:.6g}, is above {fail_above:g}")
        return EX_NO
    return 0


def _alone(result: Result) -> float:
    return result.lower_bound


def _together(result: Result) -> float:
    """The bound that holds simultaneously for all pairs; a single pair has only its own."""
    return result.lower_bound if result.simultaneous is None else result.simultaneous["lower_bound"]


def _upper(result: Result) -> float | None:
    return result.upper_bound


class _MatrixOfFiles:
    """Results by pair, with each bound by itself and all of them together."""

    def __init__(self, rows: list[Input], columns: list[Input], found: dict[tuple[Input, Input], Result]) -> None:
        self._rows, self._columns, self._found = rows, columns, found
        self._first = next(iter(found.values()))  # options are the same for all

    def _figures(self, of: Callable[[Result], float | None], diagonal: float = 0.0) -> list[list[float | None]]:
        found = self._found | {(b, a): result for (a, b), result in self._found.items()}
        return [[diagonal if a is b else of(found[a, b]) for b in self._columns] for a in self._rows]

    def _p_values(self) -> list[list[float | None]]:
        return self._figures(lambda result: result.p_value, 1.0)

    def _adjusted(self) -> list[list[float | None]]:
        import numpy as np

        from wdist.inference.simultaneous import adjusted_matrix

        adjusted = adjusted_matrix(np.array(self._p_values(), dtype=np.float64)).tolist()  # None becomes nan
        return [[None if p != p else p for p in row] for row in adjusted]

    def to_dict(self) -> dict[str, Any]:
        return {
            "rows": [given.given for given in self._rows],
            "columns": [given.given for given in self._columns],
            "confidence": self._first.confidence,
            "units": self._first.units,
            "split": self._first.split,
            "pairs": len(self._found),
            "value": self._figures(lambda result: result.value),
            "lower_bound": self._figures(_alone),
            "simultaneous_lower_bound": self._figures(_together),
            "upper_bound": self._figures(_upper),
            "p_value": self._p_values(),
            "adjusted_p_value": self._adjusted(),
            "warnings": [
                {"row": a.given, "column": b.given, "warning": warning}
                for (a, b), result in self._found.items()
                for warning in result.warnings
            ],
        }

    def __str__(self) -> str:
        about = "approximately " if self._first.split == "blocks" else ""
        confidence = f"with {about}{100 * self._first.confidence:.10g} % confidence"
        several, pairs = len(self._found) > 1, f"all {len(self._found):,} pairs together"
        parts = [(f"W1 is at least, each pair by itself {confidence} ({self._first.units})", self._figures(_alone))]
        if several:
            parts.append((f"W1 is at least, {pairs} {confidence}", self._figures(_together)))
        if self._first.upper_bound is not None:
            parts.append((f"W1 is at most, each pair by itself {confidence}", self._figures(_upper)))
        if self._first.p_value is not None:
            holm = f", adjusted so that {pairs} may be judged by it (Holm)" if several else ""
            parts.append((f"p-value: how often equal populations would show this much{holm}", self._adjusted()))
        lines = "\n\n".join("\n".join([title, *self._table(figures)]) for title, figures in parts).splitlines()
        for (a, b), result in self._found.items():
            lines += [f"warning: {a.given} (source) and {b.given} (target): {warning}" for warning in result.warnings]
        return "\n".join(lines)

    def _table(self, figures: list[list[float | None]]) -> list[str]:
        """A set is not compared with itself, so its cell is "-"; 0 would mean a pair that shows no difference."""
        width = max(10, *(len(given.given) for given in [*self._rows, *self._columns]))
        lines = [" " * width + "".join(f"  {given.given:>{width}}" for given in self._columns)]
        for row, numbers in zip(self._rows, figures, strict=True):
            shown = [
                "-" if row is column or number is None else f"{number:.4g}"
                for column, number in zip(self._columns, numbers, strict=True)
            ]
            lines.append(f"{row.given:<{width}}" + "".join(f"  {text:>{width}}" for text in shown))
        return lines
