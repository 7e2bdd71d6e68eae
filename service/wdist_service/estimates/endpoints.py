"""/v1/estimates: submit, follow and cancel estimates, and fetch their results."""

from __future__ import annotations

import logging
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import StringConstraints
from sqlalchemy import select

from wdist.definitions.results.withdrawn import certificate_note
from wdist.definitions.results.witness import WitnessFigures
from wdist_service import tenancy
from wdist_service.errors import ConflictError, NotFoundError
from wdist_service.estimates import labels
from wdist_service.estimates.schemas import CurveView, EstimateRequest, EstimateView, StatusName, estimate_view
from wdist_service.estimates.service import Estimates, Submission
from wdist_service.estimates.waits import until_ended, wanted_wait
from wdist_service.http.dependencies import AfterEstimate, IdPath, LimitQuery, SearchQuery, ServicesDep, require_json
from wdist_service.http.files import FILE, stored_file
from wdist_service.http.problems import responses
from wdist_service.http.routes import BoundedRoute, runs_in
from wdist_service.http.schemas import Page, Renaming, page_of
from wdist_service.keys.caller import Caller, CallerDep
from wdist_service.tables import TERMINAL, Artifact, Estimate, Event, Status
from wdist_service.text import TEXT

router = APIRouter(
    prefix="/v1/estimates",
    tags=["estimates"],
    responses=responses(401, 403, 503),
    route_class=BoundedRoute,
)
log = logging.getLogger("wdist.api")
MetadataFilter = Annotated[
    str, StringConstraints(max_length=600, pattern=rf'^[^:"\x00-\x1f\x7f-\x9f]{{1,64}}:{TEXT[1:]}')
]
_CRITIC = FILE | {200: {"content": {**FILE[200]["content"], "application/json": {"schema": {"type": "object"}}}}}
_NOTE = {"Wdist-Note": {"schema": {"type": "string"}, "description": "What to know before the file is used."}}
_CERTIFICATE = FILE | {200: {**FILE[200], "headers": _NOTE}}
_WITNESS: dict[int | str, dict[str, Any]] = {
    200: {"model": WitnessFigures, "description": "The witness as JSON; its ETag is its SHA-256"},
    304: FILE[304],
    **responses(404, 409, 422),
}
_WITNESS_FILE = "witness.json"
_CRITIC_FILES = {"weights": "critic.safetensors", "config": "critic.json"}


@router.post(
    "",
    status_code=202,
    dependencies=[Depends(require_json)],
    responses={
        201: {"description": "Done within the time of `Prefer: wait`: with its result", "model": EstimateView},
        202: {"headers": {"Location": {"schema": {"type": "string"}}, "Retry-After": {"schema": {"type": "integer"}}}},
        **responses(400, 404, 408, 413, 415, 422, 507),
    },
)
async def create_estimate(
    body: EstimateRequest,
    request: Request,
    response: Response,
    caller: CallerDep,
    services: ServicesDep,
    idempotency_key: Annotated[
        str | None, Header(min_length=1, max_length=255, description="The same key and body: the same estimate.")
    ] = None,
    prefer: Annotated[
        str | None, Header(max_length=500, description="wait=N: answer within N <= 60 s if done.")
    ] = None,
) -> EstimateView:
    """Compare two sample sets."""
    options = body.model_dump(exclude={"name", "source", "target", "priority", "metadata"})
    submission = Submission(
        source=body.source, target=body.target, options=options, priority=body.priority, labels=body.metadata,
        name=body.name, idempotency_key=idempotency_key,
        digests=body.digests() if idempotency_key else (),
    )  # fmt: skip
    submit = services[Estimates].submit
    estimate, _ = await services.executors["writes"].run(submit, caller.tenant_id, submission, caller.quota)
    log.info("estimate accepted", extra={"request_id": request.scope["request_id"], "estimate": estimate.id})
    if seconds := wanted_wait(prefer):
        response.headers["Preference-Applied"] = f"wait={seconds}"
        await until_ended(services, caller, estimate.id, seconds)
        estimate = await services.executors["waits"].go_on(_read, services, caller, estimate.id)
    response.headers["Location"] = f"/v1/estimates/{estimate.id}"
    if estimate.status in TERMINAL:
        response.status_code = 201
    else:
        response.headers["Retry-After"] = "1"
    return estimate_view(estimate)


def _read(services: ServicesDep, caller: CallerDep, estimate_id: str) -> Estimate:
    with services.database.read() as session:
        return tenancy.find(session, Estimate, caller.tenant_id, estimate_id)


@router.get("", response_model=Page[EstimateView], responses=responses(422))
def list_estimates(
    caller: CallerDep,
    services: ServicesDep,
    limit: LimitQuery = 20,
    after: AfterEstimate = None,
    status: Annotated[list[StatusName] | None, Query(description="Only these states.")] = None,
    metadata: Annotated[
        list[MetadataFilter] | None, Query(max_length=10, description="Only with this label, as key:value; repeatable.")
    ] = None,
    search: SearchQuery = None,
) -> Response:
    """The caller's estimates, newest first."""
    pairs = [(key, value) for key, _, value in (label.partition(":") for label in metadata or ())]
    with services.database.read() as session:
        rows, following = labels.page(session, caller.tenant_id, pairs, status or (), limit, after, search or None)
    return page_of(rows, estimate_view.json, following)


