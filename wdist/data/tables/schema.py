"""The schema of a coded table: what each column of its array of codes means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

Kind = Literal["number", "boolean", "category", "time"]


@dataclass(frozen=True)
class TableColumn:
    """A column of codes, float64; NaN is a missing value.

    kind: number: the value; boolean: 0 or 1; category: the place in `levels`; time: units of time since `start`.
    levels: names of the levels, each once, in the order in which they were met. unit, start: of times, as
    `Reading.time_unit` and `Reading.time_start` say it.
    """

    name: str
    kind: Kind
    levels: tuple[str, ...] = ()
    unit: str | None = None
    start: str | None = None

    def to_json(self) -> dict[str, Any]:
        described: dict[str, Any] = {"name": self.name, "kind": self.kind}
        if self.kind == "category":
            described["levels"] = list(self.levels)
        if self.kind == "time":
            described |= {"unit": self.unit, "start": self.start}
        return described

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        return cls(
            stored["name"], stored["kind"], tuple(stored.get("levels", ())), stored.get("unit"), stored.get("start")
        )


@dataclass(frozen=True)
class TableSchema:
    """The columns of an array of codes (n, k), and whether missing values are levels (`has_levels_of_missing`).

    A table of plain numbers without missing values has no schema: its array holds the numbers in their own type.
    """

    columns: tuple[TableColumn, ...]
    has_levels_of_missing: bool = False

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def to_json(self) -> dict[str, Any]:
        return {"columns": [column.to_json() for column in self.columns], "missing": self.has_levels_of_missing}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        return cls(tuple(TableColumn.from_json(each) for each in stored["columns"]), bool(stored["missing"]))

    @classmethod
    def of_numbers(cls, names: Sequence[str], *, has_levels_of_missing: bool = False) -> Self:
        """The schema of a table of numbers, for one that is compared with a table that has a schema."""
        return cls(tuple(TableColumn(name, "number") for name in names), has_levels_of_missing)
