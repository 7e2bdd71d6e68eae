"""What a verification found, in words."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .container import shown

_NAMED = 16  # columns whose divisors are shown with their names
MOST_COLUMNS = 50  # that are named


@dataclass(frozen=True)
class Check:
    """One thing that was checked, whether it held, and the figures behind that."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Report:
    """All checks of a certificate, the statement they support, and what must be taken on the issuer's word."""

    checks: list[Check]
    statement: dict[str, Any] = field(default_factory=dict)
    not_checked: list[str] = field(default_factory=list)

    @property
    def valid(self) -> bool:
        """Whether every check held (and there was any)."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON types."""
        return {
            "valid": self.valid,
            "checks": [{"name": c.name, "passed": c.passed, "detail": c.detail} for c in self.checks],
            "statement": self.statement,
            "not_checked": self.not_checked,
        }

    def __str__(self) -> str:
        lines = [f"{'ok  ' if check.passed else 'FAIL'}  {check.name}: {check.detail}" for check in self.checks]
        if self.valid:
            lines += ["", self.sentence]
        else:
            lines += ["", "NOT VERIFIED: do not rely on the figures in this file."]
        if self.not_checked:
            lines += ["", "Not checked, because no file can prove it:"]
            lines += [f"  - {point}" for point in self.not_checked]
        return "\n".join(lines)

    @property
    def sentence(self) -> str:
        """The verified statement, of derived figures alone."""
        s = self.statement
        upper, each = "", ""
        if s["upper_bound"] is not None:
            upper, each = f", upper bound {s['upper_bound']:.6g} ({s['upper_kind']})", " each"
        figures = (
            f"lower bound {s['lower_bound']:.6g}{upper}, value {s['value']:.6g}, "
            f"Lipschitz bound {s['lipschitz_bound']:.9g}"
        )
        p_value = "" if s.get("p_value") is None else f", p-value {s['p_value']:.2g}"
        split = s.get("split", "random")
        about = "approximate " if split == "blocks" else ""
        lines = [f"VERIFIED: {figures}, at {about}confidence {s['confidence']}{each}{p_value}."]
        lines.append(f"Units: {s['units']}.")
        if s.get("recipe") is not None:
            lines.append(f"Rows: {s['recipe']}.")
        if s["rounding"] > 1e-6 * s["spread"]:
            lines.append(
                f"Rounding: the value may be off by {s['rounding']:.2g}; the lower bound has it subtracted already."
            )
        if split == "blocks":
            lines.append(
                "Approximate: rows ordered in time depend on their neighbours; the true confidence may be lower."
            )
        if split == "groups":
            lines.append(
                "The populations are those of drawing a group that is in the set, and then one of its rows: groups "
                "count equally, whatever their sizes."
            )
        return "\n".join([*lines, *self._about_the_upper_bound()])

    def _about_the_upper_bound(self) -> list[str]:
        s = self.statement
        if "rows" in s:
            return ["There is no upper bound: that takes a transport plan between these rows."]
        if s["upper_bound"] is None:
            return ["The issuer reports an upper bound, which was not checked."] if s["is_upper_bound_reported"] else []
        lines = []
        if s["upper_kind"] == "finite-sample":
            lines.append(
                f"The upper bound holds if no two possible rows are farther apart than {s['upper']['diameter']:.6g}."
            )
        else:
            lines.append("The upper bound is approximate: it takes the means of the rows to be normally distributed.")
        if s["upper_bound"] < s["lower_bound"]:
            lines.append(
                "The two bounds contradict each other: one of them is false, which happens by chance in few "
                "certificates, or the rows are no independent draws."
            )
        if s["upper"]["rounding"] > 1e-6 * s["upper_bound"]:
            lines.append(f"Rounding: the upper bound has {s['upper']['rounding']:.2g} added for it.")
        return lines


