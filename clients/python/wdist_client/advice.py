"""Options of a reading in messages, in the words of Python and of the command line.

A reader names an option as `?option=value`, the value percent-encoded, whoever asked for the reading.
"""

from __future__ import annotations

import ast
import re
import shlex
from functools import cache
from urllib.parse import quote, unquote

NAMING = "as in pandas.DataFrame(rows, columns=[...])"  # how columns get names
_BY = {"labels": "str", "by": "str", "reference": "str", "levels": "Collection[str]"}  # not of a reading itself
_ADVISED = ("critic", "scale", "upper")  # by warnings of estimates
_TEXT = r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\""
_OF_FORMATS = (  # what a client knows by the name of a file
    (
        re.compile(r"say with \?format= what it is|say which .*with \?format=[\w, ]+"),
        "let its name end in what it is, like x.npy",
    ),
    (re.compile(r"FILE\.npz:([\w-]+)"), r"member='\1'"),
)
_OF_MONITORS = (  # what a message says to do with one, and the call that does it
    (re.compile(r"begin a new epoch(?! with)"), "begin a new epoch with monitor.new_epoch(reference)"),
    (re.compile(r"is paused: resume it(?! with)"), "is paused: resume it with monitor.resume()"),
)


def asked(option: str, value: str) -> str:
    """How a message of this package names an option."""
    return f"?{option}={quote(value, safe='')}"


def in_python(message: str) -> str:
    """The message with options as keyword arguments."""
    for said, here in _OF_FORMATS:
        message = said.sub(here, message)
    for said, here in _OF_MONITORS:
        message = said.sub(here, message)
    return _asked().sub(_given, message) if "?" in message else message


def in_flags(message: str) -> str:
    """The message with options as flags of the command."""
    one, several = _arguments()
    return several.sub(
        lambda found: " ".join(_flags(each[1], ast.literal_eval(each[2])) for each in one.finditer(found[0])),
        in_python(message).replace(NAMING, "in a first line of the file"),
    )


@cache
def options() -> dict[str, type]:
    """The options that messages name, and the type of each: list, bool or str."""
    from wdist_client import contract

    kinds: dict[str, type] = {"Collection": list, "bool": bool}
    found = {}
    for name, kind in (contract.Reading.__annotations__ | _BY).items():
        written = str(getattr(kind, "__forward_arg__", kind))
        found[name] = next((each for word, each in kinds.items() if written.startswith(word)), str)
    return found


@cache
def _asked() -> re.Pattern[str]:
    # A full stop ends a sentence where a new one, or nothing, follows.
    one = rf"(?:{'|'.join(options())})=[\w.~%-]+?"
    return re.compile(rf"(?<![\w/?=&])\?({one}(?:&{one})*)(?=\.?$|\. [A-Z]|[^\w.~%&-])")


@cache
def _arguments() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """One keyword argument, and one or several with commas between them."""
    names = "|".join([*options(), *_ADVISED])
    one = rf"({names})=(\[(?:{_TEXT})(?:, ?(?:{_TEXT}))*\]|{_TEXT}|True|False)(?!\w)"
    return re.compile(one), re.compile(rf"(?<![\w.]){one}(?:, {one})*")


def _given(found: re.Match[str]) -> str:
    """Options that are asked for together as keyword arguments, each once."""
    together: dict[str, list[str]] = {}
    for each in found[1].split("&"):
        option, _, value = each.partition("=")
        together.setdefault(option, []).append(unquote(value))
    return ", ".join(_argument(option, values) for option, values in together.items())


def _argument(option: str, values: list[str]) -> str:
    kind = options()[option]
    if kind is bool:
        return f"{option}={values[0].lower() in ('true', '1')}"
    return f"{option}={values if kind is list else values[0]!r}"


def _flags(option: str, value: list[str] | str | bool) -> str:
    if option == "member":
        return f"FILE.npz:{value}"
    flag = f"--{option.replace('_', '-')}"
    if isinstance(value, bool):
        return flag if value else flag.replace("--", "--no-", 1)
    return " ".join(_typed(flag, each) for each in ([value] if isinstance(value, str) else value))


def _typed(flag: str, value: str) -> str:
    """A flag and its value as one would type them in a shell."""
    if value.startswith("-"):
        return f"{flag}={shlex.quote(value)}"
    return f"{flag} " + (r"$'\t'" if value == "\t" else shlex.quote(value))
