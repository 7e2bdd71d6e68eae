"""Response models of critic evaluations."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from wdist_service.http.schemas import ErrorView, maybe_rfc3339, rfc3339
from wdist_service.tables import Evaluation, Status


class EvaluationView(BaseModel):
    """f of the rows, in their order, and its gradient where it was asked for."""

    values: list[float] = Field(description="f(x) of each row; higher on target rows.")
    gradient: list[Any] | None = Field(default=None, description="Gradient of f at each row, shaped as the row.")


class EvaluationJobView(BaseModel):
    """An evaluation of every row of a stored set; `content` has it once `status` is succeeded."""

    id: str
    object: Literal["evaluation"] = "evaluation"
    status: Literal["queued", "running", "succeeded", "failed"]
    estimate: str
    sample_set: str
    gradient: bool
    rows: int
    done: int = Field(description="Rows that are evaluated.")
    bytes: int | None = Field(description="Of the result, an .npy file of float64.")
    error: ErrorView | None
    created_at: str
    finished_at: str | None


def job_view(row: Evaluation) -> EvaluationJobView:
    is_done = row.status == Status.SUCCEEDED
    return EvaluationJobView.model_validate(
        {
            "id": row.id,
            "status": row.status,
            "estimate": row.estimate_id,
            "sample_set": row.sample_set_id,
            "gradient": row.gradient,
            "rows": row.rows,
            "done": row.rows if is_done else (row.progress or {}).get("done", 0),
            "bytes": row.bytes if is_done else None,
            "error": row.error,
            "created_at": rfc3339(row.created_at),
            "finished_at": maybe_rfc3339(row.finished_at),
        }
    )