def other_than_certified(what: str, given: Sequence[str | None], stated: Sequence[str | None]) -> str | None:
    """Which of two sets is not the certified one, and what is likely meant; None if both are, as far as is known.

    what: a set, or the file of one. given, stated: digests of the first and the second; None where there is none.
    """
    same = [None in pair or len(set(pair)) == 1 for pair in zip(given, stated, strict=True)]
    if all(same):
        return None
    crossed = [a is not None and a == b for a, b in zip(given, reversed(stated), strict=True)]
    if all(crossed):
        return (
            f"the two {what}s are exchanged: the first {what} is the second set of this certificate, and the second is "
            "the first: give them in the other order, CERT B A"
        )
    if given[0] is not None and given[0] == given[1]:
        for place, other, is_it in (("first", "second", given[0] == stated[0]), ("second", "first", crossed[0])):
            if is_it:
                return f"the same {what} was given twice, the {place} set of this certificate: give that of the {other}"
        return f"the same {what} was given twice, and is neither set of this certificate: give the two that it is about"
    for k, (place, other) in enumerate((("first", "second"), ("second", "first"))):
        if crossed[k]:
            return (
                f"the {place} {what} is the {other} set of this certificate, and the {other} {what} is neither of its "
                f"sets: give the certified first set before the second"
            )
    if any(same):
        wrong, right = ("second", "first") if same[0] else ("first", "second")
        known = "is" if None not in (given[right == "second"], stated[right == "second"]) else "may be"
        return (
            f"the {wrong} {what} is not the certified one: it was changed since, or is another; the {right} {known} "
            "the certified one"
        )
    return (
        f"neither {what} is a certified one: this certificate is about others, or both were changed since: look for "
        "the certificate of these two, or for the files of this one"
    )


SCALE_OF_ANOTHER_SET = (
    "the scale: that centre and divisors are those of the first set of the matrix, which is none of these two, and "
    "were not picked by the result"
)


def not_checked(
    certificate: Mapping[str, Any], *, others: int = 0, is_issued: bool, is_read: bool = False, scale: str | None = None
) -> list[str]:
    """What `verify` leaves to the word of the issuer.

    others: how many groups are only in other sets of the matrix. is_issued: whether the file's digest was given.
    is_read: whether the rows were read from the files again. scale: its kind, once it was read.
    """
    mode = certificate["split"]["mode"]
    points = [] if is_issued else ["that this is the file the issuer gave out (pass its digest with --sha256)"]
    points += [
        "the critic: that it was fitted and chosen without the test rows, and so was its clip (verify --fresh on rows "
        "the issuer never saw needs no such trust)",
        "the seed, and the numbers of the sets: that they were not picked among several by the result",
        "the size of the test part, as of the others: that it was not picked by its result",
        "the prior: that it was taken from other rows than the test rows",
        "the order of the rows: the seed picks places in the file, so that whoever orders the file decides which rows "
        "are test rows",
    ]
    if mode == "groups":
        points.append("the groups: that rows which depend on each other share one, and that none was invented")
    if others:
        points.append(f"the groups of other sets: that there are {others:,}, which with the seed decide the split")
    if certificate["recipe"] is not None and not is_read:
        points.append(
            "the recipe: that the rows were read from the issuer's files so (the command `wdist verify` reads these "
            "again)"
        )
    if certificate["recipe"] is not None and certificate["recipe"]["category_cost"] is not None:
        points.append("category_cost: whether two levels of a category are as far apart as that")
    points.append("independence: that rows, or groups of rows, are independent draws from the two populations")
    if mode == "blocks":
        points.append("the confidence itself: rows ordered in time depend on their neighbours (split by blocks)")
    points += _assumptions_of_the_upper_bound(certificate["upper"], scale)
    reported = "comparisons and everything else the issuer reports"
    if certificate["reported"]["upper_bound"] is not None:
        reported = f"the upper bound, {reported}"
    return [*points, f"the reported figures: {reported}"]


def _assumptions_of_the_upper_bound(upper: Mapping[str, Any] | None, scale: str | None) -> list[str]:
    if upper is None:
        return []
    if upper["diameter"] is not None:
        points = ["the diameter: that no two possible rows are farther apart, and that it was known beforehand"]
    elif upper["ranges"] is not None:
        points = ["the ranges: that no value outside of them is possible, and that they were known beforehand"]
    else:
        points = [
            "the normal approximation of the upper bound: it is too low if a part of the population that matters is "
            "rarer than about 10 rows of a set, or if tails are very heavy"
        ]
    if scale == "vector":
        points.append("the given scale: that its divisors were not computed from these rows")
    return points


