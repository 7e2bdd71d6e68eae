"""Advice of readers in the words of the surface that shows it: a keyword argument, or a flag of a command."""

from __future__ import annotations

import re
from urllib.parse import unquote

_ASKED = re.compile(r"\?([a-z_]+)=([A-Za-z0-9_.~%-]*)")


def in_python(message: str) -> str:
    """The message with `?drop=value` as `drop=['value']`, and `?decimal=%2C` as `decimal=','`."""
    return _ASKED.sub(lambda found: f"{found[1]}={_value(found[1], unquote(found[2]))}", message)


def in_flags(message: str) -> str:
    """The message with `?drop=value` as `--drop value`."""
    return _ASKED.sub(lambda found: f"--{found[1].replace('_', '-')} {unquote(found[2])}", message)


def _value(option: str, text: str) -> str:
    return repr([text] if option in ("columns", "drop", "categories", "dates") else text)
