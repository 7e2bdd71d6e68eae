"""The arguments of `wdist remote`: their types, their help, and what is said when they are wrong.

It imports nothing heavy, so that help and completion are fast.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from cyclopts import Argument, ArgumentCollection, Parameter, Token, exceptions

from wdist_client.command.options import OptionFlags, ReadingFlags


def data_name(_: type, tokens: Sequence[Token]) -> str:
    """Data may be "-", standard input; what else begins with a dash is an unknown option."""
    if tokens[0].value.startswith("-") and tokens[0].value != "-":
        raise exceptions.UnknownOptionError(token=tokens[0], argument_collection=ArgumentCollection())  # type: ignore[no-untyped-call]
    return tokens[0].value


def finite(_: type, value: float | None) -> None:
    """Comparisons with nan or infinity would never be true."""
    if value is not None and not math.isfinite(value):
        raise ValueError("give a finite number")


def labels(_: type, tokens: Sequence[Token]) -> dict[str, str]:
    """Parse NAME=TEXT, each time it is given."""
    parts = [token.value.partition("=") for token in tokens]
    if wrong := next((part for part in parts if not part[0] or not part[1]), None):
        raise ValueError(f"{''.join(wrong)!r} is not like NAME=TEXT")
    return {name: text for name, _equals, text in parts}


DATA = (
    "a file (.npy, .npz or FILE.npz:NAME, .parquet, .csv, .zip of images), a folder of images, - for standard input, "
    "or a set of the server by its id (ss_...) or its name; a file that is here goes before a name"
)
Data = Annotated[str, Parameter(converter=data_name, allow_leading_hyphen=True, help=DATA)]
AllData = Annotated[list[Data], Parameter(name="DATA", allow_leading_hyphen=True, help=f"sample sets: {DATA}")]
Id = Annotated[str, Parameter(name="ID", help="id or name of the estimate or the batch")]
Ids = Annotated[list[str], Parameter(name="ID", help="ids or names")]
Batch = Annotated[str, Parameter(name="ID", help="id or name of the batch")]
Estimate = Annotated[str, Parameter(name="ID", help="id or name of the estimate")]
Switch = Annotated[bool, Parameter(negative=(), show_default=False)]
Finite = Annotated[float | None, Parameter(validator=finite)]
FailAbove = Annotated[Finite, Parameter(metavar="W", help="exit with 1 when the lower bound exceeds W")]
Delta = Annotated[Finite, Parameter(metavar="D", help="distances that differ by at most D count as equally near")]
Progress = Annotated[bool | None, Parameter(help="a bar on stderr (default: on a terminal)")]
Groups = Annotated[
    tuple[str, str] | None, Parameter(negative=(), metavar="LABELS_A LABELS_B", help="labels: groups stay whole")
]
Labels = Annotated[str | None, Parameter(metavar="COLUMN", help="take this column alone, as labels of groups")]
Search = Annotated[
    str | None, Parameter(metavar="TEXT", help="only those with this in their name, in a set's name or in the id")
]
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
Reference = Annotated[
    str | bool,
    Parameter(
        negative=(),
        metavar="[LEVEL]",
        show_default=False,
        help="only the first, or with --by a level, against each of the others",
    ),
]
Simultaneous = Annotated[Switch, Parameter(help="adds bounds that hold for all pairs together")]
Metadata = Annotated[
    dict[str, str] | None,
    Parameter(
        converter=labels, n_tokens=1, accepts_keys=False, metavar="NAME=TEXT", help="a label of your own; repeatable"
    ),
]


@Parameter(name="*")
@dataclass(frozen=True)
class Waiting:
    """Whether a command waits for the result."""

    no_wait: Annotated[Switch, Parameter(help="print the id and return at once")] = False
    timeout: Annotated[Finite, Parameter(metavar="SECONDS", help="wait no longer; the job goes on")] = None
    progress: Progress = None


@Parameter(name="*")
@dataclass(frozen=True)
class Files:
    """What is told of a result, and where it is written to beside standard output."""

    save: Annotated[str | None, Parameter(metavar="FILE", help="keep the whole result for Result.load")] = None
    report: Annotated[str | None, Parameter(metavar="FILE", help="write the result as one HTML file")] = None
    witness: Annotated[Switch, Parameter(help="print where the sets differ, too: unusual rows and columns")] = False


@Parameter(name="*")
@dataclass(frozen=True)
class EstimateOptions(OptionFlags):
    """How to estimate, and how the job is found again."""

    metadata: Metadata = None

    def given(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value is not None}


@Parameter(name="*")
@dataclass(frozen=True)
class Reading(ReadingFlags):
    """How data is read."""

    def given(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value is not None}


WAITING, FILES, OPTIONS, READING = Waiting(), Files(), EstimateOptions(), Reading()


def explained(error: exceptions.CycloptsError, prog: str) -> str:
    """What is wrong with the arguments, as a part of a line. prog: the command as it was called."""
    if isinstance(error, exceptions.MissingArgumentError):
        return _missing(error, prog)
    if isinstance(error, exceptions.UnusedCliTokensError):
        return f"unexpected {' '.join(error.unused_tokens or ())}"
    if isinstance(error, exceptions.UnknownCommandError) and error.app is not None:
        given = (error.unused_tokens or [""])[0]
        close = difflib.get_close_matches(given, error.app, n=1)
        kind = "option" if given.startswith("-") else "command"
        return f"unknown {kind}: {given}" + "".join(f" (did you mean {name}?)" for name in close)
    if isinstance(error, exceptions.UnknownOptionError) and error.app is not None:
        error.argument_collection = error.app.assemble_argument_collection()
        if (error.token.keyword or error.token.value) == "--by":
            return f"the levels of one file are compared by {prog.rpartition(' ')[0]} matrix FILE --by COLUMN"
        if (meant := _flag_of_value(error)) is not None:
            return f"unknown option: {error.token.keyword or error.token.value} (did you mean {meant}?)"
    text = re.sub(r'^(Command ".*" parameter|Parameter) ', "", str(error)).rstrip(". ")
    text = re.sub(r"\. Did you mean (.*?)\?", r" (did you mean \1?)", text)
    text = re.sub(r"\. (\w)", lambda found: "; " + found[1].lower(), text)
    return text if text[:2].isupper() else text[0].lower() + text[1:]


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
    return " or ".join(dict.fromkeys(f"{flag} {value}" for value, flag in meant)) or None


def _spelled_out() -> Iterator[tuple[str, list[str]]]:
    """The flags whose values are written out, and these."""
    from typing import get_type_hints

    from wdist_client import contract  # pydantic, for which --help does not wait

    for model in (contract.Options, contract.MonitorOptions, contract.Reading):
        for name, kind in get_type_hints(model, include_extras=True).items():
            yield f"--{name.replace('_', '-')}", [text for text in _literals(kind) if isinstance(text, str)]


def _literals(kind: Any) -> list[Any]:
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [text for part in get_args(kind) for text in _literals(part)]
