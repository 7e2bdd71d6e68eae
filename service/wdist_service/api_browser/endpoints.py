"""The API browser at /docs. Swagger UI comes with the server, so a browser asks no other host for anything.

Its addresses are relative, so that it also works where a proxy serves it under a path.
"""

from __future__ import annotations

import mimetypes
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles

router = APIRouter(include_in_schema=False)
_FILES = StaticFiles(directory=Path(__file__).resolve().parent / "static")
mimetypes.init()  # it reads files, which the event loop would do at the first request
_METHODS = ["GET", "HEAD"]
_HEADERS = {
    # Its icons are data: URLs. It builds HTML from Markdown, which trusted types would refuse; DOMPurify cleans that.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-cache",
}


@router.api_route("/docs/", methods=_METHODS)
async def without_slash() -> Response:
    """Relative addresses of the page begin beside it, so that it has one address only."""
    return RedirectResponse("../docs")


@router.api_route("/docs", methods=_METHODS)
@router.api_route("/docs/{path:path}", methods=_METHODS)
async def api_browser(request: Request) -> Response:
    """The API browser, or a part of it."""
    response = await _FILES.get_response(request.path_params.get("path") or "index.html", request.scope)
    response.headers.update(_HEADERS)
    return response
