"""Evaluate the trained critic f and its gradient on the caller's rows, at once or as a job for a large stored set."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import FileResponse
from sqlalchemy import select

from wdist.definitions.reading import Selection
from wdist_service import tenancy
from wdist_service.errors import ConflictError, InvalidError, TooLargeError, UnsupportedTypeError
from wdist_service.estimates.waits import until_ended, wanted_wait
from wdist_service.evaluations.evaluator import MAX_ROWS, Evaluator
from wdist_service.evaluations.schemas import EvaluationJobView, EvaluationView, job_view
from wdist_service.evaluations.service import Evaluations, check_columns, critic_files, find, numbers_in_a_row, rows_of
from wdist_service.http.bodies import incoming, pump
from wdist_service.http.dependencies import AfterEvaluation, IdPath, LimitQuery, Services, ServicesDep
from wdist_service.http.files import FILE, stored_file
from wdist_service.http.problems import responses
from wdist_service.http.routes import BoundedRoute, runs_in
from wdist_service.http.schemas import Page, page_of
from wdist_service.keys.caller import Caller, CallerDep, check_still_allowed
from wdist_service.sample_sets.service import NpyReceiver
from wdist_service.tables import Artifact, Estimate, Evaluation, SampleSet, Status

router = APIRouter(prefix="/v1/estimates", tags=["estimates"], route_class=BoundedRoute)
_MAX_JSON_NUMBERS = 1_000_000
_NOTE_CHARACTERS = 2_000
_NOTE = {"Wdist-Note": {"schema": {"type": "string"}, "description": "What to know of the scores."}}
_NPY = "application/x-npy"
_NPY_TYPES = frozenset({"application/octet-stream", _NPY, "application/npy", "application/vnd.numpy.npy"})
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}


@router.post(
    "/{estimate_id}/evaluate",
    response_model=EvaluationView,
    responses={
        200: {
            "content": {_NPY: _BINARY},
            "description": "JSON; or, by Accept, .npy: values, or with gradient=true that",
            "headers": _NOTE,
        },
        201: {
            "description": "A job that was done within the time of `Prefer: wait`",
            "model": EvaluationJobView,
            "headers": _NOTE,
        },
        202: {
            "description": "A job: the stored set has more than 10,000 rows, or `Prefer: respond-async`",
            "model": EvaluationJobView,
            "headers": {
                "Location": {"schema": {"type": "string"}},
                "Retry-After": {"schema": {"type": "integer"}},
                **_NOTE,
            },
        },
        **responses(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503, 507),
    },
    openapi_extra={"requestBody": {"required": False, "content": {_NPY: _BINARY, "application/octet-stream": _BINARY}}},
)
async def evaluate(
    request: Request,
    estimate_id: IdPath,
    caller: CallerDep,
    services: ServicesDep,
    gradient: Annotated[
        bool, Query(description="The gradient of f: beside the values in JSON, alone in .npy.")
    ] = False,
    sample_set: Annotated[str | None, Query(max_length=64, description="A stored set in place of a body.")] = None,
    prefer: Annotated[
        str | None, Header(max_length=500, description="wait=N: answer a job within N <= 60 s if done; respond-async.")
    ] = None,
) -> Response:
    """Evaluate the critic on up to 10,000 rows sent as an .npy file, or on a stored set of any size."""
    if asked := [name for name in request.query_params if name in Selection.model_fields]:
        raise InvalidError(
            f"{asked[0]} says how a file is read: send the file to POST /v1/sample-sets with it, and give that set",
            field=asked[0],
        )
    executors = services.executors
    estimate, critic = await executors["storage"].run(_critic, services, caller, estimate_id)
    wants_npy = any(kind in request.headers.get("accept", "") for kind in _NPY_TYPES)
    if sample_set is not None:
        row = await executors["reads"].run(_stored, services, caller, sample_set)
        table, note = await executors["storage"].run(check_columns, critic, row)
        if row.rows > MAX_ROWS or "respond-async" in (prefer or ""):
            width = await executors["storage"].run(numbers_in_a_row, critic, row)
            submit = partial(services[Evaluations].submit, caller.tenant_id, estimate, row, width=width)
            job = await executors["writes"].run(submit, gradient=gradient, quota=caller.quota)
            answer = await _ended(services, caller, job, prefer)
        else:
            rows = await executors["storage"].run(rows_of, services.storage, row)
            answer = await executors["evaluation"].run(_answer, services, critic, rows, gradient, wants_npy, table)
        if note is not None:  # names of levels may be any text, and a header is ASCII
            answer.headers["Wdist-Note"] = note.encode("ascii", "backslashreplace").decode()[:_NOTE_CHARACTERS]
        return answer
    kind = request.headers.get("content-type", _NPY).split(";")[0].strip().lower()
    if kind not in _NPY_TYPES:
        raise UnsupportedTypeError(f"{kind[:100]!r} is not read here; send the bytes of an .npy file (numpy.save)")
    executors["evaluation"].check()
    async with incoming(services.storage, executors["bodies"]) as file:
        receiver = NpyReceiver(file, check=_check_rows)
        await pump(request.stream(), receiver.feed, executors["bodies"])
        await executors["bodies"].go_on(receiver.finish, caller.tenant_id, None)
        await check_still_allowed(services, caller)
        return await executors["evaluation"].run(_answer, services, critic, file.path, gradient, wants_npy)


async def _ended(services: Services, caller: Caller, job: Evaluation, prefer: str | None) -> Response:
    """Wait for an evaluation as long as the caller asks."""
    if seconds := wanted_wait(prefer):
        await until_ended(services, caller, job.id, seconds)
        job = await services.executors["waits"].go_on(_find, services, caller, job.estimate_id, job.id)
    headers = {"Location": f"/v1/estimates/{job.estimate_id}/evaluations/{job.id}"}
    if job.finished_at is None:
        headers["Retry-After"] = "1"
    status = 202 if job.finished_at is None else 201
    return Response(job_view.json(job), status, headers, media_type="application/json")


@router.get(
    "/{estimate_id}/evaluations", response_model=Page[EvaluationJobView], responses=responses(401, 403, 404, 422, 503)
)
def list_evaluations(
    estimate_id: IdPath, caller: CallerDep, services: ServicesDep, limit: LimitQuery = 20, after: AfterEvaluation = None
) -> Response:
    """Evaluations of the estimate's critic on stored sets, newest first."""
    with services.database.read() as session:
        tenancy.find(session, Estimate, caller.tenant_id, estimate_id)
        query = tenancy.owned(Evaluation, caller.tenant_id).where(Evaluation.estimate_id == estimate_id)
        rows, following = tenancy.page(session, query, Evaluation, limit, after)
    return page_of(rows, job_view.json, following)


