"""Tells quantities from names: a price is no category, though a word among prices makes text of its column."""

from __future__ import annotations

import re
from collections.abc import Collection

FEWEST = 20  # different numbers, fewer of which may be codes, such as those of ratings

_EXPONENT = r"(?:[eE][+-]?\d+)?"
PLAIN = re.compile(rf"[+-]?(?:\d+\.?\d*|\.\d+){_EXPONENT}|[+-]?(?:inf|infinity|nan)", re.IGNORECASE)
DECIMAL_COMMA = re.compile(rf"[+-]?(?:\d+,\d*|,\d+){_EXPONENT}")
GROUPED = {
    ",": re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?"),
    ".": re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+(?:,\d*)?"),
    " ": re.compile(r"[+-]?\d{1,3}(?:[ \u00a0\u202f]\d{3})+(?:[.,]\d*)?"),
    "'": re.compile(r"[+-]?\d{1,3}(?:['\u2019]\d{3})+(?:[.,]\d*)?"),
    "_": re.compile(r"[+-]?\d{1,3}(?:_\d{3})+(?:[.,]\d*)?"),
}


def is_number(cell: str) -> bool:
    """Whether a cell is a number in some notation."""
    text = cell.strip()
    if PLAIN.fullmatch(text) or DECIMAL_COMMA.fullmatch(text):
        return True
    return any(grouped.fullmatch(text) for grouped in GROUPED.values())


def has_mostly_numbers(levels: Collection[str]) -> bool:
    """Whether a column of text has words among numbers, which are to be mended, where a category has words."""
    return len(levels) >= FEWEST and sum(map(is_number, levels)) > len(levels) / 2


def note_of_quantities(name: str, levels: Collection[str]) -> str | None:
    """What is said of a declared category with these levels that may be quantities; None for names and whole codes."""
    if not has_mostly_numbers(levels):
        return None
    words = [level for level in levels if not is_number(level)]
    if not words and all(level.strip().lstrip("+-").isdigit() for level in levels):
        return None  # numbers of shops
    mend = f"mend {words[0][:60]!r}{', and such,' if len(words) > 1 else ''} and " if words else ""
    return (
        f"column {name[:100]!r} is declared a category, so that its {len(levels) - len(words):,} different numbers are "
        f"names, each as far from every other: if they are quantities, {mend}take it out of categories"
    )
