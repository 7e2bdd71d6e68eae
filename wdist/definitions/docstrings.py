"""Signatures and entries of a docstring that are made from the fields of a pydantic model."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

F = TypeVar("F", bound=Callable[..., Any])


def shows_fields(function: F, arguments: type, **models: type[BaseModel]) -> F:
    """Shows the fields of models in the signature and the docstring of a function that takes them as **arguments.

    The line `{name}` of the docstring becomes the entries of the model of that name. arguments: a TypedDict of the
    types, plainer than the fields' own, which carry their bounds.
    """
    types = get_type_hints(arguments)
    signature = inspect.signature(function)
    given = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    shown = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=() if field.default == [] else field.default,
            annotation=types.get(name, field.annotation),
        )
        for model in models.values()
        for name, field in model.model_fields.items()
    ]  # fmt: skip
    function.__signature__ = signature.replace(parameters=[*given, *shown])  # type: ignore[attr-defined]
    for name, model in models.items():
        function.__doc__ = _filled(function.__doc__ or "", f"{{{name}}}", textwrap.dedent(entries(model)))
    return function


def _filled(text: str, place: str, entries: str) -> str:
    """The text with entries at the line that is the place, as deep as that line: a method's lie deeper."""
    depth = re.search(rf"^( *){re.escape(place)}$", text, re.MULTILINE)
    return text if depth is None else text.replace(depth[0], textwrap.indent(entries, depth[1]))


def entries(model: type[BaseModel]) -> str:
    """One entry for each field with a description, for the sections Args and Attributes of a Google-style docstring."""
    lines = []
    for name, field in model.model_fields.items():
        if field.description:
            default = "" if field.get_default() in (None, PydanticUndefined, []) else f" Default: {field.default!r}."
            about = f"{name}: {field.description}{default}"
            lines.append(textwrap.fill(about, 120, initial_indent=" " * 8, subsequent_indent=" " * 12))
    return "\n".join(lines)
