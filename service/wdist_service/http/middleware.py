"""Middleware: request ids, the access log, limits on bodies, turns, and the path prefix of a proxy."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import OrderedDict, deque
from urllib.parse import urlsplit, urlunsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wdist_service.errors import RequestError, TooLargeError, UnsupportedTypeError
from wdist_service.http.connections.turns import caller_of
from wdist_service.http.metrics import HttpMetrics
from wdist_service.http.problems import of_request_error, problem
from wdist_service.ids import new_id
from wdist_service.settings import Settings

access_log = logging.getLogger("wdist.access")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LEAST_BYTES_PER_SECOND = 1024  # once body_timeout_seconds have passed: a body that trickles in holds a connection
_DRAIN_BYTES, _DRAIN_SECONDS = 64 << 20, 5.0
_BEGIN_AT_ONCE = 4  # requests that begin in one round of the event loop
_WITHOUT_TURNS = frozenset({"/livez"})
_QUIET = frozenset({"/livez", "/readyz", "/metrics"})


class BodyTimeoutError(RequestError):
    """The sender paused for too long."""

    status, type, title = 408, "body_timeout", "The body came too slowly"


class Middleware:
    """Base of this server's middleware: `handle` gets what is HTTP, the rest is passed on."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self.handle if scope["type"] == "http" else self.app)(scope, receive, send)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise NotImplementedError


