"""Large request bodies, received block by block."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect

from wdist_service.errors import RequestError
from wdist_service.http.executors import Executor
from wdist_service.http.middleware import BodyTimeoutError
from wdist_service.storage.files import Incoming, Storage

_BLOCK_BYTES = 1 << 20
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


async def pump(stream: AsyncIterator[bytes], feed: Callable[[memoryview], None], executor: Executor) -> None:
    """Feed a body to the receiver in blocks; one block is checked and written while the next one arrives."""
    work: asyncio.Future[None] | None = None
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in stream:
            chunks.append(chunk)
            size += len(chunk)
            if size >= _BLOCK_BYTES:
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
