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
    """All checks of a certificate, the statement they are about, and what remains the issuer's word."""

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
        tail = "" if s.get("p_value") is None else f", p-value {s['p_value']:.2g}"
        return f"VERIFIED: {figures}, at confidence {s['confidence']:.6g}{tail}."
