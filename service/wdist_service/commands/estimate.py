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
from wdist_service.commands.output import EX_NO, Commands, fail, remark, say

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
    estimate.add_argument("--fail-above", type=float, metavar="W", help="exit with 1 when the lower bound exceeds W")
    estimate.add_argument("--save-critic", type=Path, metavar="DIR", help="keep the trained critic in this directory")
    estimate.add_argument("--certificate", type=Path, metavar="FILE", help="write a certificate for `wdist verify`")
    estimate.set_defaults(run=_estimate)


def add_matrix(commands: Commands) -> None:
    matrix = commands.add_parser(
        "matrix",
        help="compare all pairs of several sample sets here, without a server",
        description="Compare all pairs of several sample sets here, without a server; prints the lower bounds.",
        epilog="Each bound holds by itself unless --simultaneous is given. Exit status: 0 done; 1 a lower bound is "
        "above --fail-above; 2 the data or an option is refused.",
    )
    matrix.add_argument("sets", nargs="+", metavar="SET", help=HELP)
    _add_options(matrix)
    matrix.add_argument("--reference", action="store_true", help="only the first against each of the others")
    matrix.add_argument("--fail-above", type=float, metavar="W", help="exit with 1 when a lower bound exceeds W")
    matrix.add_argument("--simultaneous", action="store_true", help="the confidence holds for all pairs together")
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
    chosen = _chosen(options)
    try:
        with Inputs(options.drop) as inputs:
            sets = inputs.open(options.sets)
            rows = sets[:1] if options.reference else sets
            columns = sets[1:] if options.reference else sets
            pairs = [(a, b) for i, a in enumerate(rows) for b in (columns if options.reference else sets[i + 1 :])]
            if options.simultaneous:
                from wdist.multiplicity import simultaneous_confidence

                chosen["confidence"] = simultaneous_confidence(options.confidence, len(pairs))
            found = {}
            for k, (a, b) in enumerate(pairs, start=1):
                with _progress(options.progress, f"pair {k} of {len(pairs)}, {a.given} and {b.given}, ") as tell:
                    found[a, b] = found[b, a] = _compared(a, b, dict(chosen), tell)
    except WdistError as error:
        return fail(str(error))
    _show_matrix(rows, columns, found, options.json)
    highest = max(result.lower_bound for result in found.values())
    if options.fail_above is not None and highest > options.fail_above:
        remark(f"wdist: a lower bound, {highest:.6g}, is above {options.fail_above:g}")
        return EX_NO
    return 0


def _show_matrix(
    rows: list[Input], columns: list[Input], found: dict[tuple[Input, Input], Result], is_json: bool
) -> None:
    def figures(name: str) -> list[list[float | None]]:
        same = 1.0 if name == "p_value" else 0.0
        return [[same if a is b else getattr(found[a, b], name) for b in columns] for a in rows]

    names = [given.given for given in rows], [given.given for given in columns]
    if is_json:
        import numpy as np

        from wdist.multiplicity import adjusted_matrix

        content = {name: figures(name) for name in ("value", "lower_bound", "p_value")}
        adjusted = adjusted_matrix(np.array(content["p_value"], dtype=np.float64))  # None becomes nan
        content["adjusted_p_value"] = [[None if p != p else p for p in row] for row in adjusted.tolist()]
        say(json.dumps({"rows": names[0], "columns": names[1], **content}, indent=2))
        return
    width = max(10, *(len(name) for name in [*names[0], *names[1]]))
    say("W1 is at least")
    say(" " * width + "".join(f"  {name:>{width}}" for name in names[1]))
    for name, numbers in zip(names[0], figures("lower_bound"), strict=True):
        say(f"{name:<{width}}" + "".join(f"  {number:>{width}.4g}" for number in numbers))
