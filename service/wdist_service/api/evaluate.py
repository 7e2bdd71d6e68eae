"""POST /v1/estimates/{id}/evaluate: the trained critic f, and its gradient, on rows of the caller's."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import select

from wdist_service import tenancy
from wdist_service.api.bodies import pump
from wdist_service.api.dependencies import Caller, CallerDep, IdPath, Services, ServicesDep
from wdist_service.api.problems import responses
from wdist_service.errors import ConflictError, InvalidError, TooLargeError, UnsupportedTypeError
from wdist_service.evaluation import MAX_ROWS
from wdist_service.models import Artifact, Estimate, SampleSet, Status
from wdist_service.sample_sets import NpyReceiver

router = APIRouter(prefix="/v1/estimates", tags=["estimates"])
_MAX_JSON_NUMBERS = 1_000_000
_NPY = "application/x-npy"
_NPY_TYPES = frozenset({"application/octet-stream", _NPY, "application/npy", "application/vnd.numpy.npy"})
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}


class EvaluationView(BaseModel):
    """f of the rows, in their order, and its gradient where it was asked for."""

    values: list[float] = Field(description="f(x) of each row; higher on target rows.")
    gradient: list[Any] | None = Field(default=None, description="Gradient of f at each row, shaped as the row.")


@router.post(
    "/{estimate_id}/evaluate",
    response_model=EvaluationView,
    responses={
        200: {
            "content": {_NPY: _BINARY},
            "description": "JSON; or, by Accept, .npy: values, or with gradient=true that",
        },
        **responses(400, 401, 403, 404, 408, 409, 413, 415, 422, 503, 507),
    },
    openapi_extra={"requestBody": {"required": False, "content": {_NPY: _BINARY, "application/octet-stream": _BINARY}}},
)
async def evaluate(
    request: Request,
    estimate_id: IdPath,
    caller: CallerDep,
    services: ServicesDep,
    gradient: Annotated[bool, Query(description="The gradient of f too.")] = False,
    sample_set: Annotated[str | None, Query(max_length=64, description="A stored set in place of a body.")] = None,
) -> Response:
    """Evaluate the critic on up to 10,000 rows: the bytes of an .npy file, or a stored set."""
    critic = await asyncio.to_thread(_critic_files, services, caller, estimate_id)
    wants_npy = any(kind in request.headers.get("accept", "") for kind in _NPY_TYPES)
    if sample_set is not None:
        row = await asyncio.to_thread(_stored, services, caller, sample_set)
        _check_rows(row)
        return await asyncio.to_thread(
            _answer, services, critic, services.storage.path(row.sha256), gradient, wants_npy
        )
    kind = request.headers.get("content-type", _NPY).split(";")[0].strip().lower()
    if kind not in _NPY_TYPES:
        raise UnsupportedTypeError(f"{kind[:100]!r} is not read here; send the bytes of an .npy file (numpy.save)")
    file = await asyncio.to_thread(services.storage.incoming)
    with file:
        receiver = NpyReceiver(file)
        await pump(request.stream(), receiver.feed)
        row = await asyncio.to_thread(receiver.finish, caller.tenant_id, None)
        _check_rows(row)
        return await asyncio.to_thread(_answer, services, critic, file.path, gradient, wants_npy)


def _critic_files(services: Services, caller: Caller, estimate_id: str) -> dict[str, Path]:
    with services.database.read() as session:
        estimate = tenancy.find(session, Estimate, caller.tenant_id, estimate_id)
        if estimate.status != Status.SUCCEEDED:
            raise ConflictError(f"{estimate_id} is {estimate.status}: there is a critic once it has succeeded")
        query = select(Artifact).where(Artifact.estimate_id == estimate_id, Artifact.name.like("critic.%"))
        return {row.name: services.storage.path(row.sha256) for row in session.execute(query).scalars()}


def _stored(services: Services, caller: Caller, sample_set_id: str) -> SampleSet:
    with services.database.read() as session:
        return tenancy.find(session, SampleSet, caller.tenant_id, sample_set_id, field="sample_set")


def _check_rows(row: SampleSet) -> None:
    if row.rows > MAX_ROWS:
        raise TooLargeError(f"{row.rows:,} rows; at most {MAX_ROWS:,} are evaluated at once, send them in parts")


def _answer(services: Services, critic: dict[str, Path], rows: Path, gradient: bool, wants_npy: bool) -> Response:
    with services.evaluations.folder() as folder:
        if wants_npy:
            out = services.evaluations.run(folder, critic, rows, "gradient" if gradient else "values")
            return Response(out.read_bytes(), media_type=_NPY)
        values = np.load(services.evaluations.run(folder, critic, rows, "values"), allow_pickle=False)
        slopes = None
        if gradient:
            slopes = np.load(services.evaluations.run(folder, critic, rows, "gradient"), allow_pickle=False)
            if slopes.size > _MAX_JSON_NUMBERS:
                raise InvalidError(
                    f"{slopes.size:,} numbers are too many for JSON; ask for Accept: {_NPY}", field="gradient"
                )
        view = EvaluationView(values=values.tolist(), gradient=None if slopes is None else slopes.tolist())
        return Response(view.model_dump_json(), media_type="application/json")
