"""The base of all records."""

from __future__ import annotations

import textwrap
from typing import Any

from pydantic import BaseModel, ConfigDict

WIDTH = 240
"""Characters of a repr: a few lines of a terminal, whatever the record holds."""


def in_a_line(text: str) -> str:
    """The text without breaks, cut where it is longer than a repr may be."""
    return textwrap.shorten(text, WIDTH, placeholder=" ...")


class Model(BaseModel):
    """Base: immutable; the fields of newer servers are kept and available by name.

    A field can be read as an item too, as in the library's results: `result.n["source"]["test"]`.
    """

    # Validators are built on first use, so that the import stays cheap.
    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    def __eq__(self, other: object) -> bool:
        """Whether all fields are equal. The job that a record is tied to does not matter."""
        return isinstance(other, type(self)) and self.model_dump() == other.model_dump()

    def __getitem__(self, field: str) -> Any:
        if field in type(self).model_fields or field in (self.model_extra or {}):
            return getattr(self, field)
        raise KeyError(field)

    def __repr__(self) -> str:
        """The fields that say something in a word, in a line; `model_dump()` has all of them."""
        said = []
        for name, value in self.__repr_args__():
            text = repr(value)
            if value not in (None, [], {}, "") and len(text) <= 80:
                said.append(f"{name}={text}")
        return in_a_line(f"{type(self).__name__}({', '.join(said)})")

    def __str__(self) -> str:
        return repr(self)
