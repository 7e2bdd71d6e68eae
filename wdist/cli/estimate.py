"""`wdist estimate`: compares two local files, without a server."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from wdist.cli.inputs import HELP, open_inputs
from wdist.cli.output import EX_NO, Commands, fail, finite, remark, say

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
    from wdist.matrix import compared
    from wdist.training.progress_line import ProgressLine

    try:
        source, target = open_inputs([options.source, options.target], options.drop, options.groups)
        given = chosen(options)
        if source.labels is not None and target.labels is not None:
            given["groups"] = source.labels, target.labels
        with ProgressLine(options.progress) as tell:
            result = compared((source.given, target.given), source.rows, target.rows, progress=tell, **given)
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
