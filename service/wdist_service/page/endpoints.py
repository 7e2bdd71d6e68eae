"""The web page at /: static files. Its security policy allows only these files and this API.

Its addresses are relative, so that it also works where a proxy serves it under a path.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import re
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.staticfiles import NotModifiedResponse, PathLike, StaticFiles
from starlette.types import Scope

from wdist_service.errors import NotFoundError

router = APIRouter(include_in_schema=False)
_DIRECTORY = Path(__file__).resolve().parent
_COMMENT = re.compile(rb"^ *(//.*|/\*[^*]*(\*(?!/)[^*]*)*\*/)$|(?<=[;{},()[]) +//.*$", re.MULTILINE)
_INDENT = re.compile(rb"^ +|(`[^`]*`)", re.MULTILINE)
_MEDIA_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
# No inline scripts or styles, no other hosts, no framing, no HTML from strings.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",
}


class PageFiles(StaticFiles):
    """The page's files with their headers, packed. An ETag is of the content: files of a package may share a time."""

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        if Path(path).suffix not in _MEDIA_TYPES:
            return "", None
        found = super().lookup_path(path)
        if found[1] is not None:
            _packed(Path(found[0]))  # made here, in a thread, for `file_response`, which the event loop calls
        return found

    def file_response(
        self, full_path: PathLike, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        path = Path(full_path)
        body = _body(path)
        headers = {**_HEADERS, "Vary": "Accept-Encoding", "ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"'}
        if "gzip" in Headers(scope=scope).get("accept-encoding", ""):
            body = _packed(path)
            headers |= {"Content-Encoding": "gzip", "ETag": f'{headers["ETag"][:-1]}-gzip"'}
        response = Response(body, status_code, headers, f"{_MEDIA_TYPES[path.suffix]}; charset=utf-8")
        if not self.is_not_modified(response.headers, Headers(scope=scope)):
            return response
        unchanged = NotModifiedResponse(response.headers)
        unchanged.headers.update(_HEADERS)  # browsers put them in place of those that came with their copy
        return unchanged


@cache
def _body(path: Path) -> bytes:
    """What is sent of a file. The page itself preloads every module, so that browsers fetch them in parallel: those of
    the start page first, which waits for nothing else.

    Comments and indentation are for those who read the file. Their lines are sent empty, which keeps the numbers of the
    others; what stands in a template is sent as it is.
    """
    if path.suffix in (".js", ".css"):
        bare = _COMMENT.sub(lambda found: b"\n" * found[0].count(b"\n"), path.read_bytes())
        return _INDENT.sub(lambda found: found[1] or b"", bare)
    needed = _imported("main.js") if path.suffix == ".html" else []
    others = sorted({module.name for module in _DIRECTORY.glob("*.js")} - set(needed))
    links = [f'<link rel="modulepreload" href="page/{name}">' for name in needed]
    links += [f'<link rel="modulepreload" href="page/{name}" fetchpriority="low">' for name in others]
    return path.read_bytes().replace(b"<!--modules-->", "\n    ".join(links).encode())


@cache
def _packed(path: Path) -> bytes:
    return gzip.compress(_body(path), mtime=0)


def _imported(first: str) -> list[str]:
    """A module and those that it imports at once, directly or by others; not those that a view brings when it opens."""
    found = [first]
    for name in found:
        text = (_DIRECTORY / name).read_text("utf-8")
        found += [each for each in re.findall(r'^import .*from "\./([\w.]+)"', text, re.MULTILINE) if each not in found]
    return found


_FILES = PageFiles(directory=_DIRECTORY)


@router.api_route("/", methods=["GET", "HEAD"])
async def index(request: Request) -> Response:
    """The page."""
    return await _FILES.get_response("index.html", request.scope)


@router.api_route("/page/{name}", methods=["GET", "HEAD"])
async def asset(name: str, request: Request) -> Response:
    """A part of the page."""
    with contextlib.suppress(HTTPException):
        if name != "index.html":
            return await _FILES.get_response(name, request.scope)
    raise NotFoundError("the page has no such part; reload it")
