"""GET /v1/estimates/{id}/events: follow an estimate by server-sent events.

Events are rows of the database (tables.Event). A listener that reconnects with Last-Event-ID misses nothing, whichever
replica it reaches.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse
from sqlalchemy import select

from wdist_service import tenancy
from wdist_service.estimates.events import EventFeed, Item, format_event
from wdist_service.estimates.schemas import estimate_view
from wdist_service.http.dependencies import IdPath, Services, ServicesDep
from wdist_service.http.problems import responses
from wdist_service.keys.caller import Caller, CallerDep
from wdist_service.tables import TERMINAL, Estimate, Event

router = APIRouter(prefix="/v1/estimates", tags=["estimates"])
_PING_SECONDS = 15.0
_READ_LIMIT = 500
_EVENT = {  # one event of the stream
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "For Last-Event-ID."},
        "event": {"type": "string", "enum": ["status", "progress", "log", "completed"]},
        "data": {"type": "string", "description": "JSON; of completed: the estimate."},
    },
    "required": ["event", "data"],
}


@router.get(
    "/{estimate_id}/events",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "status, progress and log events, then one `completed` with the estimate",
            "content": {"text/event-stream": {"schema": _EVENT}},
        },
        **responses(401, 403, 404, 422, 503),
    },
)
async def get_events(
    estimate_id: IdPath,
    caller: CallerDep,
    services: ServicesDep,
    last_event_id: Annotated[str | None, Header(max_length=40, description="Go on after this event.")] = None,
) -> StreamingResponse:
    """Follow an estimate as server-sent events, from its beginning or from Last-Event-ID."""
    await asyncio.to_thread(_read, services, caller, estimate_id, 0, 1)  # an unknown id is a 404, not an empty stream
    last = int(last_event_id) if last_event_id and last_event_id.isascii() and last_event_id.isdigit() else 0
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    stream = _stream(services, caller, estimate_id, min(last, 1 << 62))
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


async def _stream(services: Services, caller: Caller, estimate_id: str, last: int) -> AsyncIterator[str]:
    yield "retry: 1000\n\n"
    news = services[EventFeed]
    with news.listening(estimate_id):
        while not news.is_closing():
            known = news.after(estimate_id, last)
            estimate, items = None, known or []
            if known is None or any(item.is_end for item in known):
                estimate, items = await asyncio.to_thread(_read, services, caller, estimate_id, last, _READ_LIMIT)
            for item in items:
                last = item.id
                yield item.text
            if estimate is not None and estimate.status in TERMINAL and len(items) < _READ_LIMIT:
                yield format_event("completed", estimate_view(estimate).model_dump_json(), last)
                return
            if not items:
                yield ": still here\n\n"  # keeps proxies from closing the connection, and reveals a lost one
            await news.wait(estimate_id, last, _PING_SECONDS)


def _read(services: Services, caller: Caller, estimate_id: str, last: int, limit: int) -> tuple[Estimate, list[Item]]:
    with services.database.read() as session:
        query = select(Event).where(Event.estimate_id == estimate_id, Event.id > last).order_by(Event.id).limit(limit)
        # Read the estimate first: events read after it include the one for its latest state.
        estimate = tenancy.find(session, Estimate, caller.tenant_id, estimate_id)
        return estimate, [Item.of(event) for event in session.execute(query).scalars()]
