"""The errors of a request, as its caller sees them; http/problems.py turns them into problem+json."""

from __future__ import annotations

from wdist_service.text import shown


class RequestError(Exception):
    """Base class: an HTTP status, a short name for `type`, and a sentence that says what to do.

    `field` is the path of the offending part of the request ("source", "options.steps"), where there is one.
    """

    status = 400
    type = "bad_request"
    title = "Bad request"

    def __init__(self, detail: str, *, field: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.detail = shown(detail)  # it may repeat what was refused, and uploads keep it
        self.field = field
        self.retry_after = retry_after


class UnauthorizedError(RequestError):
    status, type, title = 401, "unauthorized", "A valid API key is needed"


class ForbiddenError(RequestError):
    status, type, title = 403, "forbidden", "Not allowed"


class NotFoundError(RequestError):
    status, type, title = 404, "not_found", "Not found"


class ConflictError(RequestError):
    status, type, title = 409, "conflict", "Not possible in this state"


class TooLargeError(RequestError):
    status, type, title = 413, "too_large", "The body is too large"


class UnsupportedTypeError(RequestError):
    status, type, title = 415, "unsupported_type", "This type of content is not read here"


class InvalidError(RequestError):
    status, type, title = 422, "invalid", "The request cannot be carried out as it stands"


class FaultError(RequestError):
    status, type, title = 500, "internal_error", "Internal server error"


class StorageFullError(RequestError):
    status, type, title = 507, "storage_full", "The server's disk is full"


class StorageUnavailableError(RequestError):
    status, type, title = 503, "unavailable", "The storage does not answer"
