"""Numbers with three digits; a bound is never made stronger by rounding it. They are those of the library's words."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal


def short(number: float) -> str:
    """A number with three digits, without an exponent where it is of a common size: 0.478, 3,810, 1.2e+08."""
    return f"{float(f'{number:.3g}'):,.0f}" if 1e3 <= abs(number) < 1e7 else f"{number:.3g}"


def rounded_down(number: float) -> str:
    """A lower bound with three digits, never above itself."""
    return _rounded(number, ROUND_FLOOR)


def rounded_up(number: float) -> str:
    """An upper bound with three digits, never below itself."""
    return _rounded(number, ROUND_CEILING)


def _rounded(number: float, rounding: str) -> str:
    if number == 0 or not math.isfinite(number):
        return f"{number:g}"
    exact = Decimal(repr(float(number)))
    rounded = exact.quantize(Decimal(1).scaleb(exact.adjusted() - 2), rounding)
    rounded = rounded.quantize(Decimal(1).scaleb(rounded.adjusted() - 2))  # 0.9996 is 1.00, not 1.000
    if 1e-4 <= abs(rounded) < 1e7:
        return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:f}"
    return f"{float(rounded):.2e}"
