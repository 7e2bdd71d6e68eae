"""Entries of a docstring that are made from the fields of a pydantic model."""

from __future__ import annotations

import textwrap

from pydantic import BaseModel
from pydantic_core import PydanticUndefined


def entries(model: type[BaseModel]) -> str:
    """One entry for each field with a description, for the sections Args and Attributes of a Google-style docstring."""
    lines = []
    for name, field in model.model_fields.items():
        if field.description:
            default = "" if field.get_default() in (None, PydanticUndefined) else f" Default: {field.default!r}."
            about = f"{name}: {field.description}{default}"
            lines.append(textwrap.fill(about, 120, initial_indent=" " * 8, subsequent_indent=" " * 12))
    return "\n".join(lines)
