"""GET /v1/estimates/{id}/events: follow an estimate by server-sent events; `stream` is for jobs of any kind.

Events are rows of the database (tables.Event). A listener that reconnects with Last-Event-ID misses nothing, whichever
replica it reaches.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from sqlalchemy import select
from sqlalchemy.orm import Session

from wdist_service import tenancy
from wdist_service.errors import NotFoundError
from wdist_service.estimates.events import EventFeed, Item
from wdist_service.estimates.schemas import estimate_view
from wdist_service.http.dependencies import IdPath, Services, ServicesDep
from wdist_service.http.problems import responses
from wdist_service.keys.caller import Caller, CallerDep, is_still_allowed
from wdist_service.tables import TERMINAL, Estimate, Event

router = APIRouter(prefix="/v1/estimates", tags=["estimates"])
_WAIT_SECONDS = 1.0  # between two looks at whether the listener's key is still valid
_PING_SECONDS = 15.0  # of silence; proxies and clients close a connection that is silent for long
_READ_LIMIT = 500
_EVENT = {  # one event of the stream
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "For Last-Event-ID."},
        "event": {"type": "string", "enum": ["status", "progress", "log", "completed"]},
        "data": {"type": "string", "description": "JSON; of completed: the job."},
        "retry": {"type": "integer", "minimum": 0},
    },
    "required": ["event", "data"],
}


class EventStream(StreamingResponse):
    """Not FastAPI's EventSourceResponse, which runs three tasks for each listener and renders each event for each."""

    media_type = "text/event-stream"


async def last_seen(
    last_event_id: Annotated[str | None, Header(max_length=40, description="Go on after this event.")] = None,
) -> int:
    """The event to go on after; 0, the beginning, for an id that is none of ours."""
    is_number = last_event_id is not None and last_event_id.isascii() and last_event_id.isdigit()
    return min(int(last_event_id or 0), 1 << 62) if is_number else 0


STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "status, progress and log events, then one `completed` with the job",
        "content": {"text/event-stream": {"itemSchema": _EVENT}},
    }
}


@router.get(
    "/{estimate_id}/events", response_class=EventStream, responses={**STREAM, **responses(401, 403, 404, 422, 503)}
)
async def get_events(
    estimate_id: IdPath, caller: CallerDep, services: ServicesDep, last: Annotated[int, Depends(last_seen)]
) -> EventStream:
    """Follow an estimate as server-sent events, from its beginning or from Last-Event-ID."""

    def read(session: Session) -> Completed:
        row = tenancy.find(session, Estimate, caller.tenant_id, estimate_id)
        return Completed(row.status in TERMINAL, lambda: estimate_view.json(row))

    return await stream(services, caller, estimate_id, last, read)


@dataclass(frozen=True)
class Completed:
    """Whether a job has ended, and its view as JSON."""

    has_ended: bool
    view: Callable[[], str]


async def stream(
    services: Services, caller: Caller, job_id: str, last: int, read: Callable[[Session], Completed]
) -> EventStream:
    """The events of a job after `last`, then its view. `read` raises NotFoundError if the caller has no such job."""
    # Before the response begins: in the stream it is too late for a 404, or a 503.
    await services.executors["waits"].run(_read, services, job_id, 0, 1, read)
    return EventStream(_stream(services, caller, job_id, last, read), headers={"X-Accel-Buffering": "no"})


async def _stream(
    services: Services, caller: Caller, job_id: str, last: int, read: Callable[[Session], Completed]
) -> AsyncIterator[bytes]:
    """The bytes of the stream; what is known goes out together, and each event is rendered once for all listeners."""
    yield format_sse_event(retry=1000)
    events, waits = services[EventFeed], services.executors["waits"]
    sent_at = time.monotonic()
    with events.listening(job_id):
        while not events.is_closing() and await is_still_allowed(services, caller):
            known = events.after(job_id, last)
            job, items = None, known or []
            if known is None or events.has_ended(job_id) or any(item.is_end for item in known):
                try:
                    job, items = await waits.go_on(_read, services, job_id, last, _READ_LIMIT, read)
                except NotFoundError:  # deleted meanwhile
                    return
            if items:
                last, sent_at = items[-1].id, time.monotonic()
                yield b"".join(item.sent for item in items)
            if job is not None and job.has_ended and len(items) < _READ_LIMIT:
                yield format_sse_event(event="completed", data_str=job.view(), id=str(last))
                return
            if time.monotonic() - sent_at > _PING_SECONDS:
                sent_at = time.monotonic()
                yield format_sse_event(comment="ping")
            await events.wait(job_id, last, _WAIT_SECONDS)


def _read(
    services: Services, job_id: str, last: int, limit: int, read: Callable[[Session], Completed]
) -> tuple[Completed, list[Item]]:
    with services.database.read() as session:
        query = select(Event).where(Event.job_id == job_id, Event.id > last).order_by(Event.id).limit(limit)
        # Read the job first: events read after it include the one for its latest state.
        job = read(session)
        return job, [Item.of(event) for event in session.execute(query).scalars()]
