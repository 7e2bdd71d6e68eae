"""Estimate how many device seconds a job will take, before the service accepts it."""

from __future__ import annotations

import math
from typing import Any

from wdist_service.tables import SampleSet

START_SECONDS = 1.0  # reading, splitting, certifying
STEP_SECONDS = 0.003  # fixed cost of a step; measured on 2 cores
FLOPS_PER_SECOND = 3e10  # matrix products of a step; 2 cores reach this, a GPU is faster
CONVOLUTION_FACTOR = 8.0  # cost of BCOP relative to GroupSort on the same rows
EXACT_SECONDS = 1e-10  # multiplied by rows^3: one exact transport problem
BYTES_PER_SECOND = 3e8
_BATCH_ROWS = 512  # source and target together


def job_seconds(source: SampleSet, target: SampleSet, options: dict[str, Any]) -> float:
    """Device seconds of one estimate: `max_seconds` where given, otherwise the number of steps times the cost of one.

    Accurate to within a factor of a few. That is enough to reject jobs that would take days, and to share devices
    fairly among tenants.
    """
    rows = min(source.rows, target.rows)
    baseline = min(options.get("baseline_rows") or 0, rows // 2)
    fixed = START_SECONDS + 2 * EXACT_SECONDS * baseline**3 + 3 * (source.bytes + target.bytes) / BYTES_PER_SECOND
    if options.get("max_seconds") is not None:
        return fixed + float(options["max_seconds"])
    if options.get("critic") in {"affine", "sliced"}:
        return fixed
    steps = options.get("steps") or default_steps(int(0.6 * rows))
    return fixed + steps * step_seconds(math.prod(source.shape[1:]), options.get("critic"))


def default_steps(train_rows: int) -> int:
    """The default of wdist.training.halving, repeated here because that module imports torch. A test compares them."""
    return int(min(2000, max(200, 45 * train_rows / 256)))


def step_seconds(columns: int, critic: str | None) -> float:
    """Seconds of one training step: 6 * rows * weights floating-point operations, forward and backward."""
    width, depth = (64, 6) if columns <= 64 else (256, 5)
    weights = columns * width + (depth - 1) * width**2
    factor = CONVOLUTION_FACTOR if critic == "bcop" else 1.0
    return STEP_SECONDS + factor * 6 * _BATCH_ROWS * weights / FLOPS_PER_SECOND
