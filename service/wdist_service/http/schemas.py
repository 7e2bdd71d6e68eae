"""Schemas that several resources share; times are RFC 3339."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Concatenate, Generic, ParamSpec, TypeVar, cast

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from wdist_service.tables import OwnedRow
from wdist_service.text import LINE, MAX_LINE, mended

log = logging.getLogger("wdist.api")
Entry = TypeVar("Entry")
Row = TypeVar("Row", bound=OwnedRow)
More = ParamSpec("More")
Model = TypeVar("Model", bound=BaseModel)
Name = Annotated[str, StringConstraints(max_length=MAX_LINE, pattern=LINE)]
GivenName = Annotated[str, StringConstraints(min_length=1, max_length=MAX_LINE, pattern=LINE)]


class Renaming(BaseModel):
    """Another name for an estimate or a batch."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "orders, spring and summer"}]})

    name: GivenName | None = Field(description="The new name; null removes it.")


class ErrorView(BaseModel):
    """Why an estimate failed."""

    type: str
    message: str


class Page(BaseModel, Generic[Entry]):
    """One page of a list, newest first."""

    data: list[Entry]
    has_more: bool
    next: str | None


class View(Generic[Row, More, Model]):
    """Makes the answer about a stored row. A row with text that would be refused today is shown with that replaced."""

    def __init__(self, make: Callable[Concatenate[Row, More], Model]) -> None:
        self._make = make

    def __call__(self, row: Row, *more: More.args, **named: More.kwargs) -> Model:
        return self._rendered(row, *more, **named)[0]

    def json(self, row: Row, *more: More.args, **named: More.kwargs) -> str:
        """The answer as JSON."""
        return self._rendered(row, *more, **named)[1]

    def _rendered(self, row: Row, *more: More.args, **named: More.kwargs) -> tuple[Model, str]:
        try:
            made = self._make(row, *more, **named)
            return made, made.model_dump_json()
        except ValueError as error:  # of pydantic, of its serializer, or of UTF-8
            log.warning("a row is shown with its text mended", extra={"id": row.id, "reason": str(error)[:200]})
        made = self._make(cast("Row", _MendedRow(row)), *more, **named)
        return made, made.model_dump_json()


class _MendedRow:
    """A row whose text can be written as JSON."""

    def __init__(self, row: OwnedRow) -> None:
        self._row = row

    def __getattr__(self, name: str) -> Any:
        return mended(getattr(self._row, name))


def page_of(rows: Iterable[Row], view: Callable[[Row], str], following: str | None = None) -> Response:
    """A page of a list. `view` gives the JSON of a row; one that it cannot give is left out, so that it blocks no list.

    The endpoint declares the page as its response_model: what a view has validated is not validated again.
    """
    entries = []
    for row in rows:
        try:
            entries.append(view(row))
        except Exception:
            log.exception("a row cannot be shown and is left out of the list", extra={"id": row.id})
    more = f'"has_more":{json.dumps(following is not None)},"next":{json.dumps(following)}'
    return Response(f'{{"data":[{",".join(entries)}],{more}}}', media_type="application/json")


def rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def maybe_rfc3339(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)
