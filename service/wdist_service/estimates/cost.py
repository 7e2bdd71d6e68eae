"""What an estimate will take, about, before it is accepted: seconds on this machine's class of device."""

from __future__ import annotations

import math
from typing import Any

from wdist_service.tables import SampleSet

START_SECONDS = 1.0  # reading, splitting, certifying
STEP_SECONDS = 0.003  # of a step's fixed work; measured on 2 cores
FLOPS_PER_SECOND = 3e10  # of the products in a step; 2 cores reach it, a GPU is faster
CONVOLUTION_FACTOR = 8.0  # BCOP against GroupSort at the same rows
EXACT_SECONDS = 1e-10  # times rows^3: one exact transport problem
BYTES_PER_SECOND = 3e8
_BATCH_ROWS = 512  # both sides


def job_seconds(source: SampleSet, target: SampleSet, options: dict[str, Any]) -> float:
    """Device seconds of one estimate: the time asked for, or steps times the work in a step.

    Right within a factor of a few: it protects from jobs that would take days, and shares devices among tenants.
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
    """As wdist.training.halving chooses; written again here because that module imports torch (a test compares)."""
    return int(min(2000, max(200, 45 * train_rows / 256)))


def step_seconds(columns: int, critic: str | None) -> float:
    """One step of the critic of that many inputs: six times rows times weights, forward and backward."""
    width, depth = (64, 6) if columns <= 64 else (256, 5)
    weights = columns * width + (depth - 1) * width**2
    factor = CONVOLUTION_FACTOR if critic == "bcop" else 1.0
    return STEP_SECONDS + factor * 6 * _BATCH_ROWS * weights / FLOPS_PER_SECOND
