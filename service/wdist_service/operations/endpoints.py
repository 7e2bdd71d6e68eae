"""Health, metrics and version, for monitoring."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from sqlalchemy import func, select

from wdist import __version__
from wdist_service.http.dependencies import ServicesDep
from wdist_service.http.problems import responses
from wdist_service.http.routes import BoundedRoute, runs_in
from wdist_service.keys.caller import AdminDep
from wdist_service.maintenance.content import sweep_problem
from wdist_service.queue.leases import problems_of_workers
from wdist_service.tables import Holder, Job, Role, Status

router = APIRouter(tags=["operations"], route_class=BoundedRoute)


@router.get("/livez")
async def livez() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "Database or storage cannot be used"}})
@runs_in("storage")
def readyz(services: ServicesDep, response: Response) -> dict[str, Any]:
    """Whether database and storage work. Workers are reported but not required: they may be scaled to zero."""
    checks: dict[str, Any] = {"database": "ok", "storage": "ok"}
    try:
        with services.database.read() as session:
            now = services.database.now(session)
            fresh = Holder.role == Role.WORKER, Holder.beat_at > now - services.settings.lease_seconds
            workers, newest = session.execute(select(func.count(), func.max(Holder.beat_at)).where(*fresh)).one()
            problems = problems_of_workers(session, services.settings.lease_seconds)
            waiting = (
                Job.status == Status.QUEUED,
                Job.due_at.is_(None),
            )  # an errand waits for its time, not for a worker
            queued = session.execute(select(func.count()).where(*waiting)).scalar_one()
            is_stopped = sweep_problem(session) is not None
        if is_stopped:  # it needs a person, and the server works all the same
            checks["sweep"] = "stopped; `wdist doctor` says why"
        checks["workers"] = {"fresh": workers, "seconds_since_beat": round(now - newest, 1) if newest else None}
        if problems:
            checks["workers"]["problems"] = problems
        checks["queued"] = queued
    except Exception as error:  # whatever went wrong, the server is not ready
        checks["database"] = type(error).__name__
    if (problem := services.storage.problem()) is not None:
        checks["storage"] = problem
    ok = checks["database"] == checks["storage"] == "ok"
    response.status_code = 200 if ok else 503
    return {"status": "ok" if ok else "unavailable", "storage_kind": services.storage.kind, **checks}


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **responses(401, 403, 503)},
)
def metrics(_admin: AdminDep, services: ServicesDep) -> PlainTextResponse:
    """Figures in Prometheus' text format; with keys, for admins."""
    return PlainTextResponse(generate_latest(services[CollectorRegistry]), media_type=CONTENT_TYPE_PLAIN_0_0_4)


@router.get("/version")
async def version() -> dict[str, str]:
    """What is running."""
    return {"name": "wdist", "version": __version__, "api": "v1"}
