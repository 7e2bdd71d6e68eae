"""The web page at /: static files, read once, with a policy that lets them load only each other and this API."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fastapi import APIRouter, Request, Response

from wdist_service.errors import NotFoundError

router = APIRouter(include_in_schema=False)
_DIRECTORY = Path(__file__).resolve().parent
_MEDIA_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
# No inline script or style, no other host, no framing, no markup from strings.
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


class Asset:
    """A file of the page, with its media type and ETag."""

    def __init__(self, body: bytes, suffix: str) -> None:
        self.body = body
        self.media_type = f"{_MEDIA_TYPES[suffix]}; charset=utf-8"
        self.etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'

    def response(self, request: Request) -> Response:
        headers = {**_HEADERS, "ETag": self.etag}
        if self.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(self.body, media_type=self.media_type, headers=headers)


def _read() -> dict[str, Asset]:
    """All assets by name. The page lists every module, so that a browser fetches them all at once."""
    files = {path.name: path.read_bytes() for path in sorted(_DIRECTORY.iterdir()) if path.suffix in _MEDIA_TYPES}
    links = [f'<link rel="modulepreload" href="/page/{name}">' for name in files if name.endswith(".js")]
    files["index.html"] = files["index.html"].replace(b"<!--modules-->", "\n    ".join(links).encode())
    return {name: Asset(body, Path(name).suffix) for name, body in files.items()}


_ASSETS = _read()


@router.api_route("/", methods=["GET", "HEAD"])
async def index(request: Request) -> Response:
    """The page."""
    return _ASSETS["index.html"].response(request)


@router.api_route("/page/{name}", methods=["GET", "HEAD"])
async def asset(name: str, request: Request) -> Response:
    """A part of the page."""
    if name not in _ASSETS or name == "index.html":
        raise NotFoundError("the page has no such part; reload it")
    return _ASSETS[name].response(request)
