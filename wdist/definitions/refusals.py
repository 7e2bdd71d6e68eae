"""Refused input, in words a person can act on; made from pydantic's errors, for library and server alike."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from wdist.errors import OptionError

M = TypeVar("M", bound=BaseModel)

_LONGEST = 60  # characters of a refused value that a message repeats

# What a value must be, by pydantic's type of error; the names in braces are that error's own context.
_REQUIRED = {
    "literal_error": "{expected}",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "string_too_long": "text of at most {max_length} characters",
    "string_too_short": "text of at least {min_length} characters",
    "string_unicode": "text without lone surrogates",
    "string_pattern_mismatch": "text of the form {pattern}",
    "too_long": "at most {max_length} long",
    "too_short": "at least {min_length} long",
}

_PATTERNS = {
    "^[0-9a-f]{64}$": "64 hexadecimal digits",
    r'^[^:"\x00-\x1f]{1,64}:': "a label in the form name:value",
    r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$": "text without control characters",
    r"^[^\x00-\x1f\x7f-\x9f]*$": "one line of text without control characters",
}
"""In words what the patterns of the requests stand for; the cursors of lists begin with the kind of an id."""


def checked(model: type[M], given: Mapping[str, Any], known: Sequence[str] = ()) -> M:
    """The model with these values. Raises OptionError, which names each refused one and what it must be.

    known: the names among which an unknown one is looked for; by default those of the model.
    """
    try:
        return model(**given)
    except ValidationError as error:
        said = refusals(error.errors(), given, known or list(model.model_fields))
        raise OptionError("; ".join(sentence for _, sentence in said)) from None


def refusals(errors: Iterable[Mapping[str, Any]], given: Any, known: Sequence[str] = ()) -> list[tuple[str, str]]:
    """(field, sentence) for each field that pydantic refused; the field is a dotted path, "" for the whole.

    errors: as `ValidationError.errors()` lists them. given: the value that was validated; it tells the fields in a
    location from the branches of a union, which the user never wrote. known: the names that may be given at the top.
    """
    found: dict[str, list[Mapping[str, Any]]] = {}
    for error in errors:
        found.setdefault(".".join(_path(error["loc"], given, error["type"])), []).append(error)
    # A branch of a union that reached deeper tells more than those that stopped at the surface.
    deepest = {field for field in found if not any(other.startswith(f"{field}.") for other in found)}
    return [(field, _sentence(field, several, known)) for field, several in found.items() if field in deepest]


def _path(location: Sequence[Any], given: Any, kind: str) -> list[str]:
    """The part of a location that the user wrote."""
    path: list[str] = []
    for part in location:
        if isinstance(given, Mapping) and (part in given or (not path and kind == "missing")):
            given = given.get(part)
        elif isinstance(given, list | tuple) and isinstance(part, int) and part < len(given):
            given = given[part]
        elif kind == "missing" and part == location[-1]:
            given = None
        else:
            continue
        path.append(str(part))
    return path


def _sentence(field: str, errors: list[Mapping[str, Any]], known: Sequence[str]) -> str:
    first = errors[0]
    if first["type"] == "extra_forbidden":
        if field == "by":
            return "there is no 'by' here: the levels of one table are compared by a matrix"
        near = difflib.get_close_matches(field, known, 1) if "." not in field else []  # `known` are those at the top
        return f"there is no {field!r} here" + (f"; did you mean {near[0]!r}?" if near else "")
    if first["type"] == "missing":
        return f"{field} is missing"
    said = [_requirement(error) for error in errors if error["type"] != "none_required"]
    own = [text for text, is_own in said if is_own]
    if own:
        return f"{field}: {own[0]}" if field else own[0]
    required = " or ".join(dict.fromkeys(text for text, _ in said))
    shown = "null" if first["input"] is None and not field else _repr(first["input"])
    shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
    return f"{field or 'this'} is {shown}; it must be {required}{_meant(errors)}"


def _meant(errors: list[Mapping[str, Any]]) -> str:
    """The choice of a near name, or the share that was given in percent; "" where neither is plain."""
    given = errors[0]["input"]
    for error in errors:
        if error["type"] == "literal_error" and isinstance(given, str):
            choices = {name.lower(): name for name in re.findall(r"'([^']+)'", error["ctx"]["expected"])}
            near = difflib.get_close_matches(given.lower(), choices, 1)
            return f"; did you mean {choices[near[0]]!r}?" if near else ""
        is_share = error["type"] == "less_than" and error["ctx"]["lt"] == 1
        if is_share and isinstance(given, int | float) and 50 <= given < 100:
            return f": give {given / 100:g}"
    return ""


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception:  # an int of more than 4,300 digits, or an object of the caller's own
        return f"a value of type {type(value).__name__} that cannot be shown"


def _requirement(error: Mapping[str, Any]) -> tuple[str, bool]:
    """What the value must be, or the message of one of our own checks (and true)."""
    if error["type"] == "value_error":
        return str(error["ctx"]["error"]), True
    form = _REQUIRED.get(error["type"])
    if form is None:
        return str(error["msg"]), True
    context = error.get("ctx", {})
    if error["type"] == "string_pattern_mismatch" and (words := _pattern(context["pattern"])):
        return words, False
    shown = {name: _shown(value) for name, value in context.items()}
    if error["type"] in {"too_long", "too_short"}:
        shown |= {name: _entries(value) for name, value in context.items() if name.endswith("_length")}
    return form.format(**shown), False


def _pattern(pattern: str) -> str | None:
    """A pattern of text in words, where there are any."""
    return "a cursor, `next` of the page before" if pattern.endswith("_[0-9a-z]+$") else _PATTERNS.get(pattern)


def _entries(count: Any) -> str:
    return "1 entry" if count == 1 else f"{_shown(count)} entries"


def _shown(value: Any) -> str:
    """A bound as people write it: 1,000,000 and 1e+300, but 1 rather than 1.0."""
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
