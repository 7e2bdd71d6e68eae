"""Request and response models of sample sets."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from wdist_service.decoding.formats import MAX_NAMES
from wdist_service.http.schemas import Name, rfc3339
from wdist_service.tables import SampleSet

ColumnName = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]  # PostgreSQL cannot store NUL
Member = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


class InlineSamples(BaseModel):
    """A small sample set inside a JSON body."""

    model_config = ConfigDict(extra="forbid")

    samples: Annotated[list[list[float]], Field(min_length=1)] | Annotated[list[float], Field(min_length=1)] = Field(
        description="Rows; numbers alone are one column."
    )
    columns: list[str] | None = Field(default=None, description="Names of the columns.")
    name: Name | None = None


class ColumnNames(BaseModel):
    """Names for the columns of a stored table."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"columns": ["carat", "price"]}]})

    columns: list[ColumnName] = Field(
        min_length=1, max_length=MAX_NAMES, description="One for each column, in their order; none twice."
    )


class SampleSetView(BaseModel):
    """An uploaded array."""

    id: str
    object: Literal["sample_set"] = "sample_set"
    name: str | None
    sha256: str
    bytes: int
    rows: int
    shape: list[int]
    dtype: str
    columns: list[str] | None = None
    created_at: str
    statistics: dict[str, Any]


def sample_set_view(row: SampleSet) -> SampleSetView:
    return SampleSetView(
        id=row.id, name=row.name, sha256=row.sha256, bytes=row.bytes, rows=row.rows, shape=row.shape, dtype=row.dtype,
        columns=row.column_names, created_at=rfc3339(row.created_at), statistics=row.statistics,
    )  # fmt: skip
