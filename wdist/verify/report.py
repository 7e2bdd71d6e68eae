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
        """The verified statement."""
        s = self.statement
        figures = (
            f"lower bound {s['lower_bound']:.6g}, value {s['value']:.6g}, Lipschitz bound {s['lipschitz_bound']:.9g}"
        )
        p_value = "" if s.get("p_value") is None else f", p-value {s['p_value']:.2g}"
        split = s.get("split", "random")
        about = "approximate " if split == "blocks" else ""
        lines = [f"VERIFIED: {figures}, at {about}confidence {s['confidence']}{p_value}."]
        lines.append(f"Units: {s['units']}.")
        if split == "blocks":
            lines.append(
                "Approximate: rows ordered in time depend on their neighbours; the true confidence may be lower."
            )
        if split == "groups":
            lines.append("The populations are those of drawing a group, and then a row of it.")
        if s.get("is_one_of_two_bounds"):
            both = 1 - 2 * (1 - s["confidence"])
            lines.append(
                f"The issuer reports an upper bound too (not checked): each end has half of the error, and "
                f"both together have confidence {both:.12g}."
            )
        return "\n".join(lines)


def units(taken: dict[str, Any]) -> str:
    """In words, what a distance of 1 means, from the field "input" of a certificate, by which scores are computed."""
    kind, own = taken["scale"]["kind"], "in the data's own units"
    if kind == "none":
        return f"Euclidean distance {'between images with pixels in [0, 1]' if taken['uint8'] else own}"
    divisor = taken["scale"]["divisor"]
    by = "the stored divisors" if isinstance(divisor, list) else f"{divisor:.6g}"
    return f"Euclidean distance after division by {by} ({kind})"
