"""How readers' messages name options and columns."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

_NAMED = 10  # columns in a message


def asked(option: str, value: str) -> str:
    """How a reader's message names an option; each surface puts it into its own words (`wdist.data.sources.advice`)."""
    return f"?{option}={quote(value, safe='')}"


def others_with_text(names: Iterable[str]) -> str:
    """What a refusal of one column of text says of the others, so that all can be settled at once."""
    shown = [repr(name[:100]) for name in names]
    if not shown:
        return ""
    more = f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
    return f"; there is text in {', '.join(shown[:_NAMED])}{more}, too"
