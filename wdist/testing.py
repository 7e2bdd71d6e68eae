"""For test suites and pipelines: fail if two sample sets provably come from different populations."""

from __future__ import annotations

import math
from typing import Any

from wdist.errors import OptionError
from wdist.estimate import estimate_w1
from wdist.result import Result


def assert_same_distribution(
    x: Any, y: Any, *, tolerance: float = 0.0, confidence: float = 0.99, message: str = "", **options: Any
) -> Result:
    """Fail if, at the given confidence, the W1 distance between the populations of x and y exceeds `tolerance`.

    Passing does not prove equality: it means that these rows do not show a larger difference. More rows may. The lower
    bound exceeds the true distance in at most a share 1 - confidence of runs, so at most that share are false alarms.
    With many rows, even an irrelevant difference becomes visible; set a small tolerance to allow it.

    Args:
        x: rows of the reference: anything `estimate_w1` takes, including pandas and polars data frames.
        y: rows to compare with it.
        tolerance: largest acceptable distance, in the units of the estimate; not negative.
        confidence: 1 - alpha, where alpha is the largest acceptable share of false alarms.
        message: text that precedes the assertion's own message.
        options: options of `estimate_w1` (seed, scale, max_seconds, critic, ...).

    Returns the result, so that a passing test can log how close it came.

    Raises AssertionError with the printed result; SampleError and OptionError as `estimate_w1` does.
    """
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise OptionError(f"tolerance is {tolerance!r}; it must be a distance, not negative")
    result = estimate_w1(x, y, confidence=confidence, **options)
    if result.lower_bound > tolerance:
        told = f"{message}\n" if message else ""
        about = "approximate " if result.split == "blocks" else ""
        allowed = f"more than the tolerance of {tolerance:.6g}" if tolerance else "more than 0"
        raise AssertionError(
            f"{told}the two sample sets differ: W1 is at least {result.lower_bound:.6g} with {about}confidence "
            f"{confidence:g}, {allowed}\n{result}"
        )
    return result