@router.get("/{estimate_id}", responses=responses(404, 422))
def get_estimate(estimate_id: IdPath, caller: CallerDep, services: ServicesDep) -> EstimateView:
    """Status, progress, and the result once there is one."""
    return estimate_view(_read(services, caller, estimate_id))


@router.patch("/{estimate_id}", dependencies=[Depends(require_json)], responses=responses(400, 404, 408, 413, 415, 422))
def rename_estimate(estimate_id: IdPath, body: Renaming, caller: CallerDep, services: ServicesDep) -> EstimateView:
    """Give an estimate another name, whether it has ended or not."""
    return estimate_view(services[Estimates].rename(caller.tenant_id, estimate_id, body.name))


@router.post("/{estimate_id}/cancel", responses=responses(404, 422))
def cancel_estimate(estimate_id: IdPath, caller: CallerDep, services: ServicesDep) -> EstimateView:
    """Stop a queued or running estimate; a finished one is left alone."""
    return estimate_view(services[Estimates].cancel(caller.tenant_id, estimate_id))


@router.post("/{estimate_id}/finish", responses=responses(404, 422))
def finish_estimate(estimate_id: IdPath, caller: CallerDep, services: ServicesDep) -> EstimateView:
    """End training now, and state what it has: a result follows. A queued estimate does so once its turn has come.

    Asking again, or for one that has ended, changes nothing.
    """
    return estimate_view(services[Estimates].finish(caller.tenant_id, estimate_id))


@router.delete("/{estimate_id}", status_code=204, responses=responses(404, 409, 422))
@runs_in("storage")
def delete_estimate(estimate_id: IdPath, caller: CallerDep, services: ServicesDep) -> None:
    """Forget a finished estimate and its files."""
    services[Estimates].delete(caller.tenant_id, estimate_id)


@router.get("/{estimate_id}/curve", responses=responses(404, 422))
def get_curve(estimate_id: IdPath, caller: CallerDep, services: ServicesDep) -> CurveView:
    """Training curve; of a running estimate, as far as it is."""
    with services.database.read() as session:
        estimate = tenancy.find(session, Estimate, caller.tenant_id, estimate_id)
        if estimate.status == Status.SUCCEEDED:
            return CurveView.model_validate({"data": estimate.curve or [], "complete": True})
        query = select(Event.data).where(Event.job_id == estimate_id, Event.type == "progress").order_by(Event.id)
        points = [
            {name: data[name] for name in ("step", "seconds", "value")} for data in session.execute(query).scalars()
        ]
        return CurveView.model_validate({"data": points, "complete": estimate.status in TERMINAL})


@router.get("/{estimate_id}/critic", response_class=FileResponse, responses=_CRITIC)
@runs_in("storage")
def get_critic(
    estimate_id: IdPath,
    request: Request,
    caller: CallerDep,
    services: ServicesDep,
    part: Annotated[Literal["weights", "config"], Query(description="safetensors, or its JSON.")] = "weights",
) -> Response:
    """The trained critic: weights as safetensors, configuration as JSON."""
    return _download(request, services, caller, estimate_id, _CRITIC_FILES[part])


@router.get("/{estimate_id}/certificate", response_class=FileResponse, responses=_CERTIFICATE)
@runs_in("storage")
def get_certificate(estimate_id: IdPath, request: Request, caller: CallerDep, services: ServicesDep) -> Response:
    """The result as a file that `wdist verify` checks against both sample sets, without this server.

    That of a result with `method_version` 1 is refused by today's `wdist verify`: the header `Wdist-Note` says so.
    """
    return _download(request, services, caller, estimate_id, "certificate")


@router.get("/{estimate_id}/witness", response_class=FileResponse, responses=_WITNESS)
@runs_in("storage")
def get_witness(estimate_id: IdPath, request: Request, caller: CallerDep, services: ServicesDep) -> Response:
    """Where the two sets differ, as the critic sees it: the columns of a table and their values, unusual rows, scores.

    It is made at the end of the estimate. An estimate that an earlier version of this server ran has none (404).
    """
    return _download(request, services, caller, estimate_id, _WITNESS_FILE)


def _why_none(estimate_id: str, name: str) -> str:
    if name == _WITNESS_FILE:
        return (
            f"{estimate_id} has no witness: an earlier version of this server ran it, which made none. Run the "
            "estimate again, with the same sets and options, to have one"
        )
    return f"{estimate_id} has no {name}"


def _download(request: Request, services: ServicesDep, caller: Caller, estimate_id: str, name: str) -> Response:
    with services.database.read() as session:
        estimate = tenancy.find(session, Estimate, caller.tenant_id, estimate_id)
        if estimate.status != Status.SUCCEEDED:
            noun = "critic" if name in _CRITIC_FILES.values() else name.removesuffix(".json")
            raise ConflictError(f"{estimate_id} is {estimate.status}: there is a {noun} once it has succeeded")
        artifact = session.get(Artifact, (estimate_id, name))
    if artifact is None:
        raise NotFoundError(_why_none(estimate_id, name))
    damage = {"what": f"{name} of {estimate_id}", "remedy": "run the estimate again"}
    answer = stored_file(request, services.storage, artifact.sha256, f"{estimate_id}.{name}", **damage)
    if name == "certificate" and (note := certificate_note(estimate.result or {})) is not None:
        answer.headers["Wdist-Note"] = note
    return answer
