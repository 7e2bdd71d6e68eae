"""Options of a reading in messages, in the words of Python and of the command line.

A reader names an option as `?option=value`, the value percent-encoded, whoever asked for the reading.
"""

from __future__ import annotations

import ast
import re
import shlex
from urllib.parse import quote, unquote

LISTS = frozenset({"columns", "drop", "categories", "dates"})
SWITCHES = frozenset({"header", "subfolders"})
WORDS = frozenset(
    {"time_unit", "time_start", "missing", "member", "decimal", "separator", "thousands", "encoding", "sheet",
     "embedding", "labels", "by"}
)  # fmt: skip
_NAMES = "|".join(sorted(LISTS | SWITCHES | WORDS))
# A full stop ends a sentence where a new one, or nothing, follows.
_ASKED = re.compile(rf"(?<![\w/?=&])\?({_NAMES})=([\w.~%-]+?)(?=\.?$|\. [A-Z]|[^\w.~%-])")
_OF_FORMATS = (  # what a client knows by the name of a file
    (
        re.compile(r"say with \?format= what it is|say which .*with \?format=[\w, ]+"),
        "let its name end in what it is, like x.npy",
    ),
    (re.compile(r"FILE\.npz:NAME"), "member='NAME'"),
)
_TEXT = r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\""
_ARGUMENT = re.compile(rf"(?<![\w.])({_NAMES})=(\[(?:{_TEXT})(?:, ?(?:{_TEXT}))*\]|{_TEXT}|True|False)")


def asked(option: str, value: str) -> str:
    """How a message of this package names an option."""
    return f"?{option}={quote(value, safe='')}"


def in_python(message: str) -> str:
    """The message with options as keyword arguments."""
    for said, here in _OF_FORMATS:
        message = said.sub(here, message)
    return _ASKED.sub(lambda found: _argument(found[1], unquote(found[2])), message)


def in_flags(message: str) -> str:
    """The message with options as flags of the command."""
    return _ARGUMENT.sub(lambda found: _flags(found[1], ast.literal_eval(found[2])), in_python(message))


def _argument(option: str, value: str) -> str:
    if option in SWITCHES:
        return f"{option}={value.lower() in ('true', '1')}"
    return f"{option}=[{value!r}]" if option in LISTS else f"{option}={value!r}"


def _flags(option: str, value: list[str] | str | bool) -> str:
    if option == "member":
        return f"FILE.npz:{value}"
    flag = option.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return " ".join(f"--{flag} {shlex.quote(each)}" for each in ([value] if isinstance(value, str) else value))
