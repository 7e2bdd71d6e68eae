"""Figures of stored results that are withdrawn, because the version of the statistics that computed them was wrong.

This is the one place that says so. The server adds it to everything that carries a stored result; clients and the web
page show what the server says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

RUN_AGAIN = "withdrawn: run again"
"""The mark beside a withdrawn figure."""

_GROUPS = (
    "Version 1 of the statistics did not put groups in a random order, so that with groups the lower bound and the "
    "p-value can be wrong more often than the confidence allows."
)
_RULER = (
    "Version 1 of the statistics standardised the columns by the rows that the upper bound then used, so that the "
    "upper bound can be too low."
)


class Withdrawn(BaseModel):
    """Which figures of a result are withdrawn, why, and what to do."""

    figures: list[str] = Field(
        description="Names of the figures that must not be used: lower_bound, simultaneous_lower_bound, p_value, "
        "upper_bound."
    )
    reason: str = Field(description="Why, in plain words.")
    action: str = Field(description="What to do, in plain words.")


def withdrawn(result: Mapping[str, Any]) -> Withdrawn | None:
    """What is withdrawn of a result as `Result.to_dict` gives it; None if every figure stands.

    A result without `method_version` was computed with version 1. Bounds on single columns, which version 1 got wrong
    too, are not part of a result: they were printed by `result.witness`, and no server stores them.
    """
    if result.get("method_version", 1) > 1:
        return None
    figures, reasons = [], []
    if result.get("groups") is not None:
        names = ("lower_bound", "simultaneous_lower_bound", "p_value")
        figures += [name for name in names if _has(result, name)]
        reasons.append(_GROUPS)
    if result.get("upper_bound") is not None and _kind(result.get("scale")) == "standardize":
        figures.append("upper_bound")
        reasons.append(_RULER)
    if not figures:
        return None
    action = f"{RUN_AGAIN.capitalize()}, on the same sets and with the same options."
    return Withdrawn(figures=figures, reason=" ".join(reasons), action=action)


def certificate_note(result: Mapping[str, Any]) -> str | None:
    """What to know about the certificate of a stored result; None if `wdist verify` checks it."""
    if result.get("method_version", 1) > 1:
        return None
    said = "This certificate has format 1, which wdist verify refuses: run the estimate again for one that it checks."
    mark = withdrawn(result)
    return said if mark is None else f"{said} Withdrawn are {', '.join(mark.figures)}. {mark.reason}"


def _kind(scale: Any) -> str | None:
    return scale.get("kind") if isinstance(scale, dict) else None


def _has(result: Mapping[str, Any], name: str) -> bool:
    return result.get("simultaneous" if name == "simultaneous_lower_bound" else name) is not None
