"""The options that messages of readers name, in the words of each surface.

A reader writes `?option=value`, as in a request, with the value percent-encoded (`wdist.data.tables.naming.asked`).
"""

from __future__ import annotations

import re
import shlex
from ast import literal_eval
from urllib.parse import unquote

from wdist.definitions.reading import Selection

_BY = ("by", "levels", "reference")  # of matrices and comparisons of one table
_ADVISED = ("critic", "scale", "upper")  # options of estimates that warnings advise
_LISTS = frozenset(
    ["levels", *(name for name, field in Selection.model_fields.items() if "list" in str(field.annotation).lower())]
)
_FLAGS = frozenset(name for name, field in Selection.model_fields.items() if field.annotation in (bool, bool | None))
_NAMES = "|".join([*Selection.model_fields, *_BY, *_ADVISED])
_TEXT = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_ASKED = re.compile(rf"\?({_NAMES})=((?:[\w.~-]|%[0-9A-Fa-f]{{2}})*)", re.ASCII)
_ARGUMENT = re.compile(rf"(?<![\w.-])({_NAMES})=(\[(?:{_TEXT})(?:, (?:{_TEXT}))*\]|{_TEXT}|True|False)")
_DETECT = re.compile(r"(?<![\w.-])detect=(\d+(?:\.\d+)?)")  # of plans
_FORMAT = "say with ?format= what it is"
_ENDING = "let its name end in what it is: .npy, .npz, .parquet or .zip"


def in_python(message: str) -> str:
    """A reader's message with its options as keyword arguments: `drop=['cut']`, `decimal=','`, `header=True`."""
    return _ASKED.sub(_argument, message).replace(_FORMAT, _ENDING)


def in_flags(message: str) -> str:
    """A message, of a reader or as `in_python` puts it, with its options as flags of a command: `--drop cut`."""
    message = _ASKED.sub(lambda found: _flag(found[1], unquote(found[2])), message)
    message = _DETECT.sub(r"--detect \1", message)
    return _ARGUMENT.sub(_flag_of_argument, message).replace(_FORMAT, _ENDING)


def _argument(found: re.Match[str]) -> str:
    option, value = found[1], unquote(found[2])
    if option == "member":
        return f"FILE.npz:{value}"
    if option in _FLAGS:
        return f"{option}={value.capitalize()}"
    return f"{option}={[value] if option in _LISTS else value!r}"


def _flag_of_argument(found: re.Match[str]) -> str:
    value = literal_eval(found[2])
    return " ".join(_flag(found[1], str(each)) for each in (value if isinstance(value, list) else [value]))


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
