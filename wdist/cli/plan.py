"""`wdist plan`: how many rows an estimate needs, from two pilot files."""

from __future__ import annotations

import sys
from typing import Annotated, Any

from cyclopts import Parameter

from wdist.cli.arguments import AsJson, Groups, Progress, SetName
from wdist.cli.inputs import HELP, open_inputs
from wdist.cli.options import options_as_flags, readings_as_flags
from wdist.cli.output import fail, refuse, say_result


@readings_as_flags()
@options_as_flags(without=["baseline_rows", "empirical", "method", "diameter", "ranges", "upper"])
def plan(
    source: Annotated[SetName, Parameter(name="A", help=f"pilot of the first set (P): {HELP}")],
    target: Annotated[SetName, Parameter(name="B", help="pilot of the second set (Q)")],
    /,
    *,
    margin: Annotated[float | None, Parameter(metavar="M", help="rows for a bound at most M below the value")] = None,
    # float comes first: "1" is a distance, and no other word for true
    detect: Annotated[
        float | bool | None,
        Parameter(negative=(), metavar="[D]", help="rows for a bound above 0: if the distance is D, or the pilot's"),
    ] = None,
    power: Annotated[float, Parameter(metavar="P", help="with --detect: probability of a bound above 0")] = 0.8,
    ratio: Annotated[float, Parameter(metavar="R", help="rows of B for each row of A")] = 1.0,
    groups: Groups = None,
    as_json: AsJson = False,
    progress: Progress = None,
    **arguments: Any,
) -> int:
    """Print how many rows an estimate needs; returns the exit status."""
    from wdist.definitions.reading import Reading
    from wdist.errors import WdistError
    from wdist.options import options_and_reading
    from wdist.planning.plan import plan_w1

    shown = sys.stderr.isatty() if progress is None else progress
    if margin is None and (detect is None or detect is False):
        return fail("say what the rows are for: give --margin 0.1, or --detect")
    try:
        _, reading = options_and_reading(arguments)
        first, second = open_inputs([source, target], reading, groups)
        options = {name: value for name, value in arguments.items() if name not in Reading.model_fields}
        if groups is not None:
            options["groups"] = first.labels, second.labels
        found = plan_w1(
            first.rows, second.rows, margin=margin, detect=detect, power=power, ratio=ratio, progress=shown, **options
        )
    except WdistError as error:
        return refuse(error)
    say_result(found, as_json=as_json)
    return 0
