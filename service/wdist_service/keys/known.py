"""The keys that requests bring, remembered: authentication then needs neither a thread nor the database.

A key that is revoked elsewhere (on the command line, or by another replica) is refused after OLDEST_SECONDS at most.
"""

from __future__ import annotations

import asyncio
import time

from sqlalchemy.exc import DatabaseError

from wdist_service.http.executors import Executor
from wdist_service.keys.service import Keys
from wdist_service.tables import ApiKey

OLDEST_SECONDS = 2.0  # what is older is not used
_FRESH_SECONDS = 1.0  # what is older is used, and read again meanwhile
_MOST_KEYS = 10_000


class KnownKeys:
    """The keys that were used in the last seconds, read again with one query for all of them.

    Its coroutines raise DatabaseError while the database is down, and BusyError when too many unknown keys come.
    """

    def __init__(self, keys: Keys, executor: Executor) -> None:
        self._keys = keys
        self._executor = executor
        self._known: dict[str, ApiKey] = {}  # by digest
        self._used: set[str] = set()
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    @property
    def may_be_open(self) -> bool:
        """False once the server is known to have a key; True may be OLDEST_SECONDS late, or more on an idle server."""
        self._refresh_soon()
        return self._keys.may_be_open

    async def is_open(self) -> bool:
        """Whether no key was ever created."""
        if self._keys.may_be_open:
            await self._refreshed()
        return self._keys.may_be_open

    def digest(self, token: str) -> str:
        """What a key is known by here."""
        return self._keys.digest(token)

    async def find(self, digest: str, *, was_let_in: bool = False) -> ApiKey | None:
        """The valid key with this digest. A request that was let in before is not refused because others wait."""
        await self._refreshed()
        self._used.add(digest)
        key = self._known.get(digest)
        look = self._executor.go_on if was_let_in else self._executor.run
        if key is None and (key := await look(self._keys.find, digest)) is not None:
            if len(self._known) >= _MOST_KEYS:
                self._known.clear()
            self._known[digest] = key
        return key

    def forget(self) -> None:
        """Read all keys again before the next request: this process has changed one."""
        self._known.clear()
        self._read_at = float("-inf")

    async def _refreshed(self) -> None:
        self._refresh_soon()
        if time.monotonic() - self._read_at > OLDEST_SECONDS and self._reading is not None:
            await asyncio.shield(self._reading)  # others wait for it too

    def _refresh_soon(self) -> None:
        is_reading = self._reading is not None and not self._reading.done()
        if not is_reading and time.monotonic() - self._read_at > _FRESH_SECONDS:
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(_look_at_error)

    async def _read(self) -> None:
        started, before = time.monotonic(), list(self._known)
        used, self._used = self._used.intersection(before), set()
        valid = await self._executor.go_on(self._keys.find_all, used)
        for digest in before:  # revoked, or not used for a second: dropped
            if self._known.pop(digest, None) is not None and digest in valid:
                self._known[digest] = valid[digest]
        self._read_at = started


def _look_at_error(task: asyncio.Task[None]) -> None:
    """Take note of an error that nobody waits for; the next request meets it itself."""
    if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, DatabaseError):
        raise error
