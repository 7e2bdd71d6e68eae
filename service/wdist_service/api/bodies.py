"""Large bodies, taken block by block."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from starlette.requests import ClientDisconnect

from wdist_service.api.middleware import BodyTimeoutError
from wdist_service.errors import RequestError

_BLOCK_BYTES = 1 << 20


class BrokenBodyError(RequestError):
    """The connection ended inside the body; nobody is there to read the answer."""

    status, type, title = 400, "broken_body", "The body ended before it was complete"


async def pump(stream: AsyncIterator[bytes], feed: Callable[[memoryview], None]) -> None:
    """Feed a body to the receiver in blocks; one block is checked and written while the next one arrives."""
    work: asyncio.Future[None] | None = None
    buffer = bytearray()
    try:
        async for chunk in stream:
            buffer += chunk
            if len(buffer) >= _BLOCK_BYTES:
                if work is not None:
                    await work
                work = asyncio.ensure_future(asyncio.to_thread(feed, memoryview(buffer)))
                buffer = bytearray()
        if work is not None:
            await work
        work = None
        if buffer:
            await asyncio.to_thread(feed, memoryview(buffer))
    except (ClientDisconnect, BodyTimeoutError) as error:
        if work is not None:
            await work
            work = None
        if buffer:  # what came may count
            await asyncio.to_thread(feed, memoryview(buffer))
        if isinstance(error, BodyTimeoutError):
            raise
        raise BrokenBodyError("send it again", field="body") from None
    finally:
        if work is not None:  # never leave a thread writing to a file that is about to be removed
            await asyncio.wait([work])
            work.exception()
