"""Puts the options that a message names into the words of who reads it.

A reader names an option as a request to a server has it, `?drop=who`, with its value percent-encoded
(`wdist.data.tables.coder.asked`). In Python the same is `drop=['who']`, on the command line `--drop who`.
"""

from __future__ import annotations

import ast
import re
import shlex
from typing import Any
from urllib.parse import unquote

from wdist.definitions.reading import Reading

_LISTS = {"levels", *(name for name, field in Reading.model_fields.items() if "list" in str(field.annotation))}
_SWITCHES = {name for name, field in Reading.model_fields.items() if "bool" in str(field.annotation)}
_NAMES = "|".join(sorted({*Reading.model_fields, "levels", "reference", "labels"}))
_TEXT = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_ASKED = re.compile(rf"\?({_NAMES})=([^\s&;:,()]+)")
_WRITTEN = re.compile(rf"\b({_NAMES})=(\[(?:{_TEXT})(?:, (?:{_TEXT}))*\]|{_TEXT}|True|False)")


def in_python(message: str) -> str:
    """A reader's message with its options as keyword arguments."""
    return _ASKED.sub(lambda found: f"{found[1]}={_value(found[1], unquote(found[2]))!r}", message)


def in_flags(message: str) -> str:
    """A message with its options as flags, whether a reader wrote it or `in_python` did."""
    return _WRITTEN.sub(lambda found: _flags(found[1], ast.literal_eval(found[2])), in_python(message))


def _value(option: str, text: str) -> Any:
    if option in _SWITCHES:
        return text == "true"
    return [text] if option in _LISTS else text


def _flags(option: str, value: Any) -> str:
    flag = option.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return " ".join(f"--{flag} {shlex.quote(each)}" for each in (value if isinstance(value, list) else [value]))
