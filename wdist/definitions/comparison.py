"""What a comparison answers: each figure is defined here and nowhere else.

The library's `Comparison`, the server's response and /openapi.json, and the client's models are made from these
definitions. Nothing here needs torch or the server.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

Answer = Literal["yes", "no", "more-rows", "no-number-of-rows"]
Kind = Literal["approximate", "finite-sample"]


class Standing(BaseModel):
    """One candidate: how far it is from the reference, and which places of the ranking it may have."""

    name: str = Field(description="Of the candidate.")
    position: int = Field(description="Where the candidate was given, from 0.")
    best: int = Field(description="The best place it may have: 1 more than the candidates shown to be closer.")
    worst: int = Field(description="The worst place it may have. Candidates whose places overlap are not told apart.")
    value: float = Field(description="What its critic shows on held-out rows: low on average.")
    lower_bound: float = Field(description="Its distance is at least this, together with all other statements.")
    upper_bound: float = Field(description="Its distance is at most this, together with all other statements.")


class Growth(BaseModel):
    """How many times as many rows would do, if the difference is the one that the critics show."""

    least: float = Field(description="If all uncertainty falls like that of a mean: the fewest.")
    most: float | None = Field(
        description="If the bias of transport does not fall at all; None: then no number of rows would do."
    )


class Difference(BaseModel):
    """Whether the first candidate is closer to the reference than the second, and by how much.

    The bounds are of W1(reference, second) - W1(reference, first): above 0 the first is closer.
    """

    first: str = Field(description="Name of the first candidate.")
    second: str = Field(description="Name of the second candidate.")
    shown: float = Field(description="Difference of the two values.")
    lower_bound: float = Field(description="The difference is at least this, together with all other statements.")
    upper_bound: float = Field(description="The difference is at most this, together with all other statements.")
    answer: Answer = Field(
        description="Is the first closer? yes; no: the second is; more-rows: these do not show it; "
        "no-number-of-rows: with these critics none would show that the first is closer."
    )
    within_delta: bool | None = Field(
        description="Whether both bounds lie within [-delta, delta]: equally near. None if no delta was given."
    )
    growth: Growth | None = Field(
        description="How many more rows would tell which is closer; None if that is known, or if the critics show no "
        "difference."
    )
    sentence: str = Field(description="The answer in words.")


class ComparisonFigures(BaseModel):
    """Which of several candidates is closer to a reference. All statements hold together with `confidence`."""

    reference: str = Field(description="Name of the reference.")
    confidence: float = Field(description="Of all distances, differences and places of the ranking together.")
    kind: Kind = Field(
        description="approximate: by the normal approximation; bounds are off if a part of a population that matters "
        "is rarer than about 10 rows of a set, or if tails are very heavy. finite-sample: for any number of rows, if "
        "diameter or ranges hold."
    )
    delta: float | None = Field(description="Candidates whose distances differ by at most this count as equally near.")
    units: str = Field(description="The units of all figures.")
    ranking: list[Standing] = Field(description="The candidates, closest first as far as these rows tell.")
    differences: list[Difference] = Field(description="Of every two candidates, in the order given.")
    missing: list[str] = Field(description="Candidates that have no result, and are left out.", default_factory=list)
    sentence: str = Field(description="The whole comparison in words.")
