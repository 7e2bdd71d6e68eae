"""Response model of resumable uploads."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from wdist_service.http.schemas import ErrorView, View, rfc3339
from wdist_service.tables import Upload


class UploadView(BaseModel):
    """A resumable upload."""

    id: str
    object: Literal["upload"] = "upload"
    status: Literal["incomplete", "complete", "failed"]
    name: str | None
    format: str
    offset: int
    length: int
    sample_set: str | None = Field(description="What it became.")
    error: ErrorView | None
    created_at: str
    expires_at: str


@View
def upload_view(row: Upload) -> UploadView:
    status = "complete" if row.sample_set_id is not None else "incomplete"
    return UploadView.model_validate(
        {
            "id": row.id,
            "status": status if row.error is None else "failed",
            "name": row.name,
            "format": row.format,
            "offset": row.offset,
            "length": row.length,
            "sample_set": row.sample_set_id,
            "error": None if row.error is None else {"type": "invalid", "message": row.error},
            "created_at": rfc3339(row.created_at),
            "expires_at": rfc3339(row.expires_at),
        }
    )
