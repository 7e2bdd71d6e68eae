"""For test suites and pipelines: fail when two sample sets come from populations that are provably apart."""

from __future__ import annotations

import math
from typing import Any

from wdist.errors import OptionError
from wdist.estimate import estimate_w1
from wdist.result import Result


def assert_same_distribution(
    x: Any, y: Any, *, tolerance: float = 0.0, confidence: float = 0.99, message: str = "", **options: Any
) -> Result:
    """Fails when, at the stated confidence, the W1 distance between the populations of x and y exceeds `tolerance`.

    It asserts that no larger difference is *shown*: passing is no proof of equality, and more rows show more. As the
    lower bound is above the truth in at most a share 1 - confidence of all runs, so is the share of false alarms; a
    small tolerance in the data's own units keeps a difference that does not matter from failing once n is large.

    Args:
        x: rows of the reference: whatever `estimate_w1` takes, pandas and polars frames included.
        y: rows to be compared with it.
        tolerance: largest distance that is acceptable, in the units of the estimate; not negative.
        confidence: 1 - alpha: a false alarm happens in at most a share alpha of runs.
        message: said first when the assertion fails.
        options: as for `estimate_w1` (seed, scale, max_seconds, critic, ...).

    Returns the result, so that a passing test can log how close it came.

    Raises AssertionError with the result in words; SampleError and OptionError as `estimate_w1` does.
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
