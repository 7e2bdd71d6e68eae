"""Threads for work that blocks: one bounded executor for each kind of work, so that no kind has to wait for another.

A full executor refuses at once, with 503 and Retry-After: whoever waits in line for minutes is better told to come
back. The event loop keeps what takes no time: authentication (keys/known.py), /livez, waiting for events.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal, ParamSpec, TypeVar

from fastapi.routing import APIRoute

from wdist_service.errors import RequestError

P = ParamSpec("P")
Result = TypeVar("Result")
Kind = Literal["reads", "writes", "bodies", "storage", "decoding", "evaluation", "keys", "events", "waits"]
_READING = frozenset({"GET", "HEAD"})


class BusyError(RequestError):
    status, type, title = 503, "busy", "The server is busy"


class Executor:
    """Some threads, and a line of limited length in front of them.

    Args:
        name: what its threads are called.
        threads: how many calls run at once.
        waiting: how many more may wait.
        busy: the sentence for a caller that finds the line full.
        retry_after: seconds after which it is told to try again.
    """

    def __init__(self, name: str, threads: int, waiting: int, busy: str, retry_after: int) -> None:
        self._pool = ThreadPoolExecutor(threads, f"wdist-{name}")
        self._room = threads + waiting
        self._taken = 0
        self._lock = threading.Lock()
        self._busy, self._retry_after = busy, retry_after

    def check(self) -> None:
        """Raise BusyError if the line is full: before a body is received that could only be refused."""
        if self._taken >= self._room:
            raise BusyError(self._busy, retry_after=self._retry_after)

    async def run(self, work: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        """Call `work` in a thread. Raises BusyError if the line is full."""
        self.check()
        return await self.go_on(work, *args, **kwargs)

    async def go_on(self, work: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        """Call `work` in a thread, for a request that was let in before: it waits, however long the line is.

        A request does one thing at a time, so the line is never longer than there are connections.
        """
        with self._lock:
            self._taken += 1
        future = self._pool.submit(functools.partial(work, *args, **kwargs))
        future.add_done_callback(self._leave)
        return await asyncio.wrap_future(future)

    def _leave(self, _: Future[Any]) -> None:
        with self._lock:
            self._taken -= 1

    def close(self) -> None:
        """End the idle threads, and drop what is still waiting."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Executors:
    """The executors of an API process, by the kind of work.

    reads and writes: short statements of the database. bodies: request bodies to the local disk. storage: blobs, which
    may be in a bucket. decoding and evaluation: a thread waits for each child process. keys and events: what this
    process asks the database for all its requests together. waits: what a request reads that has waited for an event;
    a thousand that wake at once must not stand in front of others.
    """

    def __init__(self, decoders: int) -> None:
        later = "too many requests are waiting"
        self._by_kind: dict[Kind, Executor] = {
            "reads": Executor("reads", 8, 256, later, 1),
            "writes": Executor("writes", 8, 256, later, 1),
            "bodies": Executor("bodies", 8, 64, "too many bodies are being received", 2),
            "storage": Executor("storage", 8, 64, "the storage is slow, and too many requests wait for it", 2),
            "decoding": Executor("decoding", decoders, 16 * decoders, "too many uploads wait to be decoded", 5),
            "evaluation": Executor("evaluation", 2, 32, "too many evaluations are waiting", 5),
            "keys": Executor("keys", 2, 64, later, 1),
            "events": Executor("events", 1, 64, later, 1),
            "waits": Executor("waits", 2, 256, later, 1),
        }

    def __getitem__(self, kind: Kind) -> Executor:
        return self._by_kind[kind]

    def close(self) -> None:
        for executor in self._by_kind.values():
            executor.close()


def runs_in(kind: Kind) -> Callable[[Callable[P, Result]], Callable[P, Result]]:
    """Mark a `def` endpoint that is to run in another executor than its method says."""

    def mark(endpoint: Callable[P, Result]) -> Callable[P, Result]:
        endpoint.runs_in = kind  # type: ignore[attr-defined]
        return endpoint

    return mark


class BoundedRoute(APIRoute):
    """A route whose `def` endpoint runs in `reads` or `writes`, by its method, or where `runs_in` says.

    FastAPI would run it in one pool of 40 threads, which all endpoints and dependencies share, with an endless line.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if not (inspect.iscoroutinefunction(endpoint) or inspect.isasyncgenfunction(endpoint)):
            kind: Kind = "reads" if set(options.get("methods") or {"GET"}) <= _READING else "writes"
            endpoint = _in_executor(endpoint, getattr(endpoint, "runs_in", kind))
        super().__init__(path, endpoint, **options)


def _in_executor(endpoint: Callable[P, Result], kind: Kind) -> Callable[P, Coroutine[Any, Any, Result]]:
    """The endpoint as a coroutine function; it finds the executors in its argument `services`."""
    if "services" not in inspect.signature(endpoint).parameters:
        raise TypeError(f"{endpoint.__name__} blocks and has no argument `services`, which has the executors")

    @functools.wraps(endpoint)
    async def bounded(*args: P.args, **kwargs: P.kwargs) -> Result:
        executors: Executors = kwargs["services"].executors  # type: ignore[attr-defined]
        return await executors[kind].run(endpoint, *args, **kwargs)

    return bounded
