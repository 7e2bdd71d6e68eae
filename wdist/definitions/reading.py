"""How a file or a frame becomes rows: each option is defined here and nowhere else.

The keyword arguments of the library and of the client, the flags of the command line, the parameters of an upload and
the form of the web page are made from these fields, as those of an estimate are from `wdist.options.Options`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationInfo, field_validator

from wdist.definitions.forms import words
from wdist.definitions.refusals import checked


def _listed(value: Any) -> Any:
    """A list for one name, a tuple or another collection of names; the rest as it is."""
    if isinstance(value, str):
        return [value]
    return list(value) if isinstance(value, tuple | set | frozenset) else value


Name = Annotated[str, Field(min_length=1, max_length=200)]
Names = Annotated[list[Name], Field(max_length=1000), BeforeValidator(_listed)]


class Reading(BaseModel):
    """How a file or a frame is read. The same reading applies to all sets that are compared."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    _needed: tuple[str, ...] | None = PrivateAttr(None)
    _leaves_others: bool = PrivateAttr(False)

    columns: Names | None = Field(
        default=None,
        description="Take these columns of a table only, in this order.",
        json_schema_extra=words("Columns to take"),
    )
    drop: Names = Field(
        default=[], description="Leave these columns of a table out.", json_schema_extra=words("Columns to leave out")
    )
    categories: Names = Field(
        default=[],
        description="Columns whose values are names of levels, such as text: two different levels are category_cost "
        "apart.",
        json_schema_extra=words("Columns of categories"),
    )
    dates: Names = Field(
        default=[],
        description="Columns of text that hold dates or times in ISO 8601.",
        json_schema_extra=words("Columns of dates as text"),
    )
    time_unit: Literal["seconds", "minutes", "hours", "days"] | None = Field(
        default=None,
        description="Unit of dates and times as numbers; tables with such columns need it.",
        json_schema_extra=words("Unit of times"),
    )
    time_start: str | None = Field(
        default=None,
        max_length=40,
        description="The time that is 0, in ISO 8601; by default 1970-01-01.",
        json_schema_extra=words("The time that is 0"),
    )
    missing: Literal["error", "drop", "level"] = Field(
        default="error",
        description="What a missing value is. error: a reason to refuse the table. drop: a reason to leave its row "
        "out. level: a level of its own, category_cost away from every value; a number is then at its column's centre.",
        json_schema_extra=words(
            "A missing value is",
            error="a reason to refuse the file",
            drop="a reason to leave out its row",
            level="a level of its own",
        ),
    )
    member: str | None = Field(
        default=None,
        max_length=200,
        description="Array to take from an .npz file.",
        json_schema_extra=words("Array of an .npz file"),
    )
    decimal: Literal[".", ","] | None = Field(
        default=None, description="Decimal mark of numbers in CSV.", json_schema_extra=words("Decimal mark")
    )
    separator: str | None = Field(
        default=None,
        min_length=1,
        max_length=1,
        description="What separates cells of CSV.",
        json_schema_extra=words("Separator of cells"),
    )
    thousands: Literal[",", ".", " ", "'", "_"] | None = Field(
        default=None,
        description="What groups the digits of numbers in CSV.",
        json_schema_extra=words("Mark between thousands"),
    )
    header: bool | None = Field(
        default=None,
        description="Whether the first line of CSV, or row of a sheet, is names.",
        json_schema_extra=words("First line holds names", null="as it looks", true="yes", false="no"),
    )
    encoding: str | None = Field(
        default=None,
        max_length=40,
        description="Encoding of CSV, where it is not UTF-8.",
        json_schema_extra=words("Encoding"),
    )
    sheet: str | None = Field(
        default=None,
        max_length=200,
        description="Sheet of an Excel file that has several.",
        json_schema_extra=words("Sheet"),
    )
    embedding: str | None = Field(
        default=None,
        max_length=200,
        description="Rows of an .h5ad file: this entry of obsm instead of X.",
        json_schema_extra=words("Embedding"),
    )
    subfolders: bool = Field(
        default=False,
        description="Take the images of a folder's subfolders, too.",
        json_schema_extra=words("Subfolders"),
    )

    @classmethod
    def checked(cls, **given: Any) -> Self:
        """The reading with these values. Raises OptionError, which names the option and what it must be."""
        return checked(cls, given)

    def for_more(self, columns: Sequence[str] | None, *, leaves_others: bool = False) -> Self:
        """The same reading for rows that are read later, of which these columns are needed.

        Those that it leaves out need not be there then. columns: None if their names are not known. leaves_others:
        whether columns that nobody needs are left out, too, instead of refused.
        """
        again = self.model_copy()
        again._needed, again._leaves_others = tuple(columns or ()), leaves_others
        return again

    @property
    def needed(self) -> tuple[str, ...] | None:
        """The columns that rows read later must have; None where the reading is of the first rows."""
        return self._needed

    @property
    def leaves_others(self) -> bool:
        """Whether columns of rows read later that nobody needs are left out."""
        return self._leaves_others

    @field_validator("categories", "dates")
    @classmethod
    def _is_taken(cls, names: list[str], others: ValidationInfo) -> list[str]:
        for name in names:
            if name in (others.data.get("drop") or ()):
                raise ValueError(f"column {name!r} is in drop, too: leave it out of one of them")
            if (columns := others.data.get("columns")) is not None and name not in columns:
                raise ValueError(f"column {name!r} is not in columns: add it there, or leave it out here")
            if others.field_name == "dates" and name in (others.data.get("categories") or ()):
                raise ValueError(f"column {name!r} is in categories, too: leave it out of one of them")
        return names

    @field_validator("separator")
    @classmethod
    def _separates(cls, mark: str | None) -> str | None:
        if mark is not None and (not mark.isascii() or mark in '\0\r\n"'):
            raise ValueError("it must be one ASCII character that is no quote and no end of a line")
        return mark

    @property
    def of_a_table(self) -> bool:
        """Whether something is asked of columns by their names."""
        return self.columns is not None or bool(self.drop or self.categories or self.dates)


class Selection(Reading):
    """A reading of rows; with `labels`, of one column of group labels instead, of the rows that the reading keeps."""

    labels: Name | None = Field(
        default=None, description="Take this column of a table only: labels of groups, which may be text."
    )

    @classmethod
    def of(cls, reading: Reading, *, groups: str | None = None, labels: str | None = None) -> Self:
        """What a reading takes: the rows without the column `groups`, or with `labels` the labels of these rows."""
        fields = {name: getattr(reading, name) for name in Reading.model_fields}
        if labels is not None:
            fields["labels"] = labels
        elif groups is not None:
            fields["drop"] = [*dict.fromkeys([*reading.drop, groups])]
        made = cls.checked(**fields)
        if reading.needed is None:
            return made
        return made.for_more(reading.needed, leaves_others=reading.leaves_others)

    @property
    def of_a_table(self) -> bool:
        return self.labels is not None or super().of_a_table
