"""The options that messages of readers name, in the words of each surface.

A reader writes `?option=value`, as in a request, with the value percent-encoded (`wdist.data.tables.naming.asked`).
"""

from __future__ import annotations

import re
import shlex
from ast import literal_eval
from urllib.parse import unquote

from wdist.data.columns import NAMING
from wdist.definitions.reading import Selection

_BY = ("by", "levels", "reference")  # of matrices and comparisons of one table
_ADVISED = ("critic", "scale", "upper")  # options of estimates that warnings advise
_LISTS = frozenset(
    ["levels", *(name for name, field in Selection.model_fields.items() if "list" in str(field.annotation).lower())]
)
_FLAGS = frozenset(name for name, field in Selection.model_fields.items() if field.annotation in (bool, bool | None))
_NAMES = "|".join([*Selection.model_fields, *_BY, *_ADVISED])
_TEXT = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_GIVEN = rf"(?:{_NAMES})=(?:[\w.~-]|%[0-9A-Fa-f]{{2}})*"
_ASKED = re.compile(rf"\?({_GIVEN}(?:&{_GIVEN})*)", re.ASCII)
_ARGUMENT = re.compile(rf"({_NAMES})=(\[(?:{_TEXT})(?:, (?:{_TEXT}))*\]|{_TEXT}|True|False)")
_ARGUMENTS = re.compile(rf"(?<![\w.-]){_ARGUMENT.pattern}(?:, {_ARGUMENT.pattern})*")
_DETECT = re.compile(r"(?<![\w.-])detect=(\d+(?:\.\d+)?)")  # of plans
NAMING_CANDIDATES = ", or give the candidates names: {name: rows}"  # a command has those of the files
_FORMAT = "say with ?format= what it is"
_ENDING = "let its name end in what it is: .npy, .npz, .parquet or .zip"


def in_python(message: str) -> str:
    """A reader's message with its options as keyword arguments: `drop=['cut']`, `decimal=','`, `header=True`."""
    return _ASKED.sub(_arguments, message).replace(_FORMAT, _ENDING)


def in_flags(message: str) -> str:
    """A message, of a reader or as `in_python` puts it, with its options as flags of a command: `--drop cut`."""
    message = _ASKED.sub(lambda found: " ".join(_flag(*each) for each in _options(found[1])), message)
    message = _DETECT.sub(r"--detect \1", message)
    message = message.replace(NAMING, "in a first line of the file").replace(NAMING_CANDIDATES, "")
    return _ARGUMENTS.sub(_flags_of_arguments, message).replace(_FORMAT, _ENDING)


def without_advice(message: str) -> tuple[str, str]:
    """What is wrong, by a reader's message as `in_python` puts it, and the options that it advises, or ""."""
    said, _, together = message.partition(". All at once: ")
    if (first := _ARGUMENTS.search(said)) is None:
        return message, ""
    wrong = said[: first.start()]
    return wrong[: wrong.rfind(": ")] if ": " in wrong else wrong.rstrip(" :,;"), together or first[0]


def _options(query: str) -> list[tuple[str, str]]:
    """Names and values of options that are asked for together: categories=a&missing=level."""
    return [(name, unquote(value)) for name, _, value in (each.partition("=") for each in query.split("&"))]


def _arguments(found: re.Match[str]) -> str:
    together: dict[str, list[str]] = {}
    for option, value in _options(found[1]):
        together.setdefault(option, []).append(value)
    return ", ".join(_argument(option, values) for option, values in together.items())


def _argument(option: str, values: list[str]) -> str:
    if option == "member":
        return f"FILE.npz:{values[0]}"
    if option in _FLAGS:
        return f"{option}={values[0].capitalize()}"
    return f"{option}={values if option in _LISTS else values[0]!r}"


def _flags_of_arguments(found: re.Match[str]) -> str:
    return " ".join(
        _flag(option, str(each))
        for option, given in ((each[1], literal_eval(each[2])) for each in _ARGUMENT.finditer(found[0]))
        for each in (given if isinstance(given, list) else [given])
    )


def _flag(option: str, value: str) -> str:
    """A flag as one would type it, quoted for the shell."""
    if option == "member":
        return f"FILE.npz:{value}"
    shown = option.replace("_", "-")
    if option in _FLAGS:
        return f"--{shown}" if value.lower() == "true" else f"--no-{shown}"
    if value.startswith("-"):
        return f"--{shown}={shlex.quote(value)}"
    return f"--{shown} " + (r"$'\t'" if value == "\t" else shlex.quote(value))
