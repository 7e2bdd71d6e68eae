"""Schemas that several resources share; times are RFC 3339."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, StringConstraints

from wdist_service.text import LINE, MAX_LINE

Entry = TypeVar("Entry")
Name = Annotated[str, StringConstraints(max_length=MAX_LINE, pattern=LINE)]


class ErrorView(BaseModel):
    """Why an estimate failed."""

    type: str
    message: str


class Page(BaseModel, Generic[Entry]):
    """One page of a list, newest first."""

    data: list[Entry]
    has_more: bool
    next: str | None


def page_of(data: list[Entry], next_: str | None = None) -> Page[Entry]:
    return Page(data=data, has_more=next_ is not None, next=next_)


def rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def maybe_rfc3339(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)
