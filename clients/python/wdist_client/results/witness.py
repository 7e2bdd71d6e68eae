"""Where two sets differ, according to the critic, as a server tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wdist_client import contract
from wdist_client.base import in_a_line

AMONG_KEPT = "Rows are numbered from 0 among those that were kept."
"""What is said of a witness of a server of an earlier version."""


class Witness:
    """Where the sets differ: what each column carries, the most unusual rows, and a histogram of the scores.

    The scores of all held-out rows stay where the result was made: ask the critic, or the library's `Result`, for them.

    Attributes:
        columns: those that carry most first, each with `name`, `attribution`, `value`, `lower_bound` and `histogram`;
            empty for images and tables of more than 200 columns.
        units: of scores.
        means: mean score of each set; they are the result's `unclipped` apart.
        numbering: what the numbers of unusual rows count, a sentence.
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        """record: as the library's `Witness.to_dict` gives it. Raises pydantic's ValidationError for anything else."""
        self._given = dict(record)
        self._record = contract.WitnessFigures.model_validate(self._given)
        self.columns = self._record.columns
        self.units = self._record.units
        self.means = self._record.means
        self.numbering = self._record.numbering or AMONG_KEPT

    def unusual(self, count: int = 10) -> dict[str, list[contract.WitnessRow]]:
        """The source rows with the lowest scores and the target rows with the highest, at most as many as are kept."""
        return {"source": self._record.unusual.source[:count], "target": self._record.unusual.target[:count]}

    def histogram(self) -> dict[str, list[float]]:
        """Share of each set's scores in bins of equal width: {"edges": bins + 1, "source": bins, "target": bins}."""
        return dict(self._given["histogram"])

    def to_dict(self) -> dict[str, Any]:
        """The witness as plain JSON types, as the library's."""
        return dict(self._given)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Witness) and self._given == other._given

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        columns = f", first {self.columns[0].name[:40]!r}" if self.columns else ""
        return in_a_line(f"<Witness: {len(self.columns):,} columns{columns}; the most unusual rows of both sets>")

    def __str__(self) -> str:
        from wdist_client.display.witness import witness_text

        return witness_text(self)

    def _repr_html_(self) -> str:
        from wdist_client.display.witness import witness_html

        return witness_html(self)
