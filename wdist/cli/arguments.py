"""What the arguments of several commands are: their types, their help, and what is said when they are wrong."""

from __future__ import annotations

import difflib
import math
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from cyclopts import App, Argument, ArgumentCollection, Parameter, Token, exceptions
from cyclopts.help import DefaultFormatter, PanelSpec
from rich.box import Box

from wdist.cli.output import EX_USAGE

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
        return _wrong(prog, _of_monitors(chain, tokens) or _too_many(error, chain, tokens) or _explained(error, prog))
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
    from wdist.monitoring.options import refused

    if list(chain[:1]) != ["monitor"]:
        return None
    said = refused(each[2:].split("=")[0].replace("-", "_") for each in tokens if each.startswith("--"))
    return None if said is None else re.sub(r"\b[a-z]+_[a-z]+\b", lambda name: f"--{name[0].replace('_', '-')}", said)


def _wrong(prog: str, text: str) -> int:
    sys.stderr.write(f"{prog}: {text}; see {prog} --help\n")
    return EX_USAGE


def _explained(error: exceptions.CycloptsError, prog: str) -> str:
    """What is wrong, as a part of a line."""
    if isinstance(error, exceptions.MissingArgumentError):
        return _missing(error, prog)
    if isinstance(error, exceptions.UnusedCliTokensError):
        return f"unexpected {' '.join(error.unused_tokens or ())}"
    if (
        isinstance(error, exceptions.UnknownCommandError) and error.app is not None
    ):  # its own text imports every command
        given = (error.unused_tokens or [""])[0]
        close = difflib.get_close_matches(given, error.app, n=1)
        kind = "option" if given.startswith("-") else "command"
        return f"unknown {kind}: {given}" + "".join(f" (did you mean {name}?)" for name in close)
    if isinstance(error, exceptions.UnknownOptionError) and error.app is not None:
        error.argument_collection = error.app.assemble_argument_collection()
        if (error.token.keyword or error.token.value) == "--by":
            return "the levels of one file are compared by wdist matrix FILE --by COLUMN"
        if (meant := _flag_of_value(error)) is not None:
            return f"unknown option: {error.token.keyword or error.token.value} (did you mean {meant}?)"
    text = re.sub(r'^(Command ".*" parameter|Parameter) ', "", str(error)).rstrip(". ")
    text = re.sub(r"\. Did you mean (.*?)\?", r" (did you mean \1?)", text)
    text = re.sub(r"\. (\w)", lambda found: "; " + found[1].lower(), text)
    return text if text[:2].isupper() else text[0].lower() + text[1:]


def _too_many(error: exceptions.CycloptsError, chain: Sequence[str], tokens: Sequence[str]) -> str | None:
    """What to do with arguments that a command does not take: several values of one flag, or more than two sets."""
    from wdist.definitions.reading import Reading

    if not isinstance(error, exceptions.UnusedCliTokensError):
        return None
    flags = {f"--{name}" for name in Reading.model_fields if name in ("columns", "drop", "categories", "dates")}
    for at, flag in enumerate(tokens):
        if flag in flags:
            run = [*takewhile(lambda each: not each.startswith("-"), tokens[at + 1 :])]
            values = [each for each in run if not Path(each).exists()]
            if len(values) > 1:
                return f"repeat {flag}: {' '.join(f'{flag} {shlex.quote(each)}' for each in values)}"
    if list(chain) == ["estimate"]:
        return "estimate takes two sets; for three: wdist matrix A B C, or wdist compare A B C"
    return None


def _missing(error: exceptions.MissingArgumentError, prog: str) -> str:
    """What a command lacks, what that is, and how the command is written; or the flag that lacks its value."""
    argument = error.argument
    flags = [error.keyword, *(token.keyword for token in argument.tokens)] if argument else []
    if argument is None or (flag := next(filter(None, flags), None)) is not None:
        values = "|".join(dict(_spelled_out()).get(flag or "", ()))
        value = (argument.parameter.metavar if argument else None) or values or "VALUE"
        return f"{flag} needs a value: {flag} {value}"
    what = re.split(r"[:;({]", argument.parameter.help or "")[0].strip()
    said = f"{argument.name} is missing" + (f" ({what})" if what else "")
    return f"{said}: {prog} {_usage(error.app.assemble_argument_collection() if error.app else [argument])}"


def _usage(arguments: Iterable[Argument]) -> str:
    """What a command must be given, in order."""
    words = []
    for each in arguments:
        if each.field_info.is_positional and each.index is not None and each.parameter.parse is not False:
            several = each.token_count()[1]
            words.append(f"{each.name}..." if several else each.name if each.required else f"[{each.name}]")
        elif each.required and each.parameter.parse is not False:
            words.append(f"{each.name} {each.parameter.metavar or 'VALUE'}")
    return " ".join(words)


def _flag_of_value(error: exceptions.UnknownOptionError) -> str | None:
    """What was meant where the value of an option was given as an option: --standardize for --scale standardize."""
    given = (error.token.keyword or error.token.value).partition("=")[0].lstrip("-")
    taken = {name for each in error.argument_collection for name in each.names}
    spelled = {each.names[0]: each.get_choices() or () for each in error.argument_collection} | dict(_spelled_out())
    found = [(value, flag) for flag, values in spelled.items() for value in values if flag in taken and len(value) > 1]
    if any(name.startswith(f"--{given}") for name in taken):
        return None
    meant = [(value, flag) for value, flag in found if value.replace("_", "-") == given.replace("_", "-")]
    if not meant and not difflib.get_close_matches(f"--{given}", taken, n=1):
        near = difflib.get_close_matches(given, [value for value, _ in found], n=1, cutoff=0.8)
        meant = [(value, flag) for value, flag in found if value in near]
    return " or ".join(f"{flag} {value}" for value, flag in meant) or None


def _spelled_out() -> Iterator[tuple[str, list[str]]]:
    """The flags whose values are written out, and these."""
    from wdist.definitions.reading import Reading
    from wdist.monitoring.options import MonitorOptions
    from wdist.options import Options

    fields = {**MonitorOptions.model_fields, **Options.model_fields, **Reading.model_fields}
    for name, field in fields.items():
        yield f"--{name.replace('_', '-')}", [text for text in _literals(field.annotation) if isinstance(text, str)]


def _literals(kind: Any) -> list[Any]:
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [text for part in get_args(kind) for text in _literals(part)]
