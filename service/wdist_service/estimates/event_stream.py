"""GET /v1/estimates/{id}/events: follow an estimate by server-sent events.

Events are rows of the database (tables.Event). A listener that reconnects with Last-Event-ID misses nothing, whichever
replica it reaches.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy import select

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


def last_seen(
    last_event_id: Annotated[str | None, Header(max_length=40, description="Go on after this event.")] = None,
) -> int:
    """The event to go on after; 0, the beginning, for an id that is none of ours."""
    is_number = last_event_id is not None and last_event_id.isascii() and last_event_id.isdigit()
    return min(int(last_event_id or 0), 1 << 62) if is_number else 0


async def check_estimate(estimate_id: IdPath, caller: CallerDep, services: ServicesDep) -> None:
    """Raise NotFoundError for an unknown id, before the response begins: in the stream it is too late for a 404."""
    await services.executors["reads"].run(_read, services, caller, estimate_id, 0, 1)


@router.get(
    "/{estimate_id}/events",
    response_class=EventSourceResponse,
    dependencies=[Depends(check_estimate)],
    responses={
        200: {
            "description": "status, progress and log events, then one `completed` with the estimate",
            "content": {"text/event-stream": {"itemSchema": _EVENT}},
        },
        **responses(401, 403, 404, 422, 503),
    },
)
async def get_events(
    estimate_id: IdPath, caller: CallerDep, services: ServicesDep, last: Annotated[int, Depends(last_seen)]
) -> AsyncIterator[ServerSentEvent]:
    """Follow an estimate as server-sent events, from its beginning or from Last-Event-ID."""
    yield ServerSentEvent(retry=1000)
    events, waits = services[EventFeed], services.executors["waits"]
    with events.listening(estimate_id):
        while not events.is_closing() and await is_still_allowed(services, caller):
            known = events.after(estimate_id, last)
            estimate, items = None, known or []
            if known is None or events.has_ended(estimate_id) or any(item.is_end for item in known):
                try:
                    estimate, items = await waits.go_on(_read, services, caller, estimate_id, last, _READ_LIMIT)
                except NotFoundError:  # deleted meanwhile
                    return
            for item in items:
                last = item.id
                yield item.event
            if estimate is not None and estimate.status in TERMINAL and len(items) < _READ_LIMIT:
                yield ServerSentEvent(event="completed", data=estimate_view(estimate), id=str(last))
                return
            await events.wait(estimate_id, last, _WAIT_SECONDS)


def _read(services: Services, caller: Caller, estimate_id: str, last: int, limit: int) -> tuple[Estimate, list[Item]]:
    with services.database.read() as session:
        query = select(Event).where(Event.job_id == estimate_id, Event.id > last).order_by(Event.id).limit(limit)
        # Read the estimate first: events read after it include the one for its latest state.
        estimate = tenancy.find(session, Estimate, caller.tenant_id, estimate_id)
        return estimate, [Item.of(event) for event in session.execute(query).scalars()]
