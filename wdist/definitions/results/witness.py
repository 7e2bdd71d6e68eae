"""What a witness says as JSON: the library's `Witness.to_dict`, and the server's answer."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import BaseModel, Field, with_config
from typing_extensions import TypedDict  # pydantic cannot read typing's before Python 3.12

from wdist.definitions.figures import Sides


@with_config(extra="allow")
class ColumnHistogram(TypedDict):
    """The values of one column: the share of each set's held-out rows in each bin, or of each level.

    A set's shares sum to 1, that of missing values included. Its categories have levels, other columns have edges.
    """

    edges: NotRequired[
        Annotated[
            list[float] | list[str],
            Field(
                description="Edges of at most 20 bins: numbers in the table's own units, or times in ISO 8601. A bin "
                "holds its left edge, not its right one; the outermost bins also hold whatever lies beyond them."
            ),
        ]
    ]
    levels: NotRequired[
        Annotated[
            list[str],
            Field(
                description="The most frequent levels of a category, and what the others are together; of a boolean, "
                "false and true."
            ),
        ]
    ]
    source: Annotated[list[float], Field(description="Shares in the bins, or of the levels.")]
    target: Annotated[list[float], Field(description="The same, of the target.")]
    missing: NotRequired[
        Annotated[Sides | None, Field(description="Shares of missing values, where the column may have some.")]
    ]


@with_config(extra="allow")
class ScoreHistogram(TypedDict):
    """Shares of each set's held-out scores in bins of equal width; edges: one more than bins."""

    edges: list[float]
    source: list[float]
    target: list[float]


class WitnessRow(BaseModel):
    """A held-out row that is least like the other set."""

    row: int = Field(description="Its number, from 0, as `numbering` says.")
    score: float = Field(description="The critic's score over its Lipschitz bound, not clipped.")


class WitnessRows(BaseModel):
    """The most unusual held-out rows of both sets."""

    source: list[WitnessRow] = Field(description="Those with the lowest scores, the lowest first.")
    target: list[WitnessRow] = Field(description="Those with the highest scores, the highest first.")


class WitnessColumn(BaseModel):
    """What one column of a table contributes to the distance."""

    name: str = Field(description="Of the column, or its number.")
    attribution: float = Field(description="Share of the critic's difference that this column carries, 0 to 1.")
    value: float = Field(description="W1 of this column alone, on held-out rows.")
    lower_bound: float | None = Field(
        description="W1 of this column is at least this. The bounds of all columns hold at once. Null if rows are not "
        "independent (groups, blocks of time)."
    )
    histogram: ColumnHistogram | None = Field(description="Its values in both sets; null in a file of version 0.1.")


class WitnessFigures(BaseModel):
    """Where two sets differ, according to the critic, on held-out rows."""

    units: str = Field(description="What a score of 1 means.")
    means: Sides | None = Field(
        description="Mean score of each set, of groups the mean of their means. Target less source is `unclipped` of "
        "the result."
    )
    numbering: str | None = Field(
        default=None,
        description="What the numbers of unusual rows count. Rows of a stored set that were left out when it was read "
        "have no number. Null in a witness of an earlier version, which counts the rows that were kept.",
    )
    unusual: WitnessRows
    histogram: ScoreHistogram = Field(description="The scores of all held-out rows.")
    columns: list[WitnessColumn] = Field(
        description="By what they carry; empty for images and for tables of more than 200 columns."
    )
