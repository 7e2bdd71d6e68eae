"""Numbers in sentences: three digits, and a bound is never made stronger by rounding it."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal


def three_digits(number: float) -> str:
    """With three digits: 0.478, 1.00, 3,810, 1.20e+08."""
    return _rounded(number, ROUND_HALF_EVEN)


def rounded_down(number: float) -> str:
    """A lower bound with three digits, never above itself."""
    return _rounded(number, ROUND_FLOOR)


def rounded_up(number: float) -> str:
    """An upper bound with three digits, never below itself."""
    return _rounded(number, ROUND_CEILING)


def two_digits(count: int) -> str:
    """A number of rows with two digits: 2,400."""
    unit = 10 ** max(0, len(str(count)) - 2)
    return f"{round(count / unit) * unit:,}"


def range_of(lower: float, upper: float | None) -> str:
    """What is known of a distance, as the title of a picture says it."""
    if upper is None:
        return f"W1 is at least {rounded_down(lower)}"
    if lower == 0:
        return f"W1 is at most {rounded_up(upper)}"
    return f"W1 is between {rounded_down(lower)} and {rounded_up(upper)}"


def _rounded(number: float, rounding: str) -> str:
    if number == 0 or not math.isfinite(number):
        return f"{number:g}"
    exact = Decimal(repr(float(number)))
    rounded = exact.quantize(Decimal(1).scaleb(exact.adjusted() - 2), rounding)
    rounded = rounded.quantize(Decimal(1).scaleb(rounded.adjusted() - 2))  # 0.9996 is 1.00, not 1.000
    if 1e-4 <= abs(rounded) < 1e7:
        return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:f}"
    return f"{float(rounded):.2e}"