@router.get("/{estimate_id}/evaluations/{evaluation_id}", responses=responses(401, 403, 404, 422, 503))
def get_evaluation(
    estimate_id: IdPath, evaluation_id: IdPath, caller: CallerDep, services: ServicesDep
) -> EvaluationJobView:
    """How far an evaluation is."""
    return job_view(_find(services, caller, estimate_id, evaluation_id))


@router.get(
    "/{estimate_id}/evaluations/{evaluation_id}/content",
    response_class=FileResponse,
    responses={**FILE, **responses(401, 403, 503)},
)
@runs_in("storage")
def get_evaluation_content(
    estimate_id: IdPath, evaluation_id: IdPath, request: Request, caller: CallerDep, services: ServicesDep
) -> Response:
    """The values (rows,) or gradients (rows, ...) of all rows, in their order, as an .npy file."""
    with services.database.read() as session:
        row = find(session, caller.tenant_id, evaluation_id, estimate_id)
        content = session.execute(select(Artifact).where(Artifact.job_id == row.id)).scalar_one_or_none()
    if content is None:
        raise ConflictError(f"{row.id} is {row.status}: it has content once it has succeeded")
    damage = {"what": f"evaluation {row.id}", "remedy": "delete it, then evaluate again"}
    return stored_file(request, services.storage, content.sha256, f"{row.id}.npy", **damage)


@router.delete(
    "/{estimate_id}/evaluations/{evaluation_id}", status_code=204, responses=responses(401, 403, 404, 422, 503)
)
@runs_in("storage")
def delete_evaluation(estimate_id: IdPath, evaluation_id: IdPath, caller: CallerDep, services: ServicesDep) -> None:
    """Forget an evaluation; one that is under way is stopped."""
    services[Evaluations].delete(caller.tenant_id, evaluation_id, estimate_id)


def _find(services: Services, caller: Caller, estimate_id: str, evaluation_id: str) -> Evaluation:
    with services.database.read() as session:
        return find(session, caller.tenant_id, evaluation_id, estimate_id)


def _critic(services: Services, caller: Caller, estimate_id: str) -> tuple[Estimate, dict[str, Path]]:
    with services.database.read() as session:
        estimate = tenancy.find(session, Estimate, caller.tenant_id, estimate_id)
        if estimate.status != Status.SUCCEEDED:
            raise ConflictError(f"{estimate_id} is {estimate.status}: there is a critic once it has succeeded")
        return estimate, critic_files(session, services.storage, estimate_id)


def _stored(services: Services, caller: Caller, sample_set_id: str) -> SampleSet:
    with services.database.read() as session:
        return tenancy.find(session, SampleSet, caller.tenant_id, sample_set_id, field="sample_set")


def _check_rows(shape: tuple[int, ...], _bytes: int) -> None:
    if shape[0] > MAX_ROWS:
        raise TooLargeError(f"{shape[0]:,} rows; at most {MAX_ROWS:,} are evaluated at once; store the set and name it")


def _answer(
    services: Services,
    critic: dict[str, Path],
    rows: Path,
    gradient: bool,
    wants_npy: bool,
    table: dict[str, Any] | None = None,
) -> Response:
    with services[Evaluator].folder() as folder:
        run = partial(services[Evaluator].run, folder, critic, rows, table=table)
        if wants_npy:
            out = run("gradient" if gradient else "values")
            return Response(out.read_bytes(), media_type=_NPY)
        values = np.load(run("values"), allow_pickle=False)
        slopes = None
        if gradient:
            slopes = np.load(run("gradient"), allow_pickle=False)
            if slopes.size > _MAX_JSON_NUMBERS:
                raise InvalidError(
                    f"{slopes.size:,} numbers are too many for JSON; ask for Accept: {_NPY}", field="gradient"
                )
        view = EvaluationView(values=values.tolist(), gradient=None if slopes is None else slopes.tolist())
        return Response(view.model_dump_json(), media_type="application/json")
