"""Deliver new events to the listeners in this process, with one query per poll however many are listening."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from fastapi.sse import ServerSentEvent
from sqlalchemy import func, select

from wdist_service.database import Database
from wdist_service.tables import TERMINAL, Event

_POLL_SECONDS = 0.2
_KEPT = 200


@dataclass(frozen=True)
class Item:
    """One event as listeners receive it. `is_end` marks the event that ends the estimate."""

    id: int
    event: ServerSentEvent
    is_end: bool

    @classmethod
    def of(cls, event: Event) -> Item:
        is_end = event.type == "status" and event.data.get("status") in TERMINAL
        sent = ServerSentEvent(event=event.type, raw_data=json.dumps(event.data), id=str(event.id))
        return cls(event.id, sent, is_end)


@dataclass
class _Feed:
    """The known events of one estimate after event `start`."""

    start: int
    newest: int
    items: list[Item] = field(default_factory=list)

    def add(self, item: Item) -> None:
        self.items.append(item)
        self.newest = item.id
        if len(self.items) > _KEPT:
            self.start = self.items.pop(0).id


class EventFeed:
    """Wakes the listeners of an estimate when it has new events. Each event is read once for all of them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listeners: Counter[str] = Counter()
        self._feeds: dict[str, _Feed] = {}
        self._runner = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self.is_closing: Callable[[], bool] = lambda: False  # set by the process; streams then end, clients reconnect

    @contextlib.contextmanager
    def listening(self, estimate_id: str) -> Iterator[None]:
        """Watch an estimate for the length of the block."""
        self._listeners[estimate_id] += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            self._listeners[estimate_id] -= 1
            if not self._listeners[estimate_id]:
                del self._listeners[estimate_id]
                self._feeds.pop(estimate_id, None)

    def after(self, estimate_id: str, last: int) -> list[Item] | None:
        """Known events after `last`; None when some may have to be read from the database."""
        feed = self._feeds.get(estimate_id)
        if feed is None or last < feed.start:
            return None
        return [item for item in feed.items if item.id > last]

    async def wait(self, estimate_id: str, last: int, seconds: float) -> None:
        """Wait for an event after `last`, until the server closes or the timeout passes."""

        def is_new() -> bool:
            feed = self._feeds.get(estimate_id)
            return self.is_closing() or (feed is not None and feed.newest > last)

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._runner:
                await self._runner.wait_for(is_new)

    async def _watch(self) -> None:
        while self._listeners:
            known = {estimate_id: feed.newest for estimate_id, feed in self._feeds.items()}
            with contextlib.suppress(Exception):  # if the database is down, the listeners' own reads report it
                begun, found = await asyncio.to_thread(self._look, list(self._listeners), known)
                self._take(begun, found)
            async with self._runner:
                self._runner.notify_all()
            await asyncio.sleep(_POLL_SECONDS)

    def _take(self, begun: dict[str, int], found: list[tuple[str, Item]]) -> None:
        for estimate_id, newest in begun.items():
            if estimate_id in self._listeners:
                self._feeds.setdefault(estimate_id, _Feed(newest, newest))
        for estimate_id, item in found:
            feed = self._feeds.get(estimate_id)
            if feed is not None and item.id > feed.newest:
                feed.add(item)

    def _look(self, wanted: list[str], known: dict[str, int]) -> tuple[dict[str, int], list[tuple[str, Item]]]:
        """The latest event id of each newly watched estimate, and the new events of the others."""
        fresh = [estimate_id for estimate_id in wanted if estimate_id not in known]
        begun, found = dict.fromkeys(fresh, 0), []
        with self._database.read() as session:
            if known:
                query = select(Event).where(Event.job_id.in_(known), Event.id > min(known.values())).order_by(Event.id)
                for event in session.execute(query).scalars():
                    if event.id > known[event.job_id]:
                        found.append((event.job_id, Item.of(event)))
            if fresh:
                newest = select(Event.job_id, func.max(Event.id)).where(Event.job_id.in_(fresh))
                begun |= {row[0]: row[1] for row in session.execute(newest.group_by(Event.job_id))}
        return begun, found
