"""Routes whose endpoints block in the executor that is for them, and not in the threads that FastAPI shares."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from fastapi import Request, Response
from fastapi.routing import APIRoute

from wdist_service.http.bodies import JsonMemory, JsonRequest
from wdist_service.http.executors import Executors, Kind

P = ParamSpec("P")
Result = TypeVar("Result")
_READING = frozenset({"GET", "HEAD"})


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

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def handle_json(request: Request) -> Response:
            services = request.app.state.services
            read = JsonRequest(request.scope, request.receive, services[JsonMemory], services.executors)
            try:
                return await handle(read)
            finally:
                read.release()

        return handle_json


def _in_executor(endpoint: Callable[P, Result], kind: Kind) -> Callable[P, Coroutine[Any, Any, Result]]:
    """The endpoint as a coroutine function; it finds the executors in its argument `services`."""
    if "services" not in inspect.signature(endpoint).parameters:
        raise TypeError(f"{endpoint.__name__} blocks and has no argument `services`, which has the executors")

    @functools.wraps(endpoint)
    async def bounded(*args: P.args, **kwargs: P.kwargs) -> Result:
        executors: Executors = kwargs["services"].executors  # type: ignore[attr-defined]
        return await executors[kind].run(endpoint, *args, **kwargs)

    return bounded
