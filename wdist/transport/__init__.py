"""Optimal transport between sets of rows: exact solvers, plans, both ends of the empirical W1, projections."""

from wdist.transport.exact import exact_w1
from wdist.transport.upper import diameter_from_ranges

__all__ = ["diameter_from_ranges", "exact_w1"]
