"""`wdist matrix` and `wdist compare`: several local files with each other or with a reference, without a server."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

from cyclopts import Parameter

from wdist.cli.arguments import AsJson, Drop, FailAbove, Progress, SetName, Switch, finite
from wdist.cli.inputs import HELP, open_inputs
from wdist.cli.options import options_as_flags
from wdist.cli.output import EX_NO, fail, remark, say

Delta = Annotated[
    float | None,
    Parameter(validator=finite, metavar="D", help="distances that differ by at most D count as equally near"),
]


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
    from wdist.matrix import matrix_w1

    shown = sys.stderr.isatty() if progress is None else progress
    try:
        sets = [each.rows for each in open_inputs(names, drop)]
        result = matrix_w1(sets, reference=reference, progress=shown, **options)
    except WdistError as error:
        return fail(str(error))
    say(json.dumps(result.to_dict(), indent=2) if as_json else result)
    bounds = result.simultaneous_lower_bound if simultaneous else result.lower_bound
    highest = float(bounds.max())
    if fail_above is not None and highest > fail_above:
        kind = "simultaneous" if simultaneous else "lower"
        remark(f"wdist: a {kind} bound, {highest:.6g}, is above {fail_above:g}")
        return EX_NO
    return 0


@options_as_flags(without=["statements"])
def compare(
    *names: Annotated[SetName, Parameter(name="SET", help=f"the reference, then the candidates: {HELP}")],
    delta: Delta = None,
    drop: Drop = (),
    as_json: AsJson = False,
    progress: Progress = None,
    **options: Any,
) -> int:
    """Compare several files with a reference and print which is closest; returns the exit status."""
    from wdist.comparison import compare_w1
    from wdist.errors import WdistError

    shown = sys.stderr.isatty() if progress is None else progress
    if not names:
        return fail("give a reference and at least two candidates")
    try:
        reference, *candidates = (each.rows for each in open_inputs(names, drop))
        result = compare_w1(reference, candidates, delta=delta, progress=shown, **options)
    except WdistError as error:
        return fail(str(error))
    say(json.dumps(result.to_dict(), indent=2) if as_json else result)
    return 0
