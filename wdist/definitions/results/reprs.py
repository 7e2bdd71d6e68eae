"""How an object is shown where only its name stands in a notebook: in a line or two, whatever it holds."""

from __future__ import annotations

import textwrap

WIDTH = 240
"""Characters of a repr."""


def in_a_line(text: str) -> str:
    """The text without breaks, cut where it is longer than a repr may be."""
    return textwrap.shorten(text, WIDTH, placeholder=" ...")
