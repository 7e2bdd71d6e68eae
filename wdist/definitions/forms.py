"""What a form calls an option."""

from __future__ import annotations

from typing import Any


def words(label: str, **choices: str) -> dict[str, Any]:
    """What a form calls an option and its choices, where that is not their API name."""
    return {"x-form": {"label": label} | ({"choices": choices} if choices else {})}
