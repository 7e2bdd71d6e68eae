"""`wdist matrix` and `wdist compare`: several local files with each other or with a reference, without a server."""

from __future__ import annotations

import re
import sys
from ast import literal_eval
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from wdist.cli.arguments import AsJson, By, FailAbove, Groups, Levels, Progress, SetName, Switch, finite
from wdist.cli.inputs import HELP, open_inputs
from wdist.cli.options import options_as_flags, readings_as_flags
from wdist.cli.output import fail, gate, refuse, say_result

if TYPE_CHECKING:
    from wdist.definitions.reading import Reading
    from wdist.matrix import Sets

Delta = Annotated[
    float | None,
    Parameter(validator=finite, metavar="D", help="distances that differ by at most D count as equally near"),
]


@readings_as_flags()
@options_as_flags(without=["statements"])
def matrix(
    *names: Annotated[SetName, Parameter(name="SET", help=HELP)],
    as_json: AsJson = False,
    progress: Progress = None,
    groups: Groups = None,
    by: By = None,
    levels: Levels = (),
    reference: Annotated[
        str | bool,
        Parameter(
            negative=(),
            metavar="[LEVEL]",
            show_default=False,
            help="only the first, or with --by a level, against each of the others",
        ),
    ] = False,
    fail_above: FailAbove = None,
    simultaneous: Annotated[Switch, Parameter(help="--fail-above is about bounds that hold together")] = False,
    **arguments: Any,
) -> int:
    """Compare all pairs of several files and print the bounds; returns the exit status."""
    from wdist.errors import WdistError
    from wdist.matrix import matrix_of
    from wdist.options import options_and_reading

    shown = sys.stderr.isatty() if progress is None else progress
    try:
        options, reading = options_and_reading(arguments)
        sets = _sets(names, reading, groups, by, levels, reference)
        result = matrix_of(sets, options, reference=reference is not False, progress=shown)
    except WdistError as error:
        return refuse(error)
    say_result(result, as_json=as_json)
    bounds = result.simultaneous_lower_bound if simultaneous else result.lower_bound
    kind = "simultaneous lower bound" if simultaneous else "lower bound"
    return gate(float(bounds.max()), fail_above, f"the highest {kind}")


@readings_as_flags()
@options_as_flags(without=["statements"])
def compare(
    *names: Annotated[SetName, Parameter(name="SET", help=f"the reference, then the candidates: {HELP}")],
    delta: Delta = None,
    as_json: AsJson = False,
    progress: Progress = None,
    by: By = None,
    levels: Levels = (),
    reference: Annotated[str | None, Parameter(metavar="LEVEL", help="with --by: the level that is it")] = None,
    groups: Groups = None,
    **arguments: Any,
) -> int:
    """Compare several files with a reference and print which is closest; returns the exit status."""
    from wdist.comparison import comparison_of
    from wdist.errors import WdistError
    from wdist.options import options_and_reading

    shown = sys.stderr.isatty() if progress is None else progress
    if not names:
        return fail("give a reference and at least two candidates; two sets alone are compared by an estimate")
    try:
        options, reading = options_and_reading(arguments)
        if by is not None and reference is None:
            return fail(f"say which level of {by!r} is the reference: --reference LEVEL")
        sets = _sets(names, reading, groups, by, levels, False if reference is None else reference)
        result = comparison_of(sets, options, delta=delta, progress=shown)
    except WdistError as error:
        return refuse(error)
    say_result(result, as_json=as_json)
    return 0


def _sets(
    names: Sequence[str], reading: Reading, groups: str | None, by: str | None, levels: Sequence[str], reference: Any
) -> Sets:
    """Open the files of a matrix or of a comparison, or one table whose levels are compared."""
    from wdist.data.tables.by import reading_by
    from wdist.errors import OptionError, SampleError
    from wdist.matrix import Sets, by_comes_first, refuse_levels, sets_by

    if by is not None:
        if len(names) != 1:
            raise OptionError(f"--by takes one table, not {len(names)} files")
        opened = lambda alone: open_inputs(names, alone, None)[0].rows  # noqa: E731
        with by_comes_first(opened, by, reading, levels or None, reference):
            (table,) = open_inputs(names, reading_by(reading, by), groups)
        return sets_by(table.rows, by, levels or None, reference, table.labels)
    refuse_levels(levels or None, reference)
    try:
        inputs = open_inputs(names, reading, groups)
    except SampleError as error:  # of a column of text, which may be what the sets are to be told by
        found = re.search(r"categories=(\[('|\").*?\2\])", str(error))
        if len(names) != 1 or found is None:
            raise
        column, *others = literal_eval(found[1])
        which = f"the levels of one of these columns, such as {column!r}," if others else f"the levels of {column!r}"
        raise SampleError(f"{error}; or compare {which} with by={column!r}") from error
    labels = [each.labels for each in inputs if each.labels is not None] or None
    first = Path(names[0]).name if names else ""
    return Sets([each.given for each in inputs], [each.rows for each in inputs], labels, first)
