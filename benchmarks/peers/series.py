"""Series that every tool is given: 52 weekly batches against one reference. Needs numpy only."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

import numpy as np

WEEKS, START = 52, 20  # the first drifted week
REFERENCE, BATCH, COLUMNS = 10_000, 1_000, 8
SHIFT = 0.3  # of the first column, in standard deviations, once the drift is complete
GRADUAL, SEASON = 12, 26  # weeks until it is complete; weeks from one peak to the next
KINDS = ("none", "sudden", "gradual", "seasonal")
NAMES = [f"c{k}" for k in range(COLUMNS)]


def reference(seed: int) -> np.ndarray:
    """(10,000, 8): columns that depend on each other, half of them with heavy tails."""
    return _rows(np.random.default_rng([seed, 0]), REFERENCE, 0.0)


def batches(kind: str, seed: int) -> Iterator[np.ndarray]:
    """Of each week from 1 on, (1,000, 8)."""
    for week in range(1, WEEKS + 1):
        yield _rows(np.random.default_rng([seed, week, KINDS.index(kind)]), BATCH, shift(kind, week))


def digest(kind: str, seed: int) -> str:
    """Of all rows of a series, so that results can be compared only where every tool was given the same."""
    found = hashlib.sha256(reference(seed).tobytes())
    for batch in batches(kind, seed):
        found.update(batch.tobytes())
    return found.hexdigest()[:16]


def shift(kind: str, week: int) -> float:
    """Of the first column in this week."""
    if kind == "none" or week < START:
        return 0.0
    share = {
        "sudden": 1.0,
        "gradual": min(1.0, (week - START + 1) / GRADUAL),
        "seasonal": math.sin(math.pi * (week - START + 1) / SEASON) ** 2,
    }
    return SHIFT * share[kind]


def _rows(generator: np.random.Generator, n: int, shifted: float) -> np.ndarray:
    common = generator.normal(size=(n, 1))
    rows = 0.6 * common + 0.8 * generator.normal(size=(n, COLUMNS))
    rows[:, COLUMNS // 2 :] = np.exp(rows[:, COLUMNS // 2 :])
    rows[:, 0] += shifted
    return rows.round(6)  # versions of numpy differ in the last bit of exp
