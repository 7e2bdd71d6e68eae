"""Optimal transport between sets of rows: exact solvers, bounds on the empirical W1, upper bounds, projections."""

from wdist.transport.exact import exact_w1
from wdist.transport.upper import diameter_from_ranges, upper_bound

__all__ = ["diameter_from_ranges", "exact_w1", "upper_bound"]
