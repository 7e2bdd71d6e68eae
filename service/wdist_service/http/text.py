"""The doors by which text enters over HTTP: paths, query parameters, headers and JSON bodies. text.py has the rules.

What stands inside a file is checked by its decoder, and the pairs of Upload-Metadata once they are decoded.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.types import Receive, Scope, Send

from wdist_service.errors import InvalidError, NotFoundError, RequestError
from wdist_service.http.middleware import Middleware
from wdist_service.http.problems import of_request_error
from wdist_service.text import fault_in_data, fault_in_text, faults, shown

# Headers are bytes that are read as Latin-1: one of 0x80 to 0x9f may be a part of a character in UTF-8.
_NOT_IN_HEADERS = re.compile("[\0-\x08\x0a-\x1f\x7f]")
_LEVELS = "levels"  # the parameter that names levels, which may have what data has


class TextGuard(Middleware):
    """Refuses requests whose path, query or headers hold what may not stand in text."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (refusal := _refusal(scope)) is not None:
            await of_request_error(scope["request_id"], refusal)(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _refusal(scope: Scope) -> RequestError | None:
    if fault_in_text(scope["path"]) is not None:
        return NotFoundError(f"there is no {shown(scope['path'])[:200]} here; see /openapi.json")
    for name, value in scope["headers"]:
        if (found := _NOT_IN_HEADERS.search(value.decode("latin-1"))) is not None:
            return InvalidError(f"it has the control character U+{ord(found[0]):04X}", field=name.decode("latin-1"))
    return _refusal_of_query(scope["query_string"].decode("latin-1"))


def _refusal_of_query(query: str) -> RequestError | None:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        return InvalidError("the query is not UTF-8: encode its parameters as UTF-8, then percent-encode them")
    for name, value in pairs:
        fault_in_value = fault_in_data if name == _LEVELS else fault_in_text
        if (fault := fault_in_text(name) or fault_in_value(value)) is not None:
            field = shown(name)[:100]
            return InvalidError(f"{field} {fault}: leave it out", field=field)
    return None


async def check_body(request: Request) -> None:
    """Raise InvalidError, which names the field, for text in a JSON body that may not be stored."""
    try:
        body = await request.json()  # FastAPI has read it already
    except ValueError:
        return  # no JSON: the model of the body refuses it
    for field, fault in faults(body):
        raise InvalidError(f"{field or 'the body'} {fault}: leave it out", field=field or "body")
