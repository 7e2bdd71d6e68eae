"""Tell the listeners in this process what happens to their jobs, with one query per poll however many are listening."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from fastapi.sse import ServerSentEvent
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wdist_service.database import Database
from wdist_service.http.executors import Executor
from wdist_service.tables import TERMINAL, Batch, Estimate, Event, Job

_POLL_SECONDS = 0.2
_KEPT = 200


@dataclass(frozen=True)
class Item:
    """One event as listeners receive it. `is_end` marks the event that ends the job."""

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
    """The known events of one job after event `start`."""

    start: int
    newest: int
    items: list[Item] = field(default_factory=list)

    def add(self, item: Item) -> None:
        self.items.append(item)
        self.newest = item.id
        if len(self.items) > _KEPT:
            self.start = self.items.pop(0).id


@dataclass
class _News:
    """What one poll found: the newest event of each job that is new to the feed, new events, and unfinished jobs."""

    begun: dict[str, int]
    items: list[tuple[str, Item]]
    unfinished: set[str]


class EventFeed:
    """Wakes the listeners of a job when it has new events or has ended. Each event is read once for all of them."""

    def __init__(self, database: Database, executor: Executor) -> None:
        self._database = database
        self._executor = executor
        self._listeners: Counter[str] = Counter()
        self._feeds: dict[str, _Feed] = {}
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._unfinished: set[str] | None = None
        self._task: asyncio.Task[None] | None = None
        self.is_closing: Callable[[], bool] = lambda: False  # set by the process; streams then end, clients reconnect

    @contextlib.contextmanager
    def listening(self, job_id: str) -> Iterator[None]:
        """Watch a job for the length of the block."""
        self._listeners[job_id] += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            self._listeners[job_id] -= 1
            if not self._listeners[job_id]:
                del self._listeners[job_id]
                self._feeds.pop(job_id, None)

    def after(self, job_id: str, last: int) -> list[Item] | None:
        """Known events after `last`; None when some may have to be read from the database."""
        feed = self._feeds.get(job_id)
        if feed is None or last < feed.start:
            return None
        return [item for item in feed.items if item.id > last]

    def has_ended(self, job_id: str) -> bool:
        """Whether a watched job was found to have ended, or to be gone."""
        return job_id in self._feeds and self._unfinished is not None and job_id not in self._unfinished

    async def wait(self, job_id: str, last: int, seconds: float) -> None:
        """Wait for an event after `last`, for the end of the job, for the server to close, or for the time to pass."""
        feed = self._feeds.get(job_id)
        if self.is_closing() or (feed is not None and feed.newest > last) or self.has_ended(job_id):
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job_id, set()).add(waiter)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await waiter
        finally:
            self._waiting[job_id].discard(waiter)
            if not self._waiting[job_id]:
                del self._waiting[job_id]

    async def ended(self, job_id: str, seconds: float) -> bool:
        """Wait for a job to end, for the server to close, or for the time to pass; returns whether it has ended.

        Callers must be `listening` to it. A job that is deleted has ended.
        """
        last, deadline = 0, time.monotonic() + seconds
        while not self.has_ended(job_id) and (left := deadline - time.monotonic()) > 0 and not self.is_closing():
            await self.wait(job_id, last, left)
            feed = self._feeds.get(job_id)
            last = last if feed is None else feed.newest
        return self.has_ended(job_id)

    async def _watch(self) -> None:
        while self._listeners:
            known = {job_id: feed.newest for job_id, feed in self._feeds.items()}
            looking = asyncio.ensure_future(self._executor.go_on(self._look, list(self._listeners), known))
            while not looking.done():
                await asyncio.wait({looking}, timeout=_POLL_SECONDS)
                self._wake_if_closing()
            if looking.exception() is None:  # if the database is down, the listeners' own reads report it
                self._wake(self._take(looking.result()))
            await asyncio.sleep(_POLL_SECONDS)
            self._wake_if_closing()

    def _take(self, news: _News) -> set[str]:
        """Keep the news; returns the jobs that there is something new of."""
        self._unfinished = news.unfinished
        for job_id, newest in news.begun.items():
            if job_id in self._listeners:
                self._feeds.setdefault(job_id, _Feed(newest, newest))
        for job_id, item in news.items:
            feed = self._feeds.get(job_id)
            if feed is not None and item.id > feed.newest:
                feed.add(item)
        ended = self._feeds.keys() - news.unfinished
        return ended | news.begun.keys() | {job_id for job_id, _ in news.items}

    def _wake_if_closing(self) -> None:
        if self.is_closing():
            self._wake(set(self._waiting))

    def _wake(self, jobs: set[str]) -> None:
        for job_id in jobs & self._waiting.keys():
            for waiter in self._waiting[job_id]:
                if not waiter.done():
                    waiter.set_result(None)

    def _look(self, wanted: list[str], known: dict[str, int]) -> _News:
        """The latest event id of each newly watched job, the new events of the others, and which have not ended."""
        fresh = [job_id for job_id in wanted if job_id not in known]
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
            return _News(begun, found, self._unfinished_of(session, wanted))

    def _unfinished_of(self, session: Session, wanted: list[str]) -> set[str]:
        """Those of the jobs and batches that exist and have not ended."""
        open_jobs = select(Job.id).where(Job.id.in_(wanted), Job.finished_at.is_(None))
        found = set(session.execute(open_jobs).scalars())
        if batches := [name for name in wanted if name.startswith(f"{Batch.prefix}_")]:
            members = select(Estimate.id).where(Estimate.batch_id == Batch.id, Estimate.finished_at.is_(None))
            is_open = select(Batch.id).where(Batch.id.in_(batches), members.exists())
            found |= set(session.execute(is_open).scalars())
        return found
