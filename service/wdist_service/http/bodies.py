"""Request bodies: large ones are received block by block, JSON into memory, of which all together take little."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from wdist_service.errors import RequestError
from wdist_service.http.executors import BusyError, Executor, Executors
from wdist_service.http.middleware import BodyTimeoutError
from wdist_service.storage.files import Incoming, Storage

_BLOCK_BYTES = 1 << 20
_MOST_BLOCKS_BYTES = 32 << 20  # of all bodies that are being received: many of them get smaller blocks
_MOST_JSON_BYTES = 32 << 20  # of long bodies, in memory at the same time
_LONG_JSON_BYTES = 64 << 10  # shorter ones are parsed in less than a millisecond, and always find room
_LEAST_BLOCK_BYTES = 32 << 10
_SMALL_BYTES = 64 << 10  # smaller chunks are joined: each costs a call of the receiver


class BrokenBodyError(RequestError):
    """The connection ended inside the body; nobody is left to read the response."""

    status, type, title = 400, "broken_body", "The body ended before it was complete"


@asynccontextmanager
async def incoming(storage: Storage, executor: Executor) -> AsyncIterator[Incoming]:
    """A file for a body, removed at the end of the block unless it was stored. Raises BusyError and DiskFullError."""
    file = await executor.run(storage.incoming)
    try:
        yield file
    except BaseException as error:
        await executor.go_on(file.__exit__, type(error), error, error.__traceback__)
        raise
    await executor.go_on(file.__exit__, None, None, None)


def _feed_all(feed: Callable[[memoryview], None], chunks: list[bytes]) -> None:
    if len(chunks) > _BLOCK_BYTES // _SMALL_BYTES:
        chunks = [b"".join(chunks)]
    for chunk in chunks:
        if chunk:
            feed(memoryview(chunk))


class _Blocks:
    """How much of each body is collected in memory before it is written."""

    def __init__(self) -> None:
        self._bodies = 0

    @property
    def bytes(self) -> int:
        """A thousand senders may all pause before the end of a block."""
        return max(_LEAST_BLOCK_BYTES, min(_BLOCK_BYTES, _MOST_BLOCKS_BYTES // max(1, self._bodies)))

    @contextmanager
    def one_more(self) -> Iterator[None]:
        self._bodies += 1
        try:
            yield
        finally:
            self._bodies -= 1


_blocks = _Blocks()


async def pump(stream: AsyncIterator[bytes], feed: Callable[[memoryview], None], executor: Executor) -> None:
    """Feed a body to the receiver in blocks; one block is checked and written while the next one arrives."""
    with _blocks.one_more():
        await _pump(stream, feed, executor)


async def _pump(stream: AsyncIterator[bytes], feed: Callable[[memoryview], None], executor: Executor) -> None:
    work: asyncio.Future[None] | None = None
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in stream:
            chunks.append(chunk)
            size += len(chunk)
            if size >= _blocks.bytes:
                if work is not None:
                    await work
                work = asyncio.ensure_future(executor.go_on(_feed_all, feed, chunks))
                chunks, size = [], 0
        if work is not None:
            await work
        work = None
        if size:
            await executor.go_on(_feed_all, feed, chunks)
    except (ClientDisconnect, BodyTimeoutError) as error:
        if work is not None:
            await work
            work = None
        if size:  # what has arrived may be kept
            await executor.go_on(_feed_all, feed, chunks)
        if isinstance(error, BodyTimeoutError):
            raise
        raise BrokenBodyError("send it again", field="body") from None
    finally:
        if work is not None:  # never leave a thread writing to a file that is about to be removed
            await asyncio.wait([work])
            work.exception()


class JsonMemory:
    """How many bytes of long bodies an API process holds."""

    def __init__(self) -> None:
        self.taken = 0

    def take(self, size: int) -> None:
        """Raises BusyError if there is no room for so many more."""
        if self.taken + size > _MOST_JSON_BYTES:
            raise BusyError("too many long bodies are being received; try again in 1 s", retry_after=1)
        self.taken += size


class JsonRequest(Request):
    """A request whose body FastAPI reads and parses: a long one in a thread, and only if there is room for it."""

    def __init__(self, scope: Scope, receive: Receive, memory: JsonMemory, executors: Executors) -> None:
        super().__init__(scope, receive)
        self._memory, self._executors = memory, executors
        self._held = 0

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            chunks, size = [], 0
            async for chunk in self.stream():
                chunks.append(chunk)
                size += len(chunk)
                if size > _LONG_JSON_BYTES:
                    self._memory.take(size - self._held)
                    self._held = size
            self._body = b"".join(chunks)
        return self._body

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            body = await self.body()
            is_long = len(body) > _LONG_JSON_BYTES
            self._json = await self._executors["parsing"].go_on(json.loads, body) if is_long else json.loads(body)
        return self._json

    def release(self) -> None:
        """Give the room back."""
        self._memory.taken -= self._held
        self._held = 0
