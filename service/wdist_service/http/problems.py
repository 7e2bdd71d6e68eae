"""Errors as application/problem+json (RFC 9457), with the request id and the invalid fields."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict
from sqlalchemy.exc import DatabaseError, DataError, OperationalError
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from wdist.definitions import refusals
from wdist.definitions.reading import Selection
from wdist_service.errors import RequestError, StorageFullError
from wdist_service.storage.files import DiskFullError, is_disk_full
from wdist_service.text import mended

MEDIA_TYPE = "application/problem+json"
log = logging.getLogger("wdist.api")
_OF_READING = frozenset((*Selection.model_fields, "by"))


class FieldError(BaseModel):
    """One part of the request that is wrong."""

    field: str = Field(examples=["confidence"])
    message: str = Field(examples=["confidence is 2; it must be below 1"])


_EXAMPLE: JsonDict = {
    "type": "urn:wdist:problem:invalid",
    "title": "The request cannot be carried out as it stands",
    "status": 422,
    "detail": "confidence is 2; it must be below 1",
    "errors": [{"field": "confidence", "message": "confidence is 2; it must be below 1"}],
    "request_id": "req_01jd3v5q3k8e9x7w2m4n6p8r0t",
}


class Problem(BaseModel):
    """An error."""

    type: str = Field(examples=["urn:wdist:problem:invalid"])
    title: str = Field(examples=["The request cannot be carried out as it stands"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["confidence is 2; it must be below 1"])
    errors: list[FieldError] = Field(default_factory=list)
    request_id: str = Field(examples=["req_01jd3v5q3k8e9x7w2m4n6p8r0t"])

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})


_WHEN = {  # not HTTPStatus.phrase, which depends on the version of Python
    400: "The request cannot be read, or its body is not the one announced",
    401: "No valid key",
    403: "Not allowed, or the key's quota is used up",
    404: "No such id among the caller's own",
    408: "The body came too slowly",
    409: "Not possible in this state",
    410: "The upload has expired or failed",
    412: "Another version of the upload protocol",
    413: "The body is too large",
    415: "This type of content is not read here",
    416: "No such range of bytes",
    422: "A field, or the content, cannot be used; `errors` names it",
    423: "Another request is adding to this upload",
    429: "Too many requests or waiting jobs",
    503: "Not ready, or too busy; try again",
    507: "The server's disk is full",
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI declarations of the errors that an endpoint can return."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {status: {"description": _WHEN[status], "content": {MEDIA_TYPE: {"schema": schema}}} for status in statuses}


def problem(
    request_id: str, status: int, type_: str, title: str, detail: str,
    errors: Sequence[FieldError] = (), headers: dict[str, str] | None = None,
) -> JSONResponse:  # fmt: skip
    """One error response."""
    body = Problem(
        type=f"urn:wdist:problem:{type_}", title=title, status=status, detail=detail, errors=list(errors),
        request_id=request_id,
    )  # fmt: skip
    # A message may repeat text that was refused, which JSON cannot always write.
    return JSONResponse(mended(body.model_dump()), status, headers, media_type=MEDIA_TYPE)


def of_request_error(request_id: str, error: RequestError) -> JSONResponse:
    headers = {}
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="wdist"'
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    errors = [FieldError(field=error.field, message=error.detail)] if error.field else []
    return problem(request_id, error.status, error.type, error.title, error.detail, errors, headers)


def install(app: FastAPI) -> None:
    """Answer every error of the application with a problem."""
    app.add_exception_handler(RequestError, _on_request_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(DiskFullError, _on_disk_full)
    app.add_exception_handler(DatabaseError, _on_database_error)
    app.add_exception_handler(OSError, _on_os_error)


def _id(request: Request) -> str:
    return str(request.scope.get("request_id", ""))


async def _on_request_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestError)  # noqa: S101 - for the type checker: install() registered it
    return of_request_error(_id(request), error)


async def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    in_body = [item for item in error.errors() if item["loc"][0] == "body"]
    elsewhere = [item for item in error.errors() if item["loc"][0] != "body"]
    named = {item["loc"][1]: item["input"] for item in elsewhere}  # parameters and headers
    known = getattr(_body_type(request), "model_fields", ())
    refused = refusals.refusals(_below(in_body), error.body, list(known)) + refusals.refusals(_below(elsewhere), named)
    errors = [
        FieldError(field=field, message=_of_reading(field, known, sentence)[:500]) for field, sentence in refused[:20]
    ]
    if any(item["type"] == "json_invalid" for item in error.errors()):
        detail = "the body is not valid JSON"
        return problem(_id(request), 400, "bad_json", "The body cannot be read", detail, errors)
    detail = "; ".join(item.message for item in errors)
    return problem(
        _id(request), 422, "invalid", "The request cannot be carried out as it stands", detail[:2000], errors
    )


def _of_reading(field: str, known: Collection[str], sentence: str) -> str:
    """The sentence about a field; of one that says how a file is read, and that this body lacks, where it is given."""
    if field in known or field not in _OF_READING or not sentence.startswith("there is no "):
        return sentence
    return f"{field} says how a file is read, and a stored set has been read: give it to POST /v1/sample-sets"


def _body_type(request: Request) -> Any:
    """What the operation takes as its body."""
    body = getattr(request.scope.get("route"), "body_field", None)
    return None if body is None else body.field_info.annotation


def _below(errors: Sequence[Any]) -> list[dict[str, Any]]:
    """The errors with locations below the part of the request ("body", "query", ...) that they are in."""
    return [{**item, "loc": item["loc"][1:] or item["loc"]} for item in errors]


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    if isinstance(error.__cause__, RequestError):  # FastAPI wraps errors that are raised while it reads a body
        return of_request_error(_id(request), error.__cause__)
    phrase = HTTPStatus(error.status_code).phrase
    detail = f"there is no {request.url.path} here; see /openapi.json" if error.status_code == 404 else error.detail
    headers = dict(error.headers or {})
    if (
        error.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    ):  # Starlette lists the methods of only one of the path's routes
        headers = {"Allow": ", ".join(sorted(_methods(request))) or headers.get("Allow", "GET, HEAD")}
    return problem(
        _id(request), error.status_code, phrase.lower().replace(" ", "_"), phrase, str(detail)[:500], (), headers
    )


def _methods(request: Request) -> set[str]:
    """Methods of all operations in the OpenAPI document that match this path."""
    return {
        method.upper()
        for path, methods in request.app.openapi()["paths"].items()
        if compile_path(path)[0].match(request.url.path)
        for method in methods
    }


async def _on_disk_full(request: Request, error: Exception) -> JSONResponse:
    full = StorageFullError("nothing was stored; free space on the server, then send it again", retry_after=60)
    return of_request_error(_id(request), full)


async def _on_os_error(request: Request, error: Exception) -> JSONResponse:
    if not is_disk_full(error):
        raise error
    return await _on_disk_full(request, error)


async def _on_database_error(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, OperationalError) and "full" in str(error.orig):
        return await _on_disk_full(request, error)
    if isinstance(error, DataError):
        detail = "a value has a character or a size that cannot be stored"
        return problem(_id(request), 422, "invalid", "The request cannot be carried out as it stands", detail)
    log.error("database error", exc_info=error, extra={"request_id": _id(request)})
    return problem(
        _id(request), 503, "unavailable", "The database does not answer", "try again", (), {"Retry-After": "2"}
    )
