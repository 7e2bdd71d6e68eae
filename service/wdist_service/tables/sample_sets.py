"""Sample sets, and the uploads that become some."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    String,
    Text,
)
from sqlalchemy.orm import Mapped, mapped_column, validates

from wdist_service.tables.base import Base, OwnedRow
from wdist_service.text import search_key


class SampleSet(OwnedRow):
    """An uploaded array: immutable, stored under its sha256, which sets with other names or levels may share."""

    prefix, noun = "ss", "sample set"
    __tablename__ = "sample_sets"
    __table_args__ = (
        Index("ix_sample_sets_tenant", "tenant_id", "id"),
        Index("ix_sample_sets_named", "tenant_id", "name_key", "id"),  # all that a search for a name reads
        Index("ix_sample_sets_stored", "tenant_id", "stored_bytes"),
    )

    name: Mapped[str | None] = mapped_column(String(200))
    name_key: Mapped[str | None] = mapped_column(Text)  # the name as a search compares it
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    rows: Mapped[int] = mapped_column(BigInteger)
    shape: Mapped[list[Any]]
    dtype: Mapped[str] = mapped_column(String(16))
    statistics: Mapped[dict[str, Any]]
    column_names: Mapped[list[Any] | None]
    # Of a table that is not plain numbers: what its codes mean (wdist.data.tables.schema.TableSchema).
    table_schema: Mapped[dict[str, Any] | None]
    notes: Mapped[list[Any] | None]  # what was left out when the file was read; None: nothing
    reading: Mapped[dict[str, Any] | None]  # how the file was read, without defaults; None: by the defaults
    file_sha256: Mapped[str | None] = mapped_column(String(64))  # of the body as sent; None: sent to an earlier version
    identity: Mapped[str | None] = mapped_column(String(64), unique=True)  # sample_sets/identity.py
    stored_bytes: Mapped[int] = mapped_column(BigInteger, default=0)  # that count towards the quota of its owner
    created_at: Mapped[float]
    used_at: Mapped[float | None]  # when it was sent again, or a job that has since been deleted used it last

    @validates("name")
    def _is_found_by(self, _: str, name: str | None) -> str | None:
        self.name_key = None if name is None else search_key(name)
        return name


class Upload(OwnedRow):
    """A resumable upload. `lock` names the request that may add to it while its process, `holder_id`, lives."""

    prefix, noun = "up", "upload"
    __tablename__ = "uploads"
    __table_args__ = (Index("ix_uploads_tenant", "tenant_id"), Index("ix_uploads_expires", "expires_at"))

    length: Mapped[int] = mapped_column(BigInteger)
    offset: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str | None] = mapped_column(String(200))
    format: Mapped[str] = mapped_column(String(16))
    member: Mapped[str | None] = mapped_column(String(200))
    given: Mapped[str] = mapped_column("metadata", Text)  # the Upload-Metadata header, returned unchanged
    created_at: Mapped[float]
    expires_at: Mapped[float]
    lock: Mapped[str | None] = mapped_column(String(40))
    holder_id: Mapped[str | None] = mapped_column(String(40))
    sample_set_id: Mapped[str | None] = mapped_column(String(40))  # once complete
    error: Mapped[str | None] = mapped_column(Text)  # why the upload cannot become a sample set


class UploadPart(Base):
    """Bytes of an upload that are safely on disk, stored under their sha256."""

    __tablename__ = "upload_parts"

    upload_id: Mapped[str] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True)
    offset: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64), index=True)
