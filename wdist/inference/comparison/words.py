"""The words of a comparison, and how many more rows would decide it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wdist.definitions.comparison import Difference, Growth, Standing
from wdist.definitions.figures import percent, short
from wdist.definitions.results.numbers import rounded_down, rounded_up

_TOO_MANY = 1e4  # times as many rows: the critics then show no difference to speak of
_HARD = ", and perhaps no number would do: with many columns the upper bound hardly falls as rows are added"
_NAMED = 6  # candidates in a sentence


@dataclass(frozen=True)
class Case:
    """What all sentences of a comparison share."""

    reference: str
    confidence: float
    is_approximate: bool
    delta: float | None

    @property
    def sure(self) -> str:
        return f"{percent(self.confidence)}{', approximate' if self.is_approximate else ''}"


def set_names(sets: Sequence[str], known: Mapping[str, str | None]) -> list[str]:
    """What to call stored sets, by their ids: the name, with the id where several have it, else the id alone."""
    count = Counter(known.get(each) for each in sets)
    names = {key: name if count[name] == 1 else f"{name} ({key})" for key, name in known.items() if name}
    return [names.get(each, each) for each in sets]


def warnings_of(names: Sequence[str], results: Sequence[Mapping[str, Any] | None]) -> list[tuple[str, str]]:
    """(candidate, warning) of each result, as `Result.to_dict` gives them; None where there is none."""
    return [
        (name, warning)
        for name, result in zip(names, results, strict=True)
        if result is not None
        for warning in result.get("warnings") or ()
    ]


def growth_of(shown: float, width: float, bias: float) -> Growth | None:
    """How many times as many rows would show the difference that the critics show, about.

    shown: that difference, from 0 on. width: how far the end that has to pass 0 lies below it. bias: the part of the
    width that is no deviation, the cost of the plan above the value of its critic: it falls with the number of rows
    like a deviation in one dimension, and hardly at all in many. Deviations fall with the root of the number of rows.

    Returns None if the critics show no difference to speak of.
    """
    if shown <= 0 or (width / shown) ** 2 > _TOO_MANY:
        return None
    deviation = max(0.0, width - bias)
    most = (deviation / (shown - bias)) ** 2 if shown > bias else math.inf
    least = (width / shown) ** 2
    return Growth(least=least, most=max(least, most) if most <= _TOO_MANY else None)


def difference_sentence(case: Case, difference: Difference, rows: int | None) -> str:
    """The answer to: is the first closer to the reference than the second? rows: of each set, if all have as many."""
    first, second, reference = (f"`{name}`" for name in (difference.first, difference.second, case.reference))
    lower, upper = difference.lower_bound, difference.upper_bound
    equal = ""
    if difference.within_delta:
        equal = f"`{difference.first}` and {second} are equally near {reference} within {case.delta:.4g}"
    if difference.answer in ("yes", "no"):
        is_first = difference.answer == "yes"
        nearer, farther = (first, second) if is_first else (second, first)
        least, most = (lower, upper) if is_first else (-upper, -lower)
        by = f"by {rounded_down(least)} to {rounded_up(most)} ({case.sure})"
        said = f"{nearer} is closer to {reference} than {farther}, {by}"
        return f"{said}; {equal}." if equal else f"{said}."
    if equal:
        return f"{equal}: their distances differ by {rounded_down(lower)} to {rounded_up(upper)} ({case.sure})."
    apart = f"the difference lies between {rounded_down(lower)} and {rounded_up(upper)} ({case.sure})"
    nearer = first if difference.shown > 0 else second
    if difference.growth is None:
        needed = "The critics show no difference, so that no number of rows can be named."
    else:
        shown = f"if the difference is {short(abs(difference.shown))}, as the critics show"
        hard = "" if difference.growth.most is not None else _HARD
        needed = f"{nearer} seems closer; {_needed(difference.growth, rows)} {shown}{hard}."
    if difference.answer == "more-rows":
        return f"These rows do not show whether {first} is closer to {reference} than {second}: {apart}. {needed}"
    return (
        f"No number of rows shows that {first} is closer to {reference} than {second}: the critic of {second} shows "
        f"less than the lower bound of {first}. Nor do these show that {second} is closer: {apart}. {needed}"
    )


def whole_sentence(case: Case, ranking: Sequence[Standing], differences: Sequence[Difference]) -> str:
    """The comparison in one sentence."""
    if len(differences) == 1:
        return differences[0].sentence
    reference, leaders = f"`{case.reference}`", [f"`{each.name}`" for each in ranking if each.best == 1]
    if len(leaders) == 1:
        others = f"each of the other {len(ranking) - 1}"
        return f"{leaders[0]} is closer to {reference} than {others} ({case.sure}, all statements together)."
    if all(each.within_delta for each in differences):
        return f"All {len(ranking)} candidates are equally near {reference} within {case.delta:.4g} ({case.sure})."
    if len(leaders) == len(ranking):
        said = f"These rows do not show which of the {len(ranking)} candidates is closest to {reference}"
        told = sum(each.answer in ("yes", "no") for each in differences)
        more = f"; {told} of {len(differences)} differences are shown" if told else ""
        return f"{said}{more} ({case.sure})."
    farther = [f"`{each.name}`" for each in ranking if each.best > 1]
    are = "is" if len(farther) == 1 else "are"
    return (
        f"One of {_listed(leaders)} is closest to {reference}, and these rows do not tell which; {_listed(farther)} "
        f"{are} farther away ({case.sure}, all statements together)."
    )


def _listed(names: Sequence[str]) -> str:
    """Names as part of a sentence; a few of many."""
    if len(names) > _NAMED:
        return f"{', '.join(names[: _NAMED - 1])} and {len(names) - _NAMED + 1} others"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _needed(growth: Growth, rows: int | None) -> str:
    """How many rows would do, in words."""
    least, most = (None if times is None else _count(times, rows) for times in (growth.least, growth.most))
    unit = "times as many rows" if rows is None else "rows of each set"
    if most is None:
        return f"more than {least} {unit} would be needed"
    return f"about {least} {unit} would do" if least == most else f"about {least} to {most} {unit} would do"


def _count(times: float, rows: int | None) -> str:
    """The number of rows with two digits; without the rows that there are, how many times as many."""
    if rows is None:
        return f"{float(f'{times:.2g}'):,g}"
    number = math.ceil(times * rows)
    unit = 10 ** max(0, len(str(number)) - 2)
    return f"{-(-number // unit) * unit:,}"