class RequestContext(Middleware):
    """Gives each request an id (the caller's X-Request-Id if it is well-formed), a log line, and metrics."""

    def __init__(self, app: ASGIApp, metrics: HttpMetrics) -> None:
        super().__init__(app)
        self._metrics = metrics

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = scope["request_id"] = given if _REQUEST_ID.fullmatch(given) else new_id("req")
        started = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
                headers.setdefault("Cache-Control", "no-store")
                headers.setdefault("Referrer-Policy", "no-referrer")
                headers.setdefault("X-Frame-Options", "DENY")
                headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
                headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
                if (allowance := scope.get("rate_limit")) is not None:
                    headers.update(allowance.headers())
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except Exception:
            access_log.exception("unexpected error", extra={"request_id": request_id})
            if status:  # the response has begun and can only be cut off
                raise
            detail = f"this is a fault of the server; its log has the details under {request_id}"
            answer = problem(request_id, 500, "internal_error", "Internal server error", detail)
            await answer(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", "unmatched")
            self._metrics.count(scope["method"], route, status, seconds, scope.get("received_bytes", 0))
            if scope["path"] not in _QUIET:
                access_log.info(
                    "%s %s %s", scope["method"], scope["path"], status,
                    extra={
                        "request_id": request_id, "status": status, "seconds": round(seconds, 4)
                    },
                )  # fmt: skip


class PlainBodies(Middleware):
    """Refuses bodies that are compressed, which nothing here unpacks: their bytes would be taken for the content."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        codings = [value.decode("latin-1") for name, value in scope["headers"] if name == b"content-encoding"]
        names = [name for coding in codings for part in coding.split(",") if (name := part.strip().lower())]
        if unknown := [name for name in names if name != "identity"]:
            detail = f"Content-Encoding {unknown[0][:50]!r} is not read here; send the bytes as they are"
            answer = of_request_error(scope["request_id"], UnsupportedTypeError(detail, field="Content-Encoding"))
            answer.headers["Accept-Encoding"] = "identity"
            await answer(scope, receive, send)
            return
        await self.app(scope, receive, send)


class BodyLimit(Middleware):
    """Limits the size of a body, which Starlette does not, and how slowly it may arrive."""

    def __init__(self, app: ASGIApp, settings: Settings, large: re.Pattern[str]) -> None:
        super().__init__(app)
        self._settings = settings
        self._large = large

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_large = scope["method"] in {"POST", "PATCH"} and self._large.fullmatch(scope["path"])
        limit = self._settings.max_upload_bytes if is_large else self._settings.max_json_bytes
        error = TooLargeError(f"the body is longer than {limit:,} bytes")
        headers = Headers(scope=scope)
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared[:20]) > limit:
            if "expect" not in headers:  # with `Expect: 100-continue` the body has not been sent yet
                await _drain(receive, 0)
            await of_request_error(scope["request_id"], error)(scope, receive, send)
            return
        taken = 0
        is_over = False
        started = time.monotonic()

        async def receive_counted() -> Message:
            nonlocal taken, is_over
            if is_over:
                return await receive()
            try:
                async with asyncio.timeout(
                    self._settings.body_timeout_seconds
                ):  # wait_for would create a task each time
                    message = await receive()
            except TimeoutError:
                raise BodyTimeoutError("no byte came for a while; send the body again, faster or in parts") from None
            late = time.monotonic() - started - self._settings.body_timeout_seconds
            if taken < late * _LEAST_BYTES_PER_SECOND:
                raise BodyTimeoutError("the body comes too slowly; send it faster, or in parts (/v1/uploads)")
            if message["type"] == "http.request":
                taken += len(message.get("body", b""))
                scope["received_bytes"] = taken
                if taken > limit:
                    await _drain(receive, taken)
                    raise error
                is_over = not message.get("more_body", False)
            return message

        await self.app(scope, receive_counted, send)


class PathPrefix(Middleware):
    """Serves under a path: takes the prefix off what comes in, and puts it before every `Location` that goes out.

    A proxy may keep the prefix or remove it. Everything inside knows paths without it, so that limits, routes and
    labels of metrics are the same at every address. A `Location` never names a host: the proxy knows it better.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        super().__init__(app)
        self._prefix = prefix

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path == self._prefix:
            await RedirectResponse(f"{self._prefix}/")(scope, receive, send)
            return
        if path.startswith(f"{self._prefix}/"):
            raw = scope["raw_path"].removeprefix(self._prefix.encode())
            scope = {**scope, "path": path.removeprefix(self._prefix), "raw_path": raw}

        async def send_with_prefix(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if (location := headers.get("location")) is not None:
                    headers["Location"] = self._outside(location)
            await send(message)

        await self.app(scope, receive, send_with_prefix)

    def _outside(self, location: str) -> str:
        """A `Location` of this server, as who is in front of the proxy sees it."""
        if not location.startswith("/") and "://" not in location:  # relative to the request
            return location
        address = urlsplit(location)  # Starlette's own redirects name scheme and host, which are those behind the proxy
        return urlunsplit(("", "", self._prefix + address.path, address.query, address.fragment))


async def _drain(receive: Receive, taken: int) -> None:
    """Keep reading for a while: a client that is still writing would see a reset connection, not the response."""
    deadline = time.monotonic() + _DRAIN_SECONDS
    while taken < _DRAIN_BYTES and (left := deadline - time.monotonic()) > 0:
        try:
            message = await asyncio.wait_for(receive(), left)
        except TimeoutError:
            return
        taken += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body", False):
            return


class _Line:
    """Requests of one caller that wait for their turn: the newest and the oldest come by turns."""

    def __init__(self) -> None:
        self.waiting: deque[asyncio.Future[None]] = deque()
        self._is_for_the_newest = True

    def next(self) -> asyncio.Future[None]:
        turn = self.waiting.pop() if self._is_for_the_newest else self.waiting.popleft()
        self._is_for_the_newest = not self._is_for_the_newest
        return turn


class Turns(Middleware):
    """Lets requests in, a few in each round of the event loop: of each caller in turn, and its GETs apart from others.

    asyncio runs everything that is ready before it looks at its sockets again. Of 1,000 requests that arrive together,
    each takes about a millisecond until it is handed to a thread; whoever came after them would wait for all of it.

    `caller_of` says who is a caller. In a line, the newest
    and the oldest come by turns: who comes in the middle of a flood does not wait for all of it, and nobody waits for
    ever.
    """

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app)
        self._lines: OrderedDict[tuple[str, bool], _Line] = OrderedDict()
        self._begun = 0
        self._is_scheduled = False

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in _WITHOUT_TURNS:
            await self._turn(scope)
        await self.app(scope, receive, send)

    async def _turn(self, scope: Scope) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._next_round)
        if not self._lines and self._begun < _BEGIN_AT_ONCE:
            self._begun += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._lines.setdefault((caller_of(scope), scope["method"] in {"GET", "HEAD"}), _Line()).waiting.append(turn)
        await turn

    def _next_round(self) -> None:
        self._begun = 0
        while self._lines and self._begun < _BEGIN_AT_ONCE:
            caller, line = self._lines.popitem(last=False)
            turn = line.next()
            if line.waiting:
                self._lines[caller] = line  # at the end: others first
            if not turn.done():  # its request was not canceled
                turn.set_result(None)
                self._begun += 1
        self._is_scheduled = self._begun > 0
        if self._is_scheduled:
            asyncio.get_running_loop().call_soon(self._next_round)
