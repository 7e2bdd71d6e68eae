"""What the arguments of several commands are: their types, their help, and what is said when they are wrong."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Annotated

from cyclopts import App, ArgumentCollection, Parameter, Token, exceptions
from cyclopts.help import DefaultFormatter, PanelSpec
from rich.box import Box

from wdist.cli.output import EX_USAGE
from wdist.cli.usage import explained, no_flag_of_monitors, texts_of

# A value that is given twice replaces the first one.
SHARED = Parameter(allow_repeating=True)
# Sections of --help without frames: the same on a terminal, in a pipe and in a screen reader.
PLAIN = DefaultFormatter(panel_spec=PanelSpec(box=Box("    \n" * 8), padding=(0, 0, 0, 4)))


def set_name(_: type, tokens: Sequence[Token]) -> str:
    """A positional argument that may be "-", standard input; what else begins with a dash is an unknown option."""
    if tokens[0].value.startswith("-") and tokens[0].value != "-":
        raise exceptions.UnknownOptionError(token=tokens[0], argument_collection=ArgumentCollection())  # type: ignore[no-untyped-call]
    return tokens[0].value


def finite(_: type, value: float | None) -> None:
    """Nothing is ever above nan or infinity, so neither can be a threshold."""
    if value is not None and not math.isfinite(value):
        raise ValueError("give a finite number")


def threshold(_: type, value: float | None) -> None:
    """A distance is never below 0, so that every result would fail."""
    finite(_, value)
    if value is not None and value < 0:
        raise ValueError("a distance is never below 0: give 0 or more")


SetName = Annotated[str, Parameter(converter=set_name, allow_leading_hyphen=True)]
Switch = Annotated[bool, Parameter(negative=(), show_default=False)]
AsJson = Annotated[Switch, Parameter(name="--json", help="print the result as JSON")]
Witness = Annotated[
    Switch,
    Parameter(name="--witness", help="also say where the sets differ: columns, unusual rows; as JSON, too"),
]
Progress = Annotated[bool | None, Parameter(help="a line on stderr (default: on a terminal)")]
Groups = Annotated[str | None, Parameter(metavar="COLUMN", help="labels in tables: groups stay whole")]
By = Annotated[
    str | None, Parameter(metavar="COLUMN", help="compare the levels of this column of one table, each a set")
]
Levels = Annotated[
    tuple[str, ...],
    Parameter(
        negative=(),
        metavar="LEVEL",
        show_default=False,
        help="with --by: compare these levels, in this order; repeatable",
    ),
]
FailAbove = Annotated[
    float | None, Parameter(validator=threshold, metavar="W", help="exit with 1 when a lower bound exceeds W")
]


def run(app: App, tokens: Sequence[str]) -> int:
    """Parse and run one command; wrong usage is one line on standard error and exit status 2."""
    try:
        command, bound, _ = app.parse_args(_without_level(tokens), print_error=False, exit_on_error=False)
        if command == app.help_print and not {"--help", "-h"} & set(tokens):
            names = ", ".join(name for name in app[tokens[0]] if not name.startswith("-"))
            return _wrong(f"wdist {tokens[0]}", f"say which command: {names}")
    except exceptions.CycloptsError as error:
        chain = error.command_chain or ()
        prog = " ".join(("wdist", *chain))
        said = _of_monitors(chain, tokens) or _too_many(error, chain, tokens)
        return _wrong(prog, said or explained(error, prog, "wdist matrix", _choices))
    run_command: Callable[..., int | None] = command
    return run_command(*bound.args, **bound.kwargs) or 0


def _without_level(tokens: Sequence[str]) -> Sequence[str]:
    """`--reference` of a matrix as its last argument where it names no level: what follows it is a set."""
    given = list(tokens)
    if given[:1] != ["matrix"] or "--reference" not in given or any(each.split("=")[0] == "--by" for each in given):
        return tokens
    given.remove("--reference")
    at = given.index("--") if "--" in given else len(given)
    return [*given[:at], "--reference", *given[at:]]


def _of_monitors(chain: Sequence[str], tokens: Sequence[str]) -> str | None:
    """What to do instead of an option that only estimates have."""
    from wdist.monitoring.options import refused_flags

    return no_flag_of_monitors(tokens, refused_flags()) if list(chain[:1]) == ["monitor"] else None


def _wrong(prog: str, text: str) -> int:
    sys.stderr.write(f"{prog}: {text}; see {prog} --help\n")
    return EX_USAGE


def _too_many(error: exceptions.CycloptsError, chain: Sequence[str], tokens: Sequence[str]) -> str | None:
    """What to do with arguments that a command does not take: several values of one flag, or more than two sets."""
    from wdist.data.tables.naming import LISTS

    if not isinstance(error, exceptions.UnusedCliTokensError):
        return None
    for at, flag in enumerate(tokens):
        if flag.startswith("--") and flag[2:] in LISTS:
            run = [*takewhile(lambda each: not each.startswith("-"), tokens[at + 1 :])]
            values = [each for each in run if not Path(each).exists()]
            if len(values) > 1:
                return f"repeat {flag}: {' '.join(f'{flag} {shlex.quote(each)}' for each in values)}"
    if list(chain) == ["estimate"]:
        return "estimate takes two sets; for three: wdist matrix A B C, or wdist compare A B C"
    return None


def _choices() -> dict[str, list[str]]:
    """The flags whose values are written out, and these."""
    from wdist.definitions.reading import Reading
    from wdist.monitoring.options import MonitorOptions
    from wdist.options import Options

    fields = {**MonitorOptions.model_fields, **Options.model_fields, **Reading.model_fields}
    return {f"--{name.replace('_', '-')}": texts_of(field.annotation) for name, field in fields.items()}
