"""Who listens to which estimate in this process, and waking them: one query per turn, however many listen."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator

from sqlalchemy import func, select

from wdist_service.database import Database
from wdist_service.models import Event

_POLL_SECONDS = 0.2


class News:
    """Wakes those who listen to an estimate when it has new events."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listeners: Counter[str] = Counter()
        self._newest: dict[str, int] = {}
        self._turn = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self.is_closing: Callable[[], bool] = lambda: False  # set by the process: streams end, listeners come back

    @contextlib.contextmanager
    def listening(self, estimate_id: str) -> Iterator[None]:
        """Have an estimate watched."""
        self._listeners[estimate_id] += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            self._listeners[estimate_id] -= 1
            if not self._listeners[estimate_id]:
                del self._listeners[estimate_id]
                self._newest.pop(estimate_id, None)

    async def after(self, estimate_id: str, last: int, seconds: float) -> None:
        """Return when there may be an event after `last`, when the server is closing, or after that many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._turn:
                await self._turn.wait_for(lambda: self.is_closing() or self._newest.get(estimate_id, 0) > last)

    async def _watch(self) -> None:
        while self._listeners:
            with contextlib.suppress(Exception):  # a database that is away: the listeners' own reads will say so
                self._newest = await asyncio.to_thread(self._look, list(self._listeners))
            async with self._turn:
                self._turn.notify_all()
            await asyncio.sleep(_POLL_SECONDS)

    def _look(self, estimate_ids: list[str]) -> dict[str, int]:
        query = (
            select(Event.estimate_id, func.max(Event.id))
            .where(Event.estimate_id.in_(estimate_ids))
            .group_by(Event.estimate_id)
        )
        with self._database.read() as session:
            return {row[0]: row[1] for row in session.execute(query)}
