"""Responses that are stored files, with Range, ETag and 304."""

from __future__ import annotations

import contextlib
from typing import Any

from fastapi import Request, Response
from fastapi.responses import FileResponse
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from wdist_service.http.problems import responses
from wdist_service.storage.damage import AGAIN, damage_of
from wdist_service.storage.files import Storage

_BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": _BINARY},
    206: {"description": "The bytes of Range", "content": _BINARY},
    304: {"description": "The caller's copy (If-None-Match) is still right"},
    **responses(404, 409, 416, 422),
}


class Download(FileResponse):
    """A file, read in blocks of the size that the connection asks for (a slow reader holds two), while it is there."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_on(message: Message) -> None:
            if scope.get(
                "is_gone", bool
            )():  # uvicorn drops what is sent then: the rest of the file would be read in vain
                raise ClientDisconnect
            await send(message)

        self.chunk_size = scope.get("block_bytes", self.chunk_size)
        with contextlib.suppress(ClientDisconnect):
            await super().__call__(scope, receive, send_on)


def stored_file(
    request: Request, storage: Storage, sha256: str, filename: str, *, what: str, remedy: str = AGAIN
) -> Response:
    """A blob as a download; its ETag is its sha256. Raises DamagedError, which says `what` is damaged, and a remedy."""
    etag = f'"{sha256}"'
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers={"ETag": etag})
    media_type = "application/json" if filename.endswith(".json") else "application/octet-stream"
    with damage_of(what, remedy):
        path = storage.path(sha256)
    return Download(path, media_type=media_type, filename=filename, headers={"ETag": etag})
