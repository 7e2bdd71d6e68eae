"""What text may be, whichever way it comes in, and how stored text is shown that would be refused today.

Text is Unicode without NUL, which PostgreSQL cannot store, without lone surrogates, which UTF-8 cannot write, and
without control characters, which act on the terminal or the log that shows them. Tabs and ends of lines may stand in
text, but not in a line, such as a name.

A level of a category is data. It may have every character that can be stored: cells have tabs, form feeds, and what
becomes of Windows' quotation marks when a file is read as Latin-1.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

TEXT = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"  # the rules as JSON Schema has them, which knows no surrogates
LINE = r"^[^\x00-\x1f\x7f-\x9f]*$"
MAX_LINE = 200

_NOT_IN_DATA = re.compile("[\0\ud800-\udfff]")
_NOT_IN_TEXT = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_NOT_IN_LINE = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def fault_in_data(text: str) -> str | None:
    """What is wrong with a level of a category, in words; None if it can be stored."""
    return _said(_NOT_IN_DATA.search(text))


def fault_in_text(text: str) -> str | None:
    """What is wrong with text, as in "it `has the control character U+0007`"; None if nothing is."""
    return _said(_NOT_IN_TEXT.search(text))


def fault_in_line(text: str) -> str | None:
    """What is wrong with a name or another line of at most 200 characters, in words; None if nothing is."""
    if len(text) > MAX_LINE:
        return f"has {len(text):,} characters, the limit is {MAX_LINE}"
    return _said(_NOT_IN_LINE.search(text))


def _said(found: re.Match[str] | None) -> str | None:
    if found is None:
        return None
    character, place = found[0], f"U+{ord(found[0]):04X} (character {found.start() + 1})"
    if character == "\0":
        return f"has the character NUL, {place}"
    if "\ud800" <= character <= "\udfff":
        return f"has half of a surrogate pair, {place}, which is no Unicode text"
    return f"has the control character {place}"


def faults(value: Any) -> Iterator[tuple[str, str]]:
    """(path, what is wrong) of each piece of text in a JSON value, its keys included; paths are dotted, "" the whole.

    The value may be nested deeply: nothing here is recursive.
    """
    left: list[tuple[str, Any]] = [("", value)]
    while left:
        path, each = left.pop()
        if isinstance(each, str):
            if (fault := fault_in_text(each)) is not None:
                yield path, fault
        elif isinstance(each, Mapping):
            for key, inner in each.items():
                inner_path = _below(path, shown(str(key)))
                if (fault := fault_in_text(str(key))) is not None:
                    yield inner_path, fault
                left.append((inner_path, inner))
        elif isinstance(each, list):
            left += [(_below(path, str(place)), inner) for place, inner in enumerate(each) if _may_have_text(inner)]


def shown(text: str) -> str:
    """Text as it is shown: what may not stand in it is replaced."""
    return _NOT_IN_TEXT.sub(_REPLACEMENT, text)


def as_line(text: str) -> str:
    """Text as one line, such as a name: spaces stand for what may not stand in it."""
    return _NOT_IN_LINE.sub(" ", text)


def search_key(text: str) -> str:
    """What a search compares. It finds "Straße" by "STRASSE": no database folds the case of all letters."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def mended(value: Any) -> Any:
    """A copy of a JSON value in which each piece of text, keys included, is as `shown`."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, Mapping):
        return {shown(str(key)): mended(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [mended(inner) for inner in value]
    return value


def _below(path: str, part: str) -> str:
    return f"{path}.{part}" if path else part


def _may_have_text(value: Any) -> bool:
    return isinstance(value, str | Mapping | list)
