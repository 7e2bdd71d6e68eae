"""Request and response models of sample sets."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from wdist.data.readers.registry import FORMATS
from wdist.definitions.reading import Names, Selection
from wdist_service.decoding.formats import MAX_NAMES, Format
from wdist_service.http.schemas import Name, View, rfc3339
from wdist_service.tables import SampleSet
from wdist_service.text import TEXT

ColumnName = Annotated[str, StringConstraints(pattern=TEXT)]


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


class Sending(Selection):
    """How a body is to be read, and what to call it: the parameters of an upload."""

    model_config = ConfigDict(strict=False, extra="forbid")  # a misspelled "drop" would be data without a word

    name: Name | None = Field(default=None, description="Your name for it.")
    format: Format | None = Field(default=None, description="Of the body; default: by Content-Type.")
    filename: Name | None = Field(
        default=None,
        description="Name of the file sent; its ending says the format, before Content-Type.",
        json_schema_extra={"x-endings": [suffix for each in FORMATS.values() for suffix in each.suffixes]},
    )

    @property
    def selection(self) -> Selection:
        """How the body is to be read."""
        return Selection.model_validate(self.model_dump(include=set(Selection.model_fields)))


class SendingLevels(Sending):
    """How a table is to be read whose levels of one column become sets."""

    by: ColumnName = Field(
        min_length=1, max_length=200, description="The column whose levels are the sets; it is no column of these."
    )
    levels: Names | None = Field(default=None, description="Levels that are stored, in this order; default: all.")


LISTS = frozenset(name for name, field in Sending.model_fields.items() if "list[" in str(field.annotation))


class TableColumnView(BaseModel):
    """What a column of codes means; NaN is a missing value."""

    name: str
    kind: Literal["number", "boolean", "category", "time"] = Field(
        description="number: the value. boolean: 0 or 1. category: the place in levels. time: units since start."
    )
    levels: list[str] | None = Field(default=None, description="Of a category.")
    unit: str | None = Field(default=None, description="Of a time: seconds, minutes, hours or days.")
    start: str | None = Field(default=None, description="Of a time: when it is 0.")


class TableView(BaseModel):
    """What the columns of a coded table mean."""

    columns: list[TableColumnView]
    missing: bool = Field(description="Missing values are levels of their own.")


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
    table: TableView | None = Field(
        default=None, description="What the array's columns mean, unless they are plain numbers: it holds codes then."
    )
    notes: list[str] = Field(default=[], description="What was left out when the file was read.")
    file_sha256: str | None = Field(
        default=None, description="Of the bytes that were sent, before they became an array of that sha256."
    )
    reading: dict[str, Any] | None = Field(
        default=None, description="How they were read: the parameters that were not the defaults, if any."
    )
    created_at: str
    statistics: dict[str, Any]


class LevelsView(BaseModel):
    """The sets that a table was split into."""

    object: Literal["list"] = "list"
    by: str
    data: list[SampleSetView] = Field(description="One for each level: as asked for, or sorted as numbers or as text.")


@View
def sample_set_view(row: SampleSet) -> SampleSetView:
    return SampleSetView(
        id=row.id, name=row.name, sha256=row.sha256, bytes=row.bytes, rows=row.rows, shape=row.shape, dtype=row.dtype,
        columns=row.column_names, created_at=rfc3339(row.created_at), statistics=row.statistics,
        table=None if row.table_schema is None else TableView.model_validate(row.table_schema),
        notes=row.notes or [], file_sha256=row.file_sha256, reading=row.reading,
    )  # fmt: skip
