"""What a verification found, in words."""

from dataclasses import dataclass, field
from typing import Any


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
        figures = (
            f"lower bound {s['lower_bound']:.6g}, value {s['value']:.6g}, Lipschitz bound {s['lipschitz_bound']:.9g}"
        )
        p_value = "" if s.get("p_value") is None else f", p-value {s['p_value']:.2g}"
        split = s.get("split", "random")
        about = "approximate " if split == "blocks" else ""
        lines = [f"VERIFIED: {figures}, at {about}confidence {s['confidence']}{p_value}."]
        lines.append(f"Units: {s['units']}.")
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
        if s.get("is_one_of_two_bounds"):
            both = 1 - 2 * (1 - s["confidence"])
            lines.append(
                f"The issuer reports an upper bound too (not checked): each end has half of the error, and "
                f"both together have confidence {both:.12g}."
            )
        return "\n".join(lines)


SCALE_OF_ANOTHER_SET = (
    "the scale: that centre and divisors are those of the first set of the matrix, which is none of these two, and "
    "were not picked by the result"
)


def not_checked(mode: str, *, others: int, is_issued: bool) -> list[str]:
    """What `verify` leaves to the word of the issuer.

    others: how many groups are only in other sets of the matrix. is_issued: whether the file's digest was given.
    """
    points = [] if is_issued else ["that this is the file the issuer gave out (pass its digest with --sha256)"]
    points += [
        "the critic: that it was fitted and chosen without the test rows, and so was its clip (verify --fresh on rows "
        "the issuer never saw needs no such trust)",
        "the seed, and the numbers of the sets: that they were not picked among several by the result",
        "the size of the test part: that it was not picked by its result",
        "the prior: that it was taken from other rows than the test rows",
        "the order of the rows: the seed picks places in the file, so that whoever orders the file decides which rows "
        "are test rows",
    ]
    if mode == "groups":
        points.append("the groups: that rows which depend on each other share one, and that none was invented")
    if others:
        points.append(f"the groups of other sets: that there are {others:,}, which with the seed decide the split")
    points.append("independence: that rows, or groups of rows, are independent draws from the two populations")
    if mode == "blocks":
        points.append("the confidence itself: rows ordered in time depend on their neighbours (split by blocks)")
    return [*points, "the reported figures: the upper bound, comparisons and everything else the issuer reports"]


def fresh_not_checked(mode: str) -> list[str]:
    """What `verify --fresh` leaves to the word of whoever gives the rows."""
    points = ["independence: that the rows are independent draws, and were not seen by the issuer"]
    points.append("the scale: whether a distance in the units below is one that matters")
    if mode != "random":
        points.append(f"dependence between rows: the certificate respected {mode}, this statement takes rows alone")
    return points


def units_of_distance(taken: dict[str, Any]) -> str:
    """In words, what a distance of 1 means, from the field "input" of a certificate, by which scores are computed."""
    kind, divisor = taken["scale"]["kind"], taken["scale"]["divisor"]
    if kind == "none":
        own = "between images with pixels in [0, 1]" if taken["uint8"] else "in the data's own units"
        return f"Euclidean distance {own}"
    deviations = {
        "standardize": "standard deviations of the select rows",
        "reference": "standard deviations of the select rows of the first set",
    }
    what = deviations.get(kind, "the given scale")
    return f"Euclidean distance after division by {what}: {_numbers(divisor)}"


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
