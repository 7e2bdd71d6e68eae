"""/v1/batches: many estimates at once, and what came out as lines or as a matrix."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

import numpy as np
from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from wdist_service import tenancy
from wdist_service.batches.service import MAX_PAIRS, BatchSubmission, Pair, matrix_pairs, reference_pairs, status_of
from wdist_service.http.dependencies import AfterBatch, CallerDep, IdPath, LimitQuery, ServicesDep, require_json
from wdist_service.http.problems import responses
from wdist_service.http.schemas import Label, Metadata, Options, Page, Priority, SetId, estimate_view, rfc3339
from wdist_service.tables import Batch, Estimate

router = APIRouter(prefix="/v1/batches", tags=["batches"], responses=responses(401, 403, 429, 503))
_EXAMPLE: list[JsonValue] = [
    "ss_01jd3v5q3k8e9x7w2m4n6p8r0t",
    "ss_01jd3v5zz0c2e4g6j8m0p2r4t6",
    "ss_01jd3v6b1d3f5h7k9n1q3s5v7x",
]
_MAX_SETS = 100  # 4,950 pairs
BatchStatus = Literal["queued", "running", "canceling", "finished", "canceled"]
Figure = Literal["value", "lower_bound", "simultaneous_lower_bound", "upper_bound", "p_value", "adjusted_p_value"]


class PairRequest(BaseModel):
    """One comparison."""

    model_config = ConfigDict(extra="forbid")

    source: SetId
    target: SetId
    custom_id: Label | None = Field(default=None, description="Your name for this pair, unique in the batch.")


class BatchRequest(Options):
    """Exactly one of `pairs`, `matrix`, or `reference` with `targets`; the options hold for every pair."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"matrix": _EXAMPLE, "confidence": 0.99},
                {"reference": _EXAMPLE[0], "targets": _EXAMPLE[1:]},
                {"pairs": [{"custom_id": "week-47", "source": _EXAMPLE[0], "target": _EXAMPLE[1]}]},
            ]
        },
    )

    pairs: Annotated[list[PairRequest], Field(min_length=1, max_length=MAX_PAIRS)] | None = None
    matrix: Annotated[list[SetId], Field(min_length=2, max_length=_MAX_SETS)] | None = Field(
        default=None, description="Every pair of these sets."
    )
    reference: SetId | None = Field(default=None, description="The source of every pair.")
    targets: Annotated[list[SetId], Field(min_length=1, max_length=MAX_PAIRS)] | None = None
    simultaneous: bool = Field(
        default=False,
        description="Adds a simultaneous bound to each result: all of those of the batch hold together (Bonferroni).",
    )
    priority: Priority = "normal"
    metadata: Metadata = Field(default_factory=dict, description="Your own labels.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.reference is None) != (self.targets is None):
            raise ValueError("reference and targets belong together")
        if sum(given is not None for given in (self.pairs, self.matrix, self.targets)) != 1:
            raise ValueError("give exactly one of pairs, matrix, or reference with targets")
        for name in ("matrix", "targets"):
            sets = getattr(self, name)
            if sets is not None and len(set(sets)) != len(sets):
                raise ValueError(f"{name} names a set twice")
        names = [pair.custom_id for pair in self.pairs or () if pair.custom_id is not None]
        if len(set(names)) != len(names):
            raise ValueError("pairs uses a custom_id twice")
        return self

    def submission(self, idempotency_key: str | None) -> BatchSubmission:
        options = self.model_dump(include={*Options.model_fields, "simultaneous"})
        digest = hashlib.sha256(self.model_dump_json().encode()).hexdigest() if idempotency_key else None
        common = (options, self.priority, self.metadata, idempotency_key, digest)
        if self.matrix is not None:
            return BatchSubmission("matrix", matrix_pairs(self.matrix), self.matrix, *common)
        if self.reference is not None and self.targets is not None:
            pairs = reference_pairs(self.reference, self.targets)
            return BatchSubmission("reference", pairs, [self.reference, *self.targets], *common)
        pairs = [
            Pair(pair.source, pair.target, f"pairs.{k}", pair.custom_id) for k, pair in enumerate(self.pairs or ())
        ]  # fmt: skip
        return BatchSubmission("pairs", pairs, None, *common)


class CountsView(BaseModel):
    """Estimates by state."""

    total: int
    queued: int
    running: int
    canceling: int
    succeeded: int
    failed: int
    canceled: int


class BatchView(BaseModel):
    """Estimates submitted together. `sets`: of a matrix all; of a reference batch the reference, then the targets."""

    id: str
    object: Literal["batch"] = "batch"
    status: BatchStatus
    kind: Literal["pairs", "matrix", "reference"]
    counts: CountsView
    sets: list[str] | None
    options: dict[str, Any]
    priority: Priority
    metadata: dict[str, str]
    created_at: str
    canceled_at: str | None


class MatrixView(BaseModel):
    """Figures by row and column: null where there is no result (yet); a set against itself is 0 with p-value 1."""

    batch: str
    complete: bool = Field(description="No estimate is queued or running.")
    rows: list[str]
    columns: list[str]
    value: list[list[float | None]]
    confidence: float = Field(description="Of each lower bound by itself, and of the simultaneous ones all together.")
    lower_bound: list[list[float | None]] = Field(description="Each holds by itself.")
    simultaneous_lower_bound: list[list[float | None]] = Field(
        description="All hold together; null unless the batch was asked for simultaneous bounds."
    )
    upper_bound: list[list[float | None]] = Field(
        description="Each holds by itself, at the same confidence; null unless the batch was given a diameter."
    )
    p_value: list[list[float | None]] = Field(description="Of each pair by itself.")
    adjusted_p_value: list[list[float | None]] = Field(
        description="Holm's adjustment: all pairs at most alpha differ, with an error of at most alpha in all."
    )


def _view(services: ServicesDep, batch: Batch) -> BatchView:
    with services.database.read() as session:
        counts = services.batches.counts(session, batch)
    return BatchView.model_validate(
        {
            "id": batch.id,
            "status": status_of(batch, counts),
            "kind": batch.kind,
            "counts": {"total": batch.size, **counts},
            "sets": batch.sets,
            "options": batch.options,
            "priority": batch.priority,
            "metadata": batch.labels,
            "created_at": rfc3339(batch.created_at),
            "canceled_at": None if batch.canceled_at is None else rfc3339(batch.canceled_at),
        }
    )


def _find(services: ServicesDep, caller: CallerDep, batch_id: str) -> Batch:
    with services.database.read() as session:
        return tenancy.find(session, Batch, caller.tenant_id, batch_id)


@router.post(
    "",
    status_code=202,
    dependencies=[Depends(require_json)],
    responses={
        202: {"headers": {"Location": {"schema": {"type": "string"}}, "Retry-After": {"schema": {"type": "integer"}}}},
        **responses(400, 404, 408, 413, 415, 422, 507),
    },
)
def create_batch(
    body: BatchRequest,
    response: Response,
    caller: CallerDep,
    services: ServicesDep,
    idempotency_key: Annotated[
        str | None, Header(min_length=1, max_length=255, description="The same key and body: the same batch.")
    ] = None,
) -> BatchView:
    """Queue many estimates, all or none of them."""
    batch = services.batches.submit(caller.tenant_id, body.submission(idempotency_key), caller.quota)
    response.headers["Location"] = f"/v1/batches/{batch.id}"
    response.headers["Retry-After"] = "1"
    return _view(services, batch)


@router.get("", responses=responses(422))
def list_batches(
    caller: CallerDep, services: ServicesDep, limit: LimitQuery = 20, after: AfterBatch = None
) -> Page[BatchView]:
    """The caller's batches, newest first."""
    with services.database.read() as session:
        rows, has_more = tenancy.page(session, tenancy.owned(Batch, caller.tenant_id), Batch, limit, after)
    return Page(
        data=[_view(services, row) for row in rows], has_more=has_more, next=rows[-1].id if has_more else None
    )  # fmt: skip


@router.get("/{batch_id}", responses=responses(404, 422))
def get_batch(batch_id: IdPath, caller: CallerDep, services: ServicesDep) -> BatchView:
    """State, and how many estimates are in which state."""
    return _view(services, _find(services, caller, batch_id))


@router.post("/{batch_id}/cancel", responses=responses(404, 422))
def cancel_batch(batch_id: IdPath, caller: CallerDep, services: ServicesDep) -> BatchView:
    """Stop every estimate of the batch that is not finished."""
    return _view(services, services.batches.cancel(caller.tenant_id, batch_id))


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
    batch = _find(services, caller, batch_id)

    def lines() -> Iterator[str]:
        for rows in services.batches.results(batch.id):
            yield "".join(_line(row) + "\n" for row in rows)

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
    format: Annotated[Literal["json", "npy"], Query(description="npy: one figure, nan where unknown.")] = "json",  # noqa: A002
    figure: Annotated[Figure, Query(description="Which one an npy answer holds.")] = "lower_bound",
) -> Any:
    """Distances of a matrix (K x K, mirrored, diagonal 0) or of a reference batch (1 x targets)."""
    batch = _find(services, caller, batch_id)
    matrix = services.batches.matrix(batch)
    if format == "npy":
        buffer = io.BytesIO()
        np.save(buffer, matrix.figures[figure], allow_pickle=False)
        headers = {"Content-Disposition": f'attachment; filename="{batch.id}.{figure}.npy"'}
        return Response(buffer.getvalue(), media_type="application/octet-stream", headers=headers)
    figures = {
        name: [[None if np.isnan(number) else number for number in row] for row in array.tolist()]
        for name, array in matrix.figures.items()
    }
    return MatrixView(
        batch=batch.id, complete=matrix.is_complete, rows=matrix.rows, columns=matrix.columns,
        confidence=batch.options["confidence"], **figures,
    )  # fmt: skip
