"""The standard model of floating-point arithmetic, by which rounding is bounded.

fl(a op b) = (a op b)(1 + delta) with |delta| <= UNIT_ROUNDOFF, as long as nothing under- or overflows. Source: Higham,
"Accuracy and Stability of Numerical Algorithms" (2nd edition, 2002), section 2.2.
"""

UNIT_ROUNDOFF = 2.0**-53  # of float64
