"""The answer of an estimate in plain words. All surfaces show these words and no others.

A sentence here follows from the figures alone, so that an old stored result is told as a new one is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

from wdist.definitions.figures import percent, short
from wdist.definitions.results.withdrawn import withdrawn

Kind = Literal["differ", "size_unknown", "no_evidence", "contradiction", "withdrawn"]


class Verdict(BaseModel):
    """What an estimate says about two populations, in words."""

    kind: Kind = Field(
        description="differ: and the distance has a lower bound above 0. size_unknown: they differ, but the lower "
        "bound is 0. no_evidence: of a difference. contradiction: the bounds contradict each other. withdrawn: the "
        "bounds of an earlier version must not be used."
    )
    headline: str = Field(description="The answer in one short sentence.")
    distance: str = Field(description="Between which bounds the distance lies, or what is known of it.")
    size: str | None = Field(description="What to compare the distance with: how far apart two rows of one set are.")
    caveat: str | None = Field(description="What the confidence takes for granted and is not so here; else null.")

    @property
    def text(self) -> str:
        """All sentences."""
        return " ".join(filter(None, (self.headline, self.distance, self.size, self.caveat)))


def verdict(result: Mapping[str, Any]) -> Verdict:
    """The verdict on a result as `Result.to_dict` gives it; figures that older results lack may be missing.

    Two sets are said to differ if the lower bound is above 0 or if the p-value is at most 1 - confidence.
    """
    taken_back = withdrawn(result)
    lost = set() if taken_back is None else set(taken_back.figures)
    if taken_back is not None and lost & {"lower_bound", "p_value"}:
        return Verdict(
            kind="withdrawn", headline="No answer: run this estimate again.", distance=taken_back.reason, size=None,
            caveat=None,
        )  # fmt: skip
    said = _Words({**result, "upper_bound": None} if "upper_bound" in lost else result)
    kind = said.kind()
    return Verdict(
        kind=kind, headline=said.headline(kind), distance=said.distance(kind), size=said.size(), caveat=said.caveat()
    )


class _Words:
    """The sentences about one result."""

    def __init__(self, result: Mapping[str, Any]) -> None:
        self.result = result
        self.confidence: float = result["confidence"]
        self.lower: float = result["lower_bound"]
        self.upper: float | None = result.get("upper_bound")
        self.p_value: float | None = result.get("p_value")
        self.unit = unit_noun(result)

    def kind(self) -> Kind:
        if self.upper is not None and self.upper < self.lower:
            return "contradiction"
        if self.lower > 0:
            return "differ"
        return "size_unknown" if self._is_significant() else "no_evidence"

    def headline(self, kind: Kind) -> str:
        if kind == "contradiction":
            return "The bounds contradict each other."
        if kind == "no_evidence":
            return "No evidence of a difference."
        if self._is_significant():
            return f"They differ ({p_in_words(self.p_value or 0.0)})."
        return f"They differ ({self._about}{percent(self.confidence)} confidence)."

    def distance(self, kind: Kind) -> str:
        shown = f"the critic shows {short(self.result['value'])}"
        if kind == "contradiction":
            return (
                f"The distance would be at least {self._least()} and at most {self._most()}{self.unit}; {shown}. "
                "One of the two is wrong: by chance, which is rare, or because the rows are not independent draws."
            )
        if kind == "differ":
            between = (
                f"between {self._least()} and {self._most()}" if self.upper is not None else f"at least {self._least()}"
            )
            return f"The distance is {between}{self.unit}; {shown}."
        if kind == "size_unknown":
            most = "" if self.upper is None else f" The distance is at most {self._most()}{self.unit}; {shown}."
            return f"There are too few rows to say by how much: {self._needed()}.{most}"
        if self.upper is None:
            return f"How large a difference may be hidden is not known; {shown}{self.unit}."
        return f"If there is one, the distance is below {self._most()}{self.unit}; {shown}."

    def size(self) -> str | None:
        spread = self.result.get("spread")
        if spread is None:
            return None
        return f"For comparison, two random rows of the source are {short(spread)} apart on average."

    def caveat(self) -> str | None:
        if self.result.get("split") != "blocks":
            return None
        return "Rows ordered in time depend on their neighbours: the true confidence may be far lower."

    def _is_significant(self) -> bool:
        return self.p_value is not None and self.p_value <= 1 - self.confidence

    @property
    def _about(self) -> str:
        return "approximately " if self.result.get("split") == "blocks" else ""

    def _least(self) -> str:
        return f"{rounded_down(self.lower)} ({self._about}{percent(self.confidence)})"

    def _most(self) -> str:
        about = ", approximate" if self.result.get("upper_kind") == "approximate" else ""
        return f"{rounded_up(self.upper or 0.0)} ({percent(self.confidence)}{about})"

    def _needed(self) -> str:
        needed = self.result.get("rows_needed")
        if needed is None:
            return "how many would do is not known"
        unit = "rows" if self.result.get("groups") is None else "groups"
        source, target = (_two_digits(needed[side]) for side in ("source", "target"))
        if source == target:
            return f"about {source} {unit} of each set would do"
        return f"about {source} {unit} of the source and {target} of the target would do"


def p_in_words(p_value: float) -> str:
    """A p-value as papers print it: p < 0.001, p = 0.0017, p = 0.21."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"


def unit_noun(result: Mapping[str, Any]) -> str:
    """What stands behind a distance, with a space before it: " standard deviations"; "" where units are as given."""
    scale = result.get("scale")
    kind = scale.get("kind") if isinstance(scale, Mapping) else None
    if kind in ("standardize", "reference"):
        return " standard deviations"
    if kind in ("robust", "robust_reference"):
        return " robust standard deviations"
    if kind in ("number", "vector"):
        return " in units of the given scale"
    if "pixels" in str(result.get("units", "")):
        return " in Euclidean distance of pixels from 0 to 1"
    return " in the data's own units"


def rounded_down(number: float) -> str:
    """A lower bound with three digits, never above itself."""
    return _rounded(number, math.floor)


def rounded_up(number: float) -> str:
    """An upper bound with three digits, never below itself."""
    return _rounded(number, math.ceil)


def _rounded(number: float, towards: Any) -> str:
    if number == 0 or not math.isfinite(number):
        return short(number)
    digit = 10.0 ** (math.floor(math.log10(abs(number))) - 2)
    return short(towards(number / digit) * digit)


def _two_digits(count: int) -> str:
    unit = 10 ** max(0, len(str(count)) - 2)
    return f"{round(count / unit) * unit:,}"
