"""Send requests over HTTP. This is the only module that uses httpx."""

from __future__ import annotations

import asyncio
import ipaddress
import platform
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx

from wdist_client.errors import APIConnectionError, APITimeoutError, WdistError
from wdist_client.requests import Request, Response, Upload

_KEY = re.compile(r"[\w.~-]+", re.ASCII)


class Transport:
    """HTTP connections of the sync client."""

    def __init__(self, base_url: str, api_key: str | None, timeout: float) -> None:
        self.base_url = base_url
        self._http = httpx.Client(
            base_url=base_url, headers=_headers(api_key), timeout=_timeout(timeout), trust_env=not is_loopback(base_url)
        )

    def perform(self, request: Request) -> Response:
        """Sends once; raises APIConnectionError where no answer came."""
        content = request.content.blocks() if isinstance(request.content, Upload) else request.content
        with _translated(self.base_url):
            answer = self._http.request(
                request.method, request.path, params=request.params, headers=request.headers, content=content
            )
        return Response(answer.status_code, answer.headers, answer.content)

    def lines(self, request: Request) -> Iterator[str]:
        """The lines of an answer that goes on; raises APIStatusError, and APIConnectionError where it breaks."""
        with (
            _translated(self.base_url),
            self._http.stream(request.method, request.path, headers=request.headers) as answer,
        ):
            if answer.status_code >= 400:
                raise Response(answer.status_code, answer.headers, answer.read()).error()
            yield from answer.iter_lines()

    def close(self) -> None:
        self._http.close()


class AsyncTransport:
    """HTTP connections of the async client; belongs to one event loop."""

    def __init__(self, base_url: str, api_key: str | None, timeout: float) -> None:
        self.base_url = base_url
        self._http = httpx.AsyncClient(
            base_url=base_url, headers=_headers(api_key), timeout=_timeout(timeout), trust_env=not is_loopback(base_url)
        )

    async def perform(self, request: Request) -> Response:
        """Sends once; raises APIConnectionError where no answer came."""
        content = _in_thread(request.content.blocks()) if isinstance(request.content, Upload) else request.content
        with _translated(self.base_url):
            answer = await self._http.request(
                request.method, request.path, params=request.params, headers=request.headers, content=content
            )
        return Response(answer.status_code, answer.headers, answer.content)

    async def lines(self, request: Request) -> AsyncIterator[str]:
        """The lines of an answer that goes on; raises APIStatusError, and APIConnectionError where it breaks."""
        with _translated(self.base_url):
            async with self._http.stream(request.method, request.path, headers=request.headers) as answer:
                if answer.status_code >= 400:
                    raise Response(answer.status_code, answer.headers, await answer.aread()).error()
                async for line in answer.aiter_lines():
                    yield line

    async def close(self) -> None:
        await self._http.aclose()


async def _in_thread(blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Reads the next block in a thread: a slow disk must not stop the event loop."""
    while block := await asyncio.to_thread(next, blocks, b""):
        yield block


def is_loopback(base_url: str) -> bool:
    """Whether the server is on this machine, so that proxies from the environment do not apply."""
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _headers(api_key: str | None) -> dict[str, str]:
    from wdist_client import __version__

    headers = {
        "User-Agent": f"wdist-client/{__version__} python/{platform.python_version()}",
        "Accept": "application/json",
    }
    if api_key and (api_key := api_key.strip()):
        if not _KEY.fullmatch(api_key):
            # Never show the key: it may be a secret, or a file given by mistake.
            raise WdistError("the API key is not one word of letters, digits and _ - . ~: copy it again")
        headers["Authorization"] = f"Bearer {api_key}"
    return headers


def _timeout(seconds: float) -> httpx.Timeout:
    """Allow `seconds` of silence, and at most 5 s to connect."""
    return httpx.Timeout(seconds, connect=min(seconds, 5.0))


@contextmanager
def _translated(base_url: str) -> Iterator[None]:
    """Translates errors of httpx into those of the client."""
    try:
        yield
    except httpx.ConnectError as error:
        hint = (
            "start one with `wdist serve`, or set WDIST_BASE_URL to where it runs"
            if is_loopback(base_url)
            else "check the address, the network and that the server runs"
        )
        raise APIConnectionError(f"no wdist server at {base_url}: {hint} ({error})") from error
    except httpx.TimeoutException as error:
        raise APITimeoutError(
            f"{base_url} did not answer in time ({type(error).__name__}): try again, or give Client(timeout=...)"
        ) from error
    except httpx.TransportError as error:
        raise APIConnectionError(f"the connection to {base_url} broke: {error or type(error).__name__}") from error
