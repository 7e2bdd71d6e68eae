"""`wdist estimate`: compares two local files, without a server."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wdist.cli.inputs import HELP, Input, Inputs
from wdist.cli.output import EX_NO, Commands, fail, finite, remark, say

if TYPE_CHECKING:
    from wdist.result import Result
    from wdist.training.progress import Progress

OPTIONS = (
    "confidence", "critic", "seed", "device", "steps", "max_seconds", "scale", "layout", "baseline_rows", "method",
    "split", "diameter", "statements",
)  # fmt: skip


def add(commands: Commands) -> None:
    estimate = commands.add_parser(
        "estimate",
        help="compare two sample sets here, without a server",
        description="Compare two sample sets here, without a server.",
        epilog="Exit status: 0 done; 1 the lower bound is above --fail-above; 2 the data or an option is refused.",
    )
    estimate.add_argument("source", metavar="A", help=f"the first set (P): {HELP}")
    estimate.add_argument("target", metavar="B", help="the second set (Q)")
    add_options(estimate)
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


def add_options(made: argparse.ArgumentParser) -> None:
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


def chosen(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in OPTIONS if hasattr(options, name)}


def _estimate(options: argparse.Namespace) -> int:
    from wdist.errors import WdistError

    try:
        with Inputs(options.drop, options.groups) as inputs:
            source, target = inputs.open([options.source, options.target])
            with ProgressLine(options.progress) as tell:
                result = compared(source, target, chosen(options), tell)
            if options.save_critic is not None:
                result.critic.save(options.save_critic)
            if options.certificate is not None:
                result.certificate.save(options.certificate)
    except WdistError as error:
        return fail(str(error))
    except OSError as error:
        return fail(f"{error.filename or 'cannot read or write'}: {error.strerror or error}")
    say(json.dumps(result.to_dict(), indent=2) if options.json else result)
    if options.fail_above is not None and result.lower_bound > options.fail_above:
        remark(f"wdist: the lower bound {result.lower_bound:.6g} is above {options.fail_above:g}")
        return EX_NO
    return 0


def compared(source: Input, target: Input, options: dict[str, Any], tell: Callable[[Progress], None] | None) -> Result:
    """Raises WdistError, in words that name the files."""
    import numpy as np

    from wdist.errors import OptionError, SampleError
    from wdist.estimate import estimate_w1

    if source.labels is not None and target.labels is not None:
        options["groups"] = tuple(np.load(labels).reshape(-1) for labels in (source.labels, target.labels))
    try:
        return estimate_w1(source.path, target.path, progress=tell, **options)
    except SampleError as error:
        raise SampleError(
            _named(str(error), source, target) or f"{source.given} and {target.given}: {error}"
        ) from error
    except OptionError as error:
        raise OptionError(_named(str(error), source, target) or str(error)) from error


def _named(message: str, source: Input, target: Input) -> str | None:
    """Put the file's name into a message that begins with a side; the library knows only the sides."""
    for side, name in (
        ("source and target", f"{source.given} and {target.given}"),
        ("source", f"{source.given} (source)"),
        ("target", f"{target.given} (target)"),
    ):
        if message.startswith(f"{side}:"):
            return name + message[len(side) :]
    return None


class ProgressLine:
    """A progress line on standard error that overwrites itself; entering gives None when progress is not shown."""

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
