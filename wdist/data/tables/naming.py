"""How readers' messages name options and columns."""

from __future__ import annotations

from urllib.parse import quote


def asked(option: str, value: str) -> str:
    """How a reader's message names an option; each surface puts it into its own words (`wdist.data.sources.advice`)."""
    return f"?{option}={quote(value, safe='')}"
