"""The answer of an estimate in plain words. All surfaces show these words and no others.

A sentence here follows from the figures alone, so that an old stored result is told as a new one is.

One test decides whether two sets are said to differ, because two would say so falsely more often than 1 - confidence
allows. Of rows it is the permutation test, which is exact and finds smaller differences than the bound. Of groups and
blocks of time it is the lower bound: the p-value of groups comes from weaker bets, and blocks have none. Where the
other test alone says that they differ, the answer is "undecided". docs/benchmarks/calibration.md has what was measured.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, Field

from wdist.definitions.figures import percent
from wdist.definitions.results.numbers import rounded_down, rounded_up, three_digits, two_digits
from wdist.definitions.results.withdrawn import withdrawn

_CATEGORY = re.compile(r"two levels of a category are (\S+) apart$")  # at the end of the units of tables that have some

Kind = Literal["differ", "size_unknown", "undecided", "no_evidence", "contradiction", "withdrawn"]


class Verdict(BaseModel):
    """What an estimate says about two populations, in words."""

    kind: Kind = Field(
        description="differ: and the distance has a lower bound above 0. size_unknown: they differ, but the lower "
        "bound is 0. undecided: one of the two tests says that they differ, but not the one that decides. no_evidence: "
        "of a difference. contradiction: the bounds contradict each other. withdrawn: the bounds of an earlier version "
        "must not be used."
    )
    headline: str = Field(description="The answer in one short sentence.")
    distance: str = Field(description="Between which bounds the distance lies, or what is known of it.")
    size: str | None = Field(description="What to compare the distance with: how far apart two rows of one set are.")
    caveat: str | None = Field(
        description="What else to know: of statements that are read together, groups, blocks of time; else null."
    )

    @property
    def text(self) -> str:
        """All sentences."""
        return " ".join(filter(None, (self.headline, self.distance, self.size, self.caveat)))


@dataclass(frozen=True)
class Ends:
    """The bounds of a distance, and the error at which each of them may be wrong."""

    lower: float
    upper: float | None
    alpha: float


def verdict(result: Mapping[str, Any]) -> Verdict:
    """The verdict on a result as `Result.to_dict` gives it; figures that older results lack may be missing."""
    taken_back = withdrawn(result)
    lost = set() if taken_back is None else set(taken_back.figures)
    if taken_back is not None and lost & {"lower_bound", "p_value"}:
        said = f"{taken_back.reason} {taken_back.action}"
        return Verdict(
            kind="withdrawn", headline="No answer: run this estimate again.", distance=said, size=None, caveat=None
        )
    words = _Words(result, None if taken_back is None else taken_back.reason)
    return Verdict(
        kind=words.kind, headline=words.headline(), distance=words.distance(), size=words.size(), caveat=words.caveat()
    )


def kind_of(ends: Ends, p_value: float | None, split: str) -> Kind:
    """What bounds and a p-value, None if there is none, say at the error of the bounds. split: that of the result."""
    if ends.upper is not None and ends.upper < ends.lower:
        return "contradiction"
    by_bound, by_p_value = ends.lower > 0, p_value is not None and p_value <= ends.alpha
    if by_bound == by_p_value:
        return "differ" if by_bound else "no_evidence"
    if split == "random" and p_value is not None:
        return "size_unknown" if by_p_value else "undecided"
    return "differ" if by_bound else "undecided"


class _Words:
    """The sentences about one result. lost: why its upper bound is withdrawn, if it is."""

    def __init__(self, result: Mapping[str, Any], lost: str | None) -> None:
        self.result, self.lost = result, lost
        self.confidence: float = result["confidence"]
        self.p_value: float | None = result.get("p_value")
        self.ends = self._ends(result, error_of(result["confidence"]))
        self.kind = self._kind(self.ends)
        self.unit = unit_noun(result)

    def headline(self) -> str:
        if self.kind == "contradiction":
            return "The bounds contradict each other."
        p_value = None if self.p_value is None else p_in_words(self.p_value, self.ends.alpha)
        if self.kind == "no_evidence":
            return f"No evidence of a difference{'' if p_value is None else f' ({p_value})'}."
        if self.kind == "undecided":
            return f"Undecided ({p_value}): one test says that they differ, the other does not."
        if p_value is None or not self._says_p_value(self.ends):
            return f"They differ ({self._sure()})."
        return f"They differ ({p_value})."

    def distance(self) -> str:
        return " ".join(filter(None, (self._what_is_missing(), self._how_far(), self._no_upper_bound())))

    def size(self) -> str | None:
        spread = self.result.get("spread")
        if spread is None:
            return None
        cost = _CATEGORY.search(str(self.result.get("units", "")))
        counted = "" if cost is None else f"; another level of a category counts {cost[1]}"
        return f"For comparison, two random rows of the source are {three_digits(spread)} apart on average{counted}."

    def caveat(self) -> str | None:
        return " ".join(filter(None, (self._together(), self._of_groups(), self._of_blocks()))) or None

    def _ends(self, of: Mapping[str, Any], alpha: float) -> Ends:
        return Ends(of["lower_bound"], None if self.lost is not None else of.get("upper_bound"), alpha)

    def _kind(self, ends: Ends) -> Kind:
        split = "groups" if self._has_groups else self.result.get("split", "random")
        return kind_of(ends, self.p_value, split)

    @property
    def _has_groups(self) -> bool:
        return self.result.get("groups") is not None

    def _says_p_value(self, ends: Ends) -> bool:
        return self.p_value is not None and self.p_value <= ends.alpha

    def _what_is_missing(self) -> str | None:
        """Why the size is not known, or what the two tests say."""
        if self.kind == "size_unknown":
            needed = self._needed()
            would_do = "" if needed is None else f" About {needed} would do, {self._if_shown}."
            return f"There are too few rows to say by how much: the lower bound is 0.{would_do}"
        if self.kind != "undecided":
            return None
        if self.ends.lower > 0:
            return (
                f"By the lower bound alone, the distance is at least {self._least()}{self.unit}; the p-value, which "
                "decides, does not confirm a difference. More rows may tell."
            )
        needed = self._needed()
        more = "More groups may tell." if needed is None else f"About {needed} would tell, {self._if_shown}."
        return f"By the p-value alone they differ; the lower bound, which decides, is 0. {more}"

    _if_shown = "if the distance is what the critic shows"

    def _how_far(self) -> str:
        ends, shown = self.ends, self._shown()
        if self.kind == "contradiction":
            return (
                f"The distance would be at least {self._least()} and at most {self._most()}{self.unit}; {shown}. "
                "One of the two is wrong: by chance, which is rare, or because the rows are not independent draws."
            )
        if self.kind == "differ":
            if ends.upper is None:
                return f"The distance is at least {self._least()}{self.unit}; {shown}."
            return f"The distance is between {self._least()} and {self._most()}{self.unit}; {shown}."
        if ends.upper is None:
            if self.kind == "no_evidence":
                return f"How large a difference these rows may hide is not known; {shown}{self._shown_unit()}."
            return f"{shown[0].upper()}{shown[1:]}{self._shown_unit()}."
        is_open = self.kind == "no_evidence" and ends.upper > 0
        start = "If there is one, the distance is" if is_open else "The distance is"
        return f"{start} at most {self._most()}{self.unit}; {shown}."

    def _shown(self) -> str:
        value = self.result["value"]
        if value <= 0:
            return "the critic shows none"
        said = f"the critic shows {three_digits(value)}"
        if self.kind != "contradiction" and self.ends.upper is not None and value > self.ends.upper:
            return f"{said}, by chance more than that"
        return said

    def _shown_unit(self) -> str:
        return "" if self.result["value"] <= 0 else self.unit

    def _no_upper_bound(self) -> str | None:
        if self.lost is not None:
            return f"The upper bound is withdrawn: {self.lost}"
        reason = self.result.get("no_upper_bound")
        return None if self.ends.upper is not None or reason is None else f"There is no upper bound: {reason}."

    def _together(self) -> str | None:
        """What holds at once with the other statements that are read together."""
        found = self.result.get("simultaneous")
        if found is None or self.kind == "contradiction":
            return None
        count = found["statements"]
        ends = self._ends(found, self.ends.alpha / count)
        said = f"Together with all {count:,} statements,"
        kind = self._kind(ends)
        if kind == "differ":
            upper = "" if ends.upper is None else f" and {self._most(ends)}"
            between = f"between {self._least(ends)}{upper}" if upper else f"at least {self._least(ends)}"
            return f"{said} it is {between}."
        most = "" if ends.upper is None else f" It is then at most {self._most(ends)}."
        if kind == "size_unknown":
            return f"{said} they still differ.{most}"
        if kind == "undecided":
            return f"{said} one test says that they differ, the other does not.{most}"
        if self.kind in ("differ", "size_unknown"):
            return f"{said} this may be chance: among so many, one may seem to differ.{most}"
        return f"{said} it is at most {self._most(ends)}." if most else None

    def _of_groups(self) -> str | None:
        if not self._has_groups:
            return None
        return "Groups count equally, whatever their sizes: a draw is a group and then a row of it."

    def _of_blocks(self) -> str | None:
        if self.result.get("split") != "blocks":
            return None
        return "Rows ordered in time depend on their neighbours: the true confidence may be far lower."

    def _sure(self) -> str:
        about = "approximately " if self.result.get("split") == "blocks" else ""
        return f"{about}{percent(self.confidence)} confidence"

    def _least(self, ends: Ends | None = None) -> str:
        about = ", approximate" if self.result.get("split") == "blocks" else ""
        return f"{rounded_down((ends or self.ends).lower)} ({percent(self.confidence)}{about})"

    def _most(self, ends: Ends | None = None) -> str:
        about = ", approximate" if self.result.get("upper_kind") == "approximate" else ""
        return f"{rounded_up((ends or self.ends).upper or 0.0)} ({percent(self.confidence)}{about})"

    def _needed(self) -> str | None:
        """How many rows or groups would do, in words."""
        needed = self.result.get("rows_needed")
        if needed is None:
            return None
        unit = "groups" if self._has_groups else "rows"
        source, target = (two_digits(needed[side]) for side in ("source", "target"))
        if source == target:
            return f"{source} {unit} of each set"
        return f"{source} {unit} of the source and {target} of the target"


def error_of(confidence: float) -> float:
    """1 - confidence, as it is written: 0.1 for 0.9, where floating-point numbers give a little less."""
    return float(1 - Decimal(repr(float(confidence))))


def p_in_words(p_value: float, alpha: float | None = None) -> str:
    """A p-value as papers print it: p < 0.001, p = 0.0017, p = 0.21.

    It has more digits where two would put it on the wrong side of alpha.
    """
    if p_value < 0.001 and (alpha is None or alpha >= 0.001):
        return "p < 0.001"
    shown = next(_digits_that_tell(p_value, alpha))
    return f"p = {shown}"


def _digits_that_tell(p_value: float, alpha: float | None) -> Iterator[str]:
    for digits in range(2, 18):
        shown = f"{p_value:.{digits}g}"
        if alpha is None or (float(shown) <= alpha) == (p_value <= alpha):
            yield shown
    yield repr(p_value)


def unit_noun(result: Mapping[str, Any]) -> str:
    """What stands behind a distance, as it follows the number: " standard deviations", " in the data's own units"."""
    scale = result.get("scale")
    kind = scale.get("kind") if isinstance(scale, Mapping) else None
    if kind in ("standardize", "reference"):
        return " standard deviations"
    if kind in ("robust", "robust_reference"):
        return " robust standard deviations"
    if kind in ("number", "vector"):
        return " in units of the given scale"
    if "pixels" in str(result.get("units", "")):
        return ", with pixels from 0 to 1"
    return " in the data's own units"
