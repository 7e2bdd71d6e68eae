"""Protect a server without keys from the web pages of other sites."""

from __future__ import annotations

from urllib.parse import urlsplit

from sqlalchemy.exc import DatabaseError
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from wdist_service.errors import ForbiddenError, RequestError
from wdist_service.http.middleware import Middleware
from wdist_service.http.problems import of_request_error
from wdist_service.keys.known import KnownKeys
from wdist_service.settings import LOOPBACK, Settings


class OpenServerGuard(Middleware):
    """Protects a server without keys from cross-site requests and DNS rebinding."""

    def __init__(self, app: ASGIApp, settings: Settings, keys: KnownKeys) -> None:
        super().__init__(app)
        self._keys = keys
        self._hosts = {host.lower() for host in settings.allowed_hosts}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (refusal := await self._refusal(scope)) is not None:
            await of_request_error(scope["request_id"], refusal)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    async def _refusal(self, scope: Scope) -> RequestError | None:
        headers = Headers(scope=scope)
        host = _host_of("//" + headers.get("host", ""))
        refusal = self._refusal_by(headers, scope, host, is_open=self._keys.may_be_open)
        if refusal is None or not self._keys.may_be_open:
            return refusal
        try:  # a first key may have been made a moment ago
            return self._refusal_by(headers, scope, host, is_open=await self._keys.is_open())
        except DatabaseError:  # the database is down: the stricter rules hold
            return refusal

    def _refusal_by(self, headers: Headers, scope: Scope, host: str, *, is_open: bool) -> RequestError | None:
        allowed = self._hosts | LOOPBACK if self._hosts or is_open else None
        if allowed is not None and host not in allowed:
            return ForbiddenError(f"this server does not answer to the name {host!r}; see WDIST_SERVER_ALLOWED_HOSTS")
        if is_open and _is_cross_site(headers, host) and not _follows_a_link_to_the_page(scope, headers):
            return ForbiddenError("other sites may not call a server without keys; make one with `wdist keys create`")
        return None


def _host_of(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _is_cross_site(headers: Headers, host: str) -> bool:
    if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return True
    origin = headers.get("origin")
    return origin is not None and _host_of(origin) != host


def _follows_a_link_to_the_page(scope: Scope, headers: Headers) -> bool:
    """Whether a link on another site opens the page in a window. That is safe: it has no data and cannot be framed."""
    opens_window = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return scope["method"] == "GET" and scope["path"] == "/" and opens_window
