"""/v1/monitors/{id}/updates: send batches, and read what they say."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import Field, ValidationError
from sqlalchemy.orm import Session

from wdist.definitions.reading import Selection
from wdist_service.decoding import formats
from wdist_service.errors import InvalidError, TooLargeError
from wdist_service.estimates.event_stream import STREAM, Completed, EventStream, last_seen, stream
from wdist_service.estimates.waits import until_ended, wanted_wait
from wdist_service.http.dependencies import AfterUpdate, IdPath, LimitQuery, Services, ServicesDep
from wdist_service.http.problems import responses
from wdist_service.http.routes import BoundedRoute
from wdist_service.http.schemas import Page, page_of
from wdist_service.http.text import check_body
from wdist_service.keys.caller import Caller, CallerDep
from wdist_service.monitors.schemas import AtAsText, MonitorUpdateView, UpdateRequest, update_view
from wdist_service.monitors.service import Monitors
from wdist_service.monitors.updates import Updates, find
from wdist_service.sample_sets.bodies import Sent, receive_set
from wdist_service.sample_sets.endpoints import BODIES
from wdist_service.sample_sets.schemas import Sending
from wdist_service.tables import TERMINAL

router = APIRouter(
    prefix="/v1/monitors",
    tags=["monitors"],
    responses=responses(401, 403, 503),
    route_class=BoundedRoute,
)
_MOST_JSON_BYTES = 16 << 10
_JSON = "application/json"
_FILES = {kind: body for kind, body in BODIES.items() if kind != _JSON}
_STORED = {
    "schema": UpdateRequest.model_json_schema(),
    "examples": {"stored": {"value": UpdateRequest.model_config["json_schema_extra"]["examples"][0]}},  # type: ignore[index]
}


class SendingBatch(Sending):
    """How a body is to be read as a batch, and of what time it is."""

    at: AtAsText | None = Field(
        None, description="Time of a batch that is sent as a file: a number, or an ISO 8601 date or time."
    )


@router.post(
    "/{monitor_id}/updates",
    status_code=202,
    responses={
        201: {"description": "Ended within the time of `Prefer: wait`", "model": MonitorUpdateView},
        202: {"headers": {"Location": {"schema": {"type": "string"}}, "Retry-After": {"schema": {"type": "integer"}}}},
        **responses(400, 404, 408, 409, 413, 415, 422, 429, 507),
    },
    openapi_extra={"requestBody": {"required": True, "content": {_JSON: _STORED, **_FILES}}},
)
async def update_monitor(
    request: Request,
    response: Response,
    monitor_id: IdPath,
    caller: CallerDep,
    services: ServicesDep,
    sending: Annotated[SendingBatch, Query()],
    repr_digest: Annotated[str | None, Header(max_length=500, description="sha-256=:base64:, checked.")] = None,
    idempotency_key: Annotated[
        str | None, Header(min_length=1, max_length=255, description="The same key and batch: the same update.")
    ] = None,
    prefer: Annotated[
        str | None, Header(max_length=500, description="wait=N: answer within N <= 60 s if done.")
    ] = None,
) -> MonitorUpdateView:
    """Compare a batch with the reference: a stored set, named in JSON, or a file, whose raw bytes are the body.

    A file is read as the reference was, unless parameters say how. Updates of a monitor run in the order in which they
    were accepted.
    """
    if _kind_of(request) == _JSON and sending.format is None:
        given = await _named(request, sending)
    else:
        given = await _received(request, services, caller, monitor_id, sending, repr_digest, idempotency_key)
    await services.executors["storage"].run(services[Updates].check_rows, caller.tenant_id, monitor_id, given)
    submit = services[Updates].submit
    update = await services.executors["writes"].run(
        submit, caller.tenant_id, monitor_id, given, idempotency_key, caller.quota
    )
    if seconds := wanted_wait(prefer):
        response.headers["Preference-Applied"] = f"wait={seconds}"
        await until_ended(services, caller, update.id, seconds)
        read = services[Updates].find
        update = await services.executors["waits"].go_on(read, caller.tenant_id, monitor_id, update.id)
    response.headers["Location"] = f"/v1/monitors/{monitor_id}/updates/{update.id}"
    if update.status in TERMINAL:
        response.status_code = 201
    else:
        response.headers["Retry-After"] = "1"
    return update_view(update)


def _kind_of(request: Request) -> str:
    return (request.headers.get("content-type") or "").split(";")[0].strip().lower()


async def _named(request: Request, sending: SendingBatch) -> UpdateRequest:
    """The stored batch that a JSON body names."""
    if stray := sorted(sending.model_fields_set):
        raise InvalidError(
            f"{stray[0]} is for a body that is a file; say the time of a stored batch in JSON", field=stray[0]
        )
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_JSON_BYTES:
            raise TooLargeError(
                f"JSON names a stored batch in at most {_MOST_JSON_BYTES:,} bytes; send rows as a file", field="body"
            )
    request._body = bytes(body)
    await check_body(request)
    try:
        return UpdateRequest.model_validate_json(bytes(body))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise InvalidError(f"{field}: {first['msg'].removeprefix('Value error, ')}", field=field) from None


async def _received(
    request: Request,
    services: Services,
    caller: Caller,
    monitor_id: str,
    sending: SendingBatch,
    digest: str | None,
    key: str | None,
) -> UpdateRequest:
    """Store the body as a sample set, and name it as the batch."""
    kind = formats.choose(request.headers.get("content-type"), sending.format, sending.filename)
    found = await services.executors["reads"].run(services[Monitors].get, caller.tenant_id, monitor_id)
    if key is None:  # with one, this may be a request that was accepted before
        services[Updates].check_open(found.row)  # before a body comes that could only be refused
    take = sending.selection
    if not sending.model_fields_set & set(Selection.model_fields):
        reading = services[Monitors].reading_of
        take = await services.executors["reads"].run(reading, caller.tenant_id, found.epoch.reference_id, kind)
    row, _ = await receive_set(request, services, caller, Sent(kind, sending.name, take, digest))
    return UpdateRequest(batch=row.id, at=sending.at)


@router.get("/{monitor_id}/updates", response_model=Page[MonitorUpdateView], responses=responses(404, 422))
def list_updates(
    monitor_id: IdPath, caller: CallerDep, services: ServicesDep, limit: LimitQuery = 20, after: AfterUpdate = None
) -> Response:
    """The updates of a monitor, newest first: also those that wait, failed or were canceled."""
    rows, following = services[Updates].page(caller.tenant_id, monitor_id, limit, after)
    return page_of(rows, update_view.json, following)


@router.get("/{monitor_id}/updates/{update_id}", responses=responses(404, 422))
def get_update(monitor_id: IdPath, update_id: IdPath, caller: CallerDep, services: ServicesDep) -> MonitorUpdateView:
    """How far an update is, and what it found."""
    return update_view(services[Updates].find(caller.tenant_id, monitor_id, update_id))


@router.post("/{monitor_id}/updates/{update_id}/cancel", responses=responses(404, 422))
def cancel_update(monitor_id: IdPath, update_id: IdPath, caller: CallerDep, services: ServicesDep) -> MonitorUpdateView:
    """Stop a queued or running update; the series goes on as if the batch had not been sent."""
    return update_view(services[Updates].cancel(caller.tenant_id, monitor_id, update_id))


@router.get(
    "/{monitor_id}/updates/{update_id}/events",
    response_class=EventStream,
    responses={**STREAM, **responses(404, 422)},
)
async def get_update_events(
    monitor_id: IdPath,
    update_id: IdPath,
    caller: CallerDep,
    services: ServicesDep,
    last: Annotated[int, Depends(last_seen)],
) -> EventStream:
    """Follow an update as server-sent events, from its beginning or from Last-Event-ID."""

    def read(session: Session) -> Completed:
        row = find(session, caller.tenant_id, monitor_id, update_id)
        return Completed(row.status in TERMINAL, lambda: update_view.json(row))

    return await stream(services, caller, update_id, last, read)
