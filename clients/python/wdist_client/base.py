"""The base of all records."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


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
