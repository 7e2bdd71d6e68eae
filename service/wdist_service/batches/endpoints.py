"""/v1/batches: submit many estimates at once, and read their results as JSON lines or as a matrix."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import StreamingResponse
from numpy.typing import NDArray
from pydantic import StringConstraints

from wdist.inference.comparison import MAX_CANDIDATES
from wdist.inference.pair_matrix import as_lists
from wdist_service import tenancy
from wdist_service.batches.comparisons import comparison_of
from wdist_service.batches.schemas import (
    BatchComparisonView,
    BatchRequest,
    BatchView,
    CandidateWarningView,
    Figure,
    MatrixView,
    MatrixWarningView,
    MatrixWithdrawnView,
    batch_view,
)
from wdist_service.batches.service import Batches, Matrix
from wdist_service.estimates.schemas import estimate_view
from wdist_service.estimates.waits import until_ended, wanted_wait
from wdist_service.http.dependencies import AfterBatch, IdPath, LimitQuery, SearchQuery, ServicesDep, require_json
from wdist_service.http.problems import responses
from wdist_service.http.routes import BoundedRoute
from wdist_service.http.schemas import Page, Renaming, page_of
from wdist_service.keys.caller import CallerDep, check_still_allowed
from wdist_service.tables import Batch, Estimate
from wdist_service.text import TEXT

SetName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=TEXT)]
router = APIRouter(
    prefix="/v1/batches",
    tags=["batches"],
    responses=responses(401, 403, 429, 503),
    route_class=BoundedRoute,
)


def _view(services: ServicesDep, batch: Batch) -> BatchView:
    with services.database.read() as session:
        counts = services[Batches].counts(session, [batch])
    return batch_view(batch, counts[batch.id])


def _find(services: ServicesDep, caller: CallerDep, batch_id: str) -> Batch:
    with services.database.read() as session:
        return tenancy.find(session, Batch, caller.tenant_id, batch_id)


@router.post(
    "",
    status_code=202,
    dependencies=[Depends(require_json)],
    responses={
        201: {"description": "Done within the time of `Prefer: wait`", "model": BatchView},
        202: {"headers": {"Location": {"schema": {"type": "string"}}, "Retry-After": {"schema": {"type": "integer"}}}},
        **responses(400, 404, 408, 413, 415, 422, 507),
    },
)
async def create_batch(
    body: BatchRequest,
    response: Response,
    caller: CallerDep,
    services: ServicesDep,
    idempotency_key: Annotated[
        str | None, Header(min_length=1, max_length=255, description="The same key and body: the same batch.")
    ] = None,
    prefer: Annotated[
        str | None, Header(max_length=500, description="wait=N: answer within N <= 60 s if all are done.")
    ] = None,
) -> BatchView:
    """Queue many estimates, all or none of them."""
    submit, submission = services[Batches].submit, body.submission(idempotency_key)
    batch = await services.executors["writes"].run(submit, caller.tenant_id, submission, caller.quota)
    if seconds := wanted_wait(prefer):
        response.headers["Preference-Applied"] = f"wait={seconds}"
        await until_ended(services, caller, batch.id, seconds)
    view = await services.executors["waits"].go_on(get_batch, batch.id, caller, services)
    response.headers["Location"] = f"/v1/batches/{batch.id}"
    if view.status in {"finished", "canceled"}:
        response.status_code = 201
    else:
        response.headers["Retry-After"] = "1"
    return view


@router.get("", response_model=Page[BatchView], responses=responses(422))
def list_batches(
    caller: CallerDep,
    services: ServicesDep,
    limit: LimitQuery = 20,
    after: AfterBatch = None,
    search: SearchQuery = None,
) -> Response:
    """The caller's batches, newest first."""
    query = tenancy.owned(Batch, caller.tenant_id)
    with services.database.read() as session:
        if search:
            query = query.where(tenancy.batches_found(session, caller.tenant_id, search))
        rows, following = tenancy.page(session, query, Batch, limit, after)
        counts = services[Batches].counts(session, rows)
    return page_of(rows, lambda row: batch_view.json(row, counts[row.id]), following)


@router.get("/{batch_id}", responses=responses(404, 422))
def get_batch(batch_id: IdPath, caller: CallerDep, services: ServicesDep) -> BatchView:
    """State, and how many estimates are in which state."""
    return _view(services, _find(services, caller, batch_id))


@router.patch("/{batch_id}", dependencies=[Depends(require_json)], responses=responses(400, 404, 408, 413, 415, 422))
def rename_batch(batch_id: IdPath, body: Renaming, caller: CallerDep, services: ServicesDep) -> BatchView:
    """Give a batch another name. Its estimates keep theirs."""
    return _view(services, services[Batches].rename(caller.tenant_id, batch_id, body.name))


