"""/v1/monitors: compare batches with one reference, one after the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import StreamingResponse

from wdist_service.estimates.endpoints import MetadataFilter
from wdist_service.http.dependencies import AfterMonitor, IdPath, LimitQuery, NameQuery, ServicesDep, require_json
from wdist_service.http.problems import responses
from wdist_service.http.routes import BoundedRoute, runs_in
from wdist_service.http.schemas import Page, page_of
from wdist_service.keys.caller import CallerDep, check_still_allowed
from wdist_service.monitors.listing import monitor_json
from wdist_service.monitors.schemas import EpochRequest, MonitorChange, MonitorRequest, MonitorView, monitor_view
from wdist_service.monitors.service import Monitors

router = APIRouter(
    prefix="/v1/monitors",
    tags=["monitors"],
    responses=responses(401, 403, 503),
    route_class=BoundedRoute,
)


@router.post(
    "",
    status_code=201,
    dependencies=[Depends(require_json)],
    responses={
        201: {"headers": {"Location": {"schema": {"type": "string"}}}},
        **responses(400, 404, 408, 413, 415, 422, 429, 507),
    },
)
def create_monitor(
    body: MonitorRequest,
    response: Response,
    caller: CallerDep,
    services: ServicesDep,
    idempotency_key: Annotated[
        str | None, Header(min_length=1, max_length=255, description="The same key and body: the same monitor.")
    ] = None,
) -> MonitorView:
    """Begin to watch for drift away from a reference. Nothing is trained before the first update."""
    monitor = services[Monitors].create(caller.tenant_id, body, idempotency_key, caller.quota)
    response.headers["Location"] = f"/v1/monitors/{monitor.id}"
    return get_monitor(monitor.id, caller, services)


@router.get("", response_model=Page[MonitorView], responses=responses(422))
def list_monitors(
    caller: CallerDep,
    services: ServicesDep,
    limit: LimitQuery = 20,
    after: AfterMonitor = None,
    alarm: Annotated[bool | None, Query(description="Only those with an alarm that is on, or without one.")] = None,
    metadata: Annotated[
        list[MetadataFilter] | None, Query(max_length=10, description="Only with this label, as key:value; repeatable.")
    ] = None,
    name: NameQuery = None,
) -> Response:
    """The caller's monitors, newest first."""
    pairs = [(key, value) for key, _, value in (label.partition(":") for label in metadata or ())]
    found, following = services[Monitors].page(caller.tenant_id, pairs, alarm, limit, after, name)
    known = {each.row.id: each for each in found}
    return page_of([each.row for each in found], lambda row: monitor_json(known[row.id]), following)


@router.get("/{monitor_id}", responses=responses(404, 422))
def get_monitor(monitor_id: IdPath, caller: CallerDep, services: ServicesDep) -> MonitorView:
    """What it compares with, where it stands, and the alarms that are on."""
    found = services[Monitors].get(caller.tenant_id, monitor_id)
    return monitor_view(found.row, found.epoch, found.waiting)


@router.patch(
    "/{monitor_id}", dependencies=[Depends(require_json)], responses=responses(400, 404, 408, 409, 413, 415, 422)
)
def change_monitor(
    monitor_id: IdPath, body: MonitorChange, caller: CallerDep, services: ServicesDep
) -> MonitorView:  # fmt: skip
    """Rename, pause or resume a monitor, or change its thresholds or labels. New thresholds hold at once."""
    services[Monitors].change(caller.tenant_id, monitor_id, body, caller.quota)
    return get_monitor(monitor_id, caller, services)


@router.delete("/{monitor_id}", status_code=204, responses=responses(404, 422))
@runs_in("storage")
def delete_monitor(monitor_id: IdPath, caller: CallerDep, services: ServicesDep) -> None:
    """Forget a monitor with all of its updates; those that are under way are stopped. Sample sets stay."""
    services[Monitors].delete(caller.tenant_id, monitor_id)


@router.post(
    "/{monitor_id}/epochs",
    dependencies=[Depends(require_json)],
    responses=responses(400, 404, 408, 409, 413, 415, 422),
)
def begin_epoch(monitor_id: IdPath, body: EpochRequest, caller: CallerDep, services: ServicesDep) -> MonitorView:
    """Go on with a new reference. Alarms end, evidence begins anew, and the error budget covers all epochs together.

    It is possible once no update is queued or running.
    """
    services[Monitors].begin_epoch(caller.tenant_id, monitor_id, body, caller.quota)
    return get_monitor(monitor_id, caller, services)


@router.get(
    "/{monitor_id}/export",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The successful updates, oldest first",
            "content": {
                "text/csv": {"schema": {"type": "string"}},
                "application/jsonl": {"schema": {"type": "string"}},
            },
        },
        **responses(404, 422),
    },
)
async def export_monitor(
    monitor_id: IdPath,
    caller: CallerDep,
    services: ServicesDep,
    format: Annotated[  # noqa: A002
        Literal["csv", "jsonl"], Query(description="csv: one row an update. jsonl: all figures of each update.")
    ] = "csv",
) -> StreamingResponse:
    """The history of a monitor as a file."""
    waits, monitors = services.executors["waits"], services[Monitors]
    await services.executors["reads"].run(monitors.get, caller.tenant_id, monitor_id)
    parts = monitors.exported(monitor_id, format)

    async def text() -> AsyncIterator[str]:
        while (part := await waits.go_on(next, parts, None)) is not None:
            await check_still_allowed(services, caller)
            yield part

    headers = {"Content-Disposition": f'attachment; filename="{monitor_id}.{format}"'}
    return StreamingResponse(text(), media_type="text/csv" if format == "csv" else "application/jsonl", headers=headers)
