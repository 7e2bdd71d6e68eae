"""The results of a run as a page of Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

ABOUT = {
    "steps": "A training step of the net and batch that are named: milliseconds, smallest of the repetitions. `ratio`: "
    "the faster of eager and graph, against the unconstrained net's.",
    "critics": "Critics 16 -> 128 x 3 -> 1 in one step, 512 rows each.",
    "estimates": "Whole estimates from call to result, with both ends; value and bounds over the truth.",
    "repeats": "The same estimate twice in one process.",
    "passes": "Seconds for a pass over so many images at batch 128, from a few steps of the Large net.",
    "service": "A `wdist serve` with one worker on this machine.",
}


def page(found: Mapping[str, Any]) -> str:
    """All sections; what was not measured is named."""
    lines = ["# Measured on a GPU", "", f"{found['machine']}; device {found['device']}."]
    if found["quick"]:
        lines += ["", "**These figures are of a trial with small sizes, which measures nothing.**"]
    for name, told in found["sections"].items():
        lines += ["", f"## {name.capitalize()}", "", f"{ABOUT[name]} ({told['seconds']} s)", ""]
        lines += _table(told.get("rows", []))
        if "failed" in told:
            lines += ["", f"Not measured, or not all: {told['failed']}"]
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    if not rows:
        return []
    head = list(dict.fromkeys(key for row in rows for key in row))
    lines = [head, ["---"] * len(head), *([_cell(row.get(key)) for key in head] for row in rows)]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
