"""Where a decreasing function changes sign."""

import math
from collections.abc import Callable

Bracket = tuple[float, float, float, float]  # two points, and what the function is there


def bracket_of_root(excess: Callable[[float], float], ends: Bracket, tolerance: float) -> Bracket:
    """Narrow a bracket [lower, upper], excess(lower) >= 0 > excess(upper), to a width of at most `tolerance`.

    The ITP method of Oliveira and Takahashi (2020): as quick as the secant method for smooth functions, and never more
    than one evaluation slower than bisection.
    """
    a, b, above, below = ends
    first_width = b - a
    if first_width <= tolerance:
        return ends
    steps_left = math.ceil(math.log2(first_width / tolerance)) + 1
    while b - a > tolerance and steps_left > 0:
        middle, width = 0.5 * (a + b), b - a
        secant = a + width * above / (above - below)
        towards = math.copysign(1.0, middle - secant)
        # A step beyond the secant's root, so that the bracket shrinks from both ends.
        point = secant + towards * min(0.2 * width * width / first_width, abs(middle - secant))
        slack = max(0.0, 0.5 * tolerance * 2.0**steps_left - 0.5 * width)
        if abs(point - middle) > slack:
            point = middle - towards * slack
        if not a < point < b:
            point = middle
        if (found := excess(point)) >= 0:
            a, above = point, found
        else:
            b, below = point, found
        steps_left -= 1
    return a, b, above, below