def recipe_in_words(recipe: Mapping[str, Any] | None) -> str | None:
    """Which columns of the files are compared, and how these were read; None where files were read as they are."""
    if recipe is None:
        return None
    reading = ", ".join(f"{name}={shown(value)}" for name, value in sorted(recipe["reading"].items()))
    parts = [f"read with {reading}"] if reading else []
    if recipe["encoding"] is not None:
        columns = recipe["encoding"]["columns"]
        named = [f"{shown(each['name'])} ({_kind_in_words(each)})" for each in columns[:MOST_COLUMNS]]
        more = f" and {len(columns) - MOST_COLUMNS:,} more" if len(columns) > MOST_COLUMNS else ""
        parts.append(f"compared are {', '.join(named)}{more}")
    return "; ".join(parts)


def _kind_in_words(column: Mapping[str, Any]) -> str:
    if column["kind"] == "category":
        return f"a category of {len(column['levels']):,} levels"
    if column["kind"] == "time":
        return f"times in {shown(column['unit'])} since {shown(column['start'])}"
    return str(column["kind"])


def fresh_not_checked(mode: str) -> list[str]:
    """What `verify --fresh` leaves to the word of whoever gives the rows."""
    points = ["independence: that the rows are independent draws, and were not seen by the issuer"]
    points.append("the scale: whether a distance in the units below is one that matters")
    if mode != "random":
        points.append(f"dependence between rows: the certificate respected {mode}, this statement takes rows alone")
    return points


def units_of_distance(taken: dict[str, Any], recipe: dict[str, Any] | None = None) -> str:
    """In words, what a distance of 1 means, from the field "input" of a certificate, by which scores are computed.

    recipe: the field of that name, which has the names of columns of tables.
    """
    scale = taken["scale"]
    kind, divisor, cost = scale["kind"], scale["divisor"], ""
    names: list[str] = []
    if "kinds" in taken:
        table = ((recipe or {}).get("encoding") or {}).get("columns", [])
        names = [each["name"] for each in table if each["kind"] in ("number", "time")]
        columns = [name for name, width in taken["kinds"] for name in _columns(name, width)]
        divisor = [each for each, name in zip(divisor, columns, strict=True) if name == "number"]
        cost = f"; two levels of a category are {scale['category_cost']:.6g} apart"
    if kind == "none":
        own = "between images with pixels in [0, 1]" if taken["uint8"] else "in the data's own units"
        return f"Euclidean distance {own}{cost}"
    fitted = {
        "standardize": "standard deviations of the select rows",
        "reference": "standard deviations of the select rows of the first set",
        "robust": "quartile distances / 1.349 of the select rows",
        "robust_reference": "quartile distances / 1.349 of the select rows of the first set",
    }
    what = fitted.get(kind, "the given scale")
    shown = _numbers(divisor)
    if isinstance(divisor, list) and len(divisor) == len(names) <= _NAMED:
        # Quoted and cut, as the issuer chose the names: none can pass for a part of the sentence.
        shown = ", ".join(f"{each:.6g} for {json.dumps(name[:50])}" for each, name in zip(divisor, names, strict=True))
    return f"Euclidean distance after division by {what}: {shown}{cost}"


def _columns(kind: str, width: int) -> list[str]:
    return ["number"] + ["indicator"] * (width - 1) if kind in ("number", "optional") else ["indicator"] * width


def _numbers(divisor: Any) -> str:
    """A number, or the first ones of many and their range."""
    if not isinstance(divisor, list):
        return f"{divisor:.6g}"
    flat: list[float] = []
    pending: list[Any] = [divisor]
    while pending:
        each = pending.pop()
        if isinstance(each, list):
            pending.extend(reversed(each))
        else:
            flat.append(float(each))
    if len(flat) <= 16:
        return ", ".join(f"{each:.6g}" for each in flat)
    return f"{', '.join(f'{each:.6g}' for each in flat[:8])}, ... ({len(flat)} from {min(flat):.6g} to {max(flat):.6g})"