@router.post("/{batch_id}/cancel", responses=responses(404, 422))
def cancel_batch(batch_id: IdPath, caller: CallerDep, services: ServicesDep) -> BatchView:
    """Stop every estimate of the batch that is not finished."""
    return _view(services, services[Batches].cancel(caller.tenant_id, batch_id))


@router.get(
    "/{batch_id}/results",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "One JSON object a line: custom_id, position, and the estimate",
            "content": {"application/jsonl": {"schema": {"type": "string"}}},
        },
        **responses(404, 422),
    },
)
def get_batch_results(batch_id: IdPath, caller: CallerDep, services: ServicesDep) -> StreamingResponse:
    """All estimates in the order of submission, as JSON lines; those not finished have no result yet."""
    pages = services[Batches].results(_find(services, caller, batch_id).id)

    def next_lines() -> str | None:
        rows = next(pages, None)
        return None if rows is None else "".join(_line(row) + "\n" for row in rows)

    async def lines() -> AsyncIterator[str]:
        while (text := await services.executors["waits"].go_on(next_lines)) is not None:
            await check_still_allowed(services, caller)
            yield text

    return StreamingResponse(lines(), media_type="application/jsonl")


def _line(row: Estimate) -> str:
    view = estimate_view(row).model_dump(mode="json")
    return json.dumps({"custom_id": row.custom_id, "position": row.position, **view}, allow_nan=False)


@router.get(
    "/{batch_id}/matrix",
    response_model=MatrixView,
    responses={
        200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
        **responses(404, 409, 422),
    },
)
def get_batch_matrix(
    batch_id: IdPath,
    caller: CallerDep,
    services: ServicesDep,
    format: Annotated[  # noqa: A002
        Literal["json", "npy"], Query(description="npy: one figure, nan where unknown or withdrawn.")
    ] = "json",
    figure: Annotated[Figure, Query(description="Which one an npy answer holds.")] = "lower_bound",
) -> Any:
    """Distances of a matrix (K x K, mirrored, diagonal 0) or of a reference batch (1 x targets)."""
    batch = _find(services, caller, batch_id)
    matrix = services[Batches].matrix(batch)
    if format == "npy":
        buffer = io.BytesIO()
        np.save(buffer, _without_withdrawn(matrix, figure), allow_pickle=False)
        headers = {"Content-Disposition": f'attachment; filename="{batch.id}.{figure}.npy"'}
        return Response(buffer.getvalue(), media_type="application/octet-stream", headers=headers)
    figures = {name: as_lists(values) for name, values in matrix.figures.items()}
    marks = None if matrix.withdrawn is None else MatrixWithdrawnView.model_validate(asdict(matrix.withdrawn))
    warnings = [MatrixWarningView(**warning) for warning in matrix.words["warnings"]]
    return MatrixView(
        batch=batch.id, complete=matrix.is_complete, rows=matrix.rows, columns=matrix.columns,
        confidence=batch.options["confidence"], units=matrix.units, upper_kind=matrix.upper_kind, withdrawn=marks,
        estimates=matrix.estimates, statuses=matrix.statuses, split=matrix.words["split"],
        answer=matrix.words["answer"], warnings=warnings, **figures,
    )  # fmt: skip


@router.get("/{batch_id}/comparison", responses=responses(404, 409, 422))
def get_batch_comparison(
    batch_id: IdPath,
    caller: CallerDep,
    services: ServicesDep,
    delta: Annotated[
        float | None, Query(gt=0, allow_inf_nan=False, description="Distances that differ by this count as equal.")
    ] = None,
    names: Annotated[
        list[SetName] | None,
        Query(max_length=MAX_CANDIDATES + 1, description="What to call the sets, the reference first."),
    ] = None,
) -> BatchComparisonView:
    """Which target is closest to the reference, of a batch with `compare`.

    All distances, differences and places of the ranking hold together with the confidence of the batch, whatever delta.
    """
    batch = _find(services, caller, batch_id)
    found = comparison_of(services.database, batch, delta, names or ())
    warnings = [CandidateWarningView(candidate=name, warning=text) for name, text in found.warnings]
    return BatchComparisonView(
        batch=batch.id, complete=found.is_complete, comparison=found.figures, reason=found.reason, warnings=warnings
    )


def _without_withdrawn(matrix: Matrix, figure: str) -> NDArray[np.float64]:
    """One figure, nan where it is withdrawn: an array has no room for the mark that JSON has."""
    values = matrix.figures[figure]
    if matrix.withdrawn is None:
        return values
    return np.where([[figure in names for names in row] for row in matrix.withdrawn.cells], np.nan, values)
