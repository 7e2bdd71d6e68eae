"""`wdist estimate` and `wdist matrix`: the library on files of this machine, without a server."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wdist_service.commands.inputs import HELP, Input, Inputs
from wdist_service.commands.output import EX_NO, Commands, fail, finite, remark, say

if TYPE_CHECKING:
    from wdist.result import Result
    from wdist.training import Progress

OPTIONS = (
    "confidence", "critic", "seed", "device", "steps", "max_seconds", "scale", "layout", "baseline_rows", "method",
    "split", "diameter", "statements",
)  # fmt: skip


def add_estimate(commands: Commands) -> None:
    estimate = commands.add_parser(
        "estimate",
        help="compare two sample sets here, without a server",
        description="Compare two sample sets here, without a server.",
        epilog="Exit status: 0 done; 1 the lower bound is above --fail-above; 2 the data or an option is refused.",
    )
    estimate.add_argument("source", metavar="A", help=f"the first set (P): {HELP}")
    estimate.add_argument("target", metavar="B", help="the second set (Q)")
    _add_options(estimate)
    estimate.add_argument("--groups", metavar="COLUMN", help="column of tables with labels: groups stay whole")
    estimate.add_argument(
        "--statements",
        type=int,
        default=1,
        metavar="K",
        help="estimates that are read together: adds a bound that holds for all",
    )
    estimate.add_argument("--fail-above", type=finite, metavar="W", help="exit with 1 when the lower bound exceeds W")
    estimate.add_argument("--save-critic", type=Path, metavar="DIR", help="keep the trained critic in this directory")
    estimate.add_argument("--certificate", type=Path, metavar="FILE", help="write a certificate for `wdist verify`")
    estimate.set_defaults(run=_estimate)


def add_matrix(commands: Commands) -> None:
    matrix = commands.add_parser(
        "matrix",
        help="compare all pairs of several sample sets here, without a server",
        description="Compare all pairs of several sample sets here, without a server; prints lower bounds that hold "
        "each by itself, and weaker ones that hold all together.",
        epilog="Exit status: 0 done; 1 a bound is above --fail-above; 2 the data or an option is refused.",
    )
    matrix.add_argument("sets", nargs="+", metavar="SET", help=HELP)
    _add_options(matrix)
    matrix.add_argument("--reference", action="store_true", help="only the first against each of the others")
    matrix.add_argument("--fail-above", type=finite, metavar="W", help="exit with 1 when a lower bound exceeds W")
    matrix.add_argument(
        "--simultaneous", action="store_true", help="--fail-above is about the bounds that hold together"
    )
    matrix.set_defaults(run=_matrix)


def _add_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("--confidence", type=float, default=0.95, help="of the lower bound (default: %(default)s)")
    made.add_argument("--critic", default="auto", metavar="FAMILY", help="family of critics (default: %(default)s)")
    made.add_argument("--seed", type=int, default=0, help="of the split and of training (default: %(default)s)")
    made.add_argument("--steps", type=int, help="training steps, exactly")
    made.add_argument("--max-seconds", type=float, metavar="SECONDS", help="training time, about")
    made.add_argument("--scale", type=scale, help="none, standardize, a factor, or one per column: 1,2.5,3")
    made.add_argument("--layout", choices=["nhwc", "nchw"], help="axes of images where ambiguous")
    made.add_argument("--device", default="auto", help="auto, cpu, cuda (default: %(default)s)")
    made.add_argument(
        "--baseline-rows", type=int, default=1000, metavar="ROWS", help="rows of exact transport beside it; 0: none"
    )
    made.add_argument(
        "--method", choices=["betting", "empirical_bernstein", "paired_betting"], default="betting", help="of the bound"
    )
    made.add_argument("--split", choices=["random", "blocks"], default="random", help="blocks: rows ordered in time")
    made.add_argument("--diameter", type=float, help="largest possible distance of two rows; gives an upper bound")
    made.add_argument("--drop", action="append", default=[], metavar="COLUMN", help="leave a column out; repeatable")
    made.add_argument("--json", action="store_true", help="print the result as JSON")
    made.add_argument(
        "--progress", action=argparse.BooleanOptionalAction, help="a line on stderr (default: on a terminal)"
    )


def scale(text: str) -> float | str | list[float] | None:
    """none, standardize, a factor, or one factor per column as 1,2.5,3."""
    if text in {"none", "standardize"}:
        return None if text == "none" else text
    factors = [float(part) for part in text.split(",")]
    return factors[0] if len(factors) == 1 else factors


def _chosen(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in OPTIONS if hasattr(options, name)}


def _estimate(options: argparse.Namespace) -> int:
    from wdist.errors import WdistError

    try:
        with Inputs(options.drop, options.groups) as inputs:
            source, target = inputs.open([options.source, options.target])
            with _progress(options.progress) as tell:
                result = _compared(source, target, _chosen(options), tell)
            if options.save_critic is not None:
                result.critic.save(options.save_critic)
            if options.certificate is not None:
                result.certificate.save(options.certificate)
    except WdistError as error:
        return fail(_with_names(str(error), options))
    except OSError as error:
        return fail(f"{error.filename or 'cannot read or write'}: {error.strerror or error}")
    say(json.dumps(result.to_dict(), indent=2) if options.json else result)
    if options.fail_above is not None and result.lower_bound > options.fail_above:
        remark(f"wdist: the lower bound {result.lower_bound:.6g} is above {options.fail_above:g}")
        return EX_NO
    return 0


def _with_names(message: str, options: argparse.Namespace) -> str:
    """The library says source and target; here they have names."""
    for side, given in (("source", options.source), ("target", options.target)):
        if message.startswith(f"{side}:"):
            return f"{given} ({side}){message[len(side) :]}"
    return message


def _compared(source: Input, target: Input, chosen: dict[str, Any], tell: Callable[[Progress], None] | None) -> Result:
    import numpy as np

    from wdist.estimator import estimate_w1

    if source.labels is not None and target.labels is not None:
        chosen["groups"] = tuple(np.load(labels).reshape(-1) for labels in (source.labels, target.labels))
    return estimate_w1(source.path, target.path, progress=tell, **chosen)


class _progress:  # noqa: N801 - used like a function
    """One line on standard error that is written again and again; gives None where nobody watches."""

    def __init__(self, wanted: bool | None, prefix: str = "") -> None:
        self._shown = sys.stderr.isatty() if wanted is None else wanted
        self._prefix, self._next = prefix, 0.0

    def __enter__(self) -> Callable[[Progress], None] | None:
        return self._tell if self._shown else None

    def __exit__(self, *_: object) -> None:
        if self._next:
            sys.stderr.write("\r\x1b[K" if sys.stderr.isatty() else "\n")

    def _tell(self, now: Progress) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + 0.2
        so_far = "" if now.value is None else f", so far {now.value:.4g} (not certified)"
        sys.stderr.write(f"\r\x1b[K{self._prefix}{now.trying or 'training'}: step {now.step} of {now.steps}{so_far}")
        sys.stderr.flush()


def _matrix(options: argparse.Namespace) -> int:
    from wdist.errors import WdistError

    if len(options.sets) < 2:
        return fail("give at least two sets")
    try:
        with Inputs(options.drop) as inputs:
            sets = inputs.open(options.sets)
            rows = sets[:1] if options.reference else sets
            columns = sets[1:] if options.reference else sets
            pairs = [(a, b) for i, a in enumerate(rows) for b in (columns if options.reference else sets[i + 1 :])]
            chosen = _chosen(options) | {"statements": len(pairs)}
            found = {}
            for k, (a, b) in enumerate(pairs, start=1):
                with _progress(options.progress, f"pair {k} of {len(pairs)}, {a.given} and {b.given}, ") as tell:
                    found[a, b] = _compared(a, b, dict(chosen), tell)
    except WdistError as error:
        return fail(str(error))
    matrix = _MatrixOfFiles(rows, columns, found)
    say(json.dumps(matrix.to_dict(), indent=2) if options.json else matrix)
    judged = _together if options.simultaneous else _alone
    highest = max(judged(result) for result in found.values())
    if options.fail_above is not None and highest > options.fail_above:
        kind = "simultaneous" if options.simultaneous else "lower"
        remark(f"wdist: a {kind} bound, {highest:.6g}, is above {options.fail_above:g}")
        return EX_NO
    return 0


def _alone(result: Result) -> float:
    return result.lower_bound


def _together(result: Result) -> float:
    """The bound that holds at once with those of all pairs; of a single pair it is the only one."""
    return result.lower_bound if result.simultaneous is None else result.simultaneous["lower_bound"]


class _MatrixOfFiles:
    """Results by pair, with each bound by itself and all of them together."""

    def __init__(self, rows: list[Input], columns: list[Input], found: dict[tuple[Input, Input], Result]) -> None:
        self._rows, self._columns, self._found = rows, columns, found
        self._first = next(iter(found.values()))  # options are the same for all

    def _figures(self, of: Callable[[Result], float | None], diagonal: float = 0.0) -> list[list[float | None]]:
        found = self._found | {(b, a): result for (a, b), result in self._found.items()}
        return [[diagonal if a is b else of(found[a, b]) for b in self._columns] for a in self._rows]

    def to_dict(self) -> dict[str, Any]:
        import numpy as np

        from wdist.multiplicity import adjusted_matrix

        p_values = self._figures(lambda result: result.p_value, 1.0)
        adjusted = adjusted_matrix(np.array(p_values, dtype=np.float64)).tolist()  # None becomes nan
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
            "p_value": p_values,
            "adjusted_p_value": [[None if p != p else p for p in row] for row in adjusted],
            "warnings": [
                {"row": a.given, "column": b.given, "warning": warning}
                for (a, b), result in self._found.items()
                for warning in result.warnings
            ],
        }

    def __str__(self) -> str:
        about = "approximately " if self._first.split == "blocks" else ""
        confidence = f"with {about}{100 * self._first.confidence:.10g} % confidence"
        lines = [f"W1 is at least, each pair by itself {confidence} ({self._first.units})"]
        lines += self._table(_alone)
        if len(self._found) > 1:
            lines += ["", f"W1 is at least, all {len(self._found):,} pairs together {confidence}"]
            lines += self._table(_together)
        for (a, b), result in self._found.items():
            lines += [f"warning: {a.given} (source) and {b.given} (target): {warning}" for warning in result.warnings]
        return "\n".join(lines)

    def _table(self, of: Callable[[Result], float | None]) -> list[str]:
        width = max(10, *(len(given.given) for given in [*self._rows, *self._columns]))
        lines = [" " * width + "".join(f"  {given.given:>{width}}" for given in self._columns)]
        for row, numbers in zip(self._rows, self._figures(of), strict=True):
            lines.append(f"{row.given:<{width}}" + "".join(f"  {number:>{width}.4g}" for number in numbers))
        return lines
