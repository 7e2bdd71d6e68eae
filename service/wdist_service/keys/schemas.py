"""Request and response models of API keys."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from wdist_service.http.schemas import Name, View, maybe_rfc3339, rfc3339
from wdist_service.tables import ApiKey


class QuotaLimits(BaseModel):
    """What a key may use, counted over its tenant; null is the server's default."""

    model_config = ConfigDict(extra="forbid", strict=True)

    bytes: int | None = Field(default=None, ge=0, lt=1 << 63, description="Stored, and promised to uploads.")
    queued_jobs: int | None = Field(default=None, ge=0, lt=1 << 31, description="Waiting at a time.")
    device_seconds: float | None = Field(default=None, ge=0, allow_inf_nan=False, description="Used in 30 days.")
    requests_per_minute: int | None = Field(default=None, ge=1, lt=1 << 31, description="By this key, per API process.")


class KeyRequest(BaseModel):
    """A new API key."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Name | None = None
    role: Literal["admin", "user"] = "user"
    tenant: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")] = "local"
    quota: QuotaLimits | None = Field(default=None, description="Limits of this key; the server's where none is given.")


class KeyView(BaseModel):
    """An API key, without its secret."""

    id: str
    object: Literal["api_key"] = "api_key"
    name: str | None
    role: str
    tenant: str
    created_at: str
    revoked_at: str | None
    quota: QuotaLimits | None = None


class NewKeyView(KeyView):
    """A fresh API key; the secret is shown this once."""

    secret: str


@View
def key_view(row: ApiKey) -> KeyView:
    return KeyView(
        id=row.id, name=row.name, role=row.role, tenant=row.tenant_id, created_at=rfc3339(row.created_at),
        revoked_at=maybe_rfc3339(row.revoked_at), quota=None if row.quota is None else QuotaLimits(**row.quota),
    )  # fmt: skip
