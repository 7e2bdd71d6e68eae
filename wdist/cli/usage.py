"""What is wrong with the arguments of a command, in words.

The client has a copy, made by `make generate`, as it needs nothing of the library.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, get_args, get_origin

from cyclopts import Argument, exceptions

_NEAR = 0.7  # of names of options, with their dashes; --out and --output are .77 alike
Choices = Callable[[], dict[str, list[str]]]
"""The flags whose values are written out, and these; asked for once something is wrong."""


def explained(error: exceptions.CycloptsError, prog: str, matrix: str, choices: Choices) -> str:
    """What is wrong, as a part of a line. prog: the command as it was called; matrix: the one that compares levels."""
    if isinstance(error, exceptions.MissingArgumentError):
        return _missing(error, prog, choices)
    if isinstance(error, exceptions.UnusedCliTokensError):
        return f"unexpected {' '.join(error.unused_tokens or ())}"
    if isinstance(error, exceptions.UnknownCommandError) and error.app is not None:
        # Its own text would import every command.
        given = (error.unused_tokens or [""])[0]
        close = difflib.get_close_matches(given, error.app, n=1)
        kind = "option" if given.startswith("-") else "command"
        return f"unknown {kind}: {given}" + "".join(f" (did you mean {name}?)" for name in close)
    if isinstance(error, exceptions.UnknownOptionError) and error.app is not None:
        error.argument_collection = error.app.assemble_argument_collection()
        if (error.token.keyword or error.token.value) == "--by":
            return f"the levels of one file are compared by {matrix} FILE --by COLUMN"
        if (meant := _flag_of_value(error, choices)) is not None:
            return f"unknown option: {error.token.keyword or error.token.value} (did you mean {meant}?)"
    text = re.sub(r'^(Command ".*" parameter|Parameter) ', "", str(error)).rstrip(". ")
    text = re.sub(r"\. Did you mean (.*?)\?", lambda found: _meant(found[1], text), text)
    text = re.sub(r"\. (\w)", lambda found: "; " + found[1].lower(), text)
    return text if text[:2].isupper() else text[0].lower() + text[1:]


def _meant(near: str, text: str) -> str:
    """A near name, if it is near: that of --report would be --separator."""
    given = re.search(r"option: (--[\w-]+)", text)
    is_far = given is not None and difflib.SequenceMatcher(None, given[1], near.strip('"')).ratio() < _NEAR
    return "" if is_far else f" (did you mean {near}?)"


def no_flag_of_monitors(tokens: Iterable[str], refused: Mapping[str, str]) -> str | None:
    """What to do instead of the first flag that only estimates have. refused: those, with what to do."""
    flag = next((flag for each in tokens if (flag := each.partition("=")[0]) in refused), None)
    return None if flag is None else f"{flag} is no option of a monitor: {refused[flag]}"


def _missing(error: exceptions.MissingArgumentError, prog: str, choices: Choices) -> str:
    """What a command lacks, what that is, and how the command is written; or the flag that lacks its value."""
    argument = error.argument
    flags = [error.keyword, *(token.keyword for token in argument.tokens)] if argument else []
    if argument is None or (flag := next(filter(None, flags), None)) is not None:
        values = "|".join(choices().get(flag or "", ()))
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


def _flag_of_value(error: exceptions.UnknownOptionError, choices: Choices) -> str | None:
    """What was meant where the value of an option was given as an option: --standardize for --scale standardize."""
    given = (error.token.keyword or error.token.value).partition("=")[0].lstrip("-")
    taken = {name for each in error.argument_collection for name in each.names}
    spelled = {each.names[0]: each.get_choices() or () for each in error.argument_collection} | choices()
    found = [(value, flag) for flag, values in spelled.items() for value in values if flag in taken and len(value) > 1]
    if any(name.startswith(f"--{given}") for name in taken):
        return None
    meant = [(value, flag) for value, flag in found if value.replace("_", "-") == given.replace("_", "-")]
    if not meant and not difflib.get_close_matches(f"--{given}", taken, n=1):
        near = difflib.get_close_matches(given, [value for value, _ in found], n=1, cutoff=0.8)
        meant = [(value, flag) for value, flag in found if value in near]
    return " or ".join(dict.fromkeys(f"{flag} {value}" for value, flag in meant)) or None


def texts_of(kind: Any) -> list[str]:
    """The texts that a type lists as literals."""
    if get_origin(kind) is Literal:
        return [text for text in get_args(kind) if isinstance(text, str)]
    return [text for part in get_args(kind) for text in texts_of(part)]
