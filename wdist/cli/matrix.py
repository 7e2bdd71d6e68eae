"""`wdist matrix`: compares all pairs of several local files, without a server."""

from __future__ import annotations

import argparse
import json
import sys

from wdist.cli.estimate import add_options, chosen
from wdist.cli.inputs import HELP, open_inputs
from wdist.cli.output import EX_NO, Commands, fail, finite, remark, say


def add(commands: Commands) -> None:
    matrix = commands.add_parser(
        "matrix",
        help="compare all pairs of several sample sets here, without a server",
        description="Compare all pairs of several sample sets here, without a server; prints lower bounds that hold "
        "each by itself, and weaker ones that hold all together.",
        epilog="Exit status: 0 done; 1 a bound is above --fail-above; 2 the data or an option is refused.",
    )
    matrix.add_argument("sets", nargs="+", metavar="SET", help=HELP)
    add_options(matrix)
    matrix.add_argument("--reference", action="store_true", help="only the first against each of the others")
    matrix.add_argument("--fail-above", type=finite, metavar="W", help="exit with 1 when a lower bound exceeds W")
    matrix.add_argument(
        "--simultaneous", action="store_true", help="--fail-above is about the bounds that hold together"
    )
    matrix.set_defaults(run=_matrix)


def _matrix(options: argparse.Namespace) -> int:
    from wdist.errors import WdistError
    from wdist.matrix import matrix_w1

    shown = sys.stderr.isatty() if options.progress is None else options.progress
    try:
        sets = [each.rows for each in open_inputs(options.sets, options.drop)]
        matrix = matrix_w1(sets, reference=options.reference, progress=shown, **chosen(options))
    except WdistError as error:
        return fail(str(error))
    say(json.dumps(matrix.to_dict(), indent=2) if options.json else matrix)
    bounds = matrix.simultaneous_lower_bound if options.simultaneous else matrix.lower_bound
    highest = float(bounds.max())
    if options.fail_above is not None and highest > options.fail_above:
        kind = "simultaneous" if options.simultaneous else "lower"
        remark(f"wdist: a {kind} bound, {highest:.6g}, is above {options.fail_above:g}")
        return EX_NO
    return 0
