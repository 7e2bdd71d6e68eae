"""Estimate how many device seconds a job will take, before the service accepts it."""

from __future__ import annotations

import math
from typing import Any

from wdist.critics.cost import default_steps, step_operations
from wdist.critics.registry import FAMILIES
from wdist.data.splits import TRAIN_SHARE
from wdist_service.estimates.checks import encoding_of
from wdist_service.tables import SampleSet

START_SECONDS = 1.0  # reading, splitting, certifying
STEP_SECONDS = 0.003  # fixed cost of a step; measured on 2 cores
FLOPS_PER_SECOND = 3e10  # matrix products of a step; 2 cores reach this, a GPU is faster
EXACT_SECONDS = 1e-10  # multiplied by rows^3: one exact transport problem
BYTES_PER_SECOND = 3e8


def job_seconds(source: SampleSet, target: SampleSet, options: dict[str, Any]) -> float:
    """Device seconds of one estimate: `max_seconds` where given, otherwise the number of steps times the cost of one.

    Accurate to within a factor of a few. That is enough to reject jobs that would take days, and to share devices
    fairly among tenants.
    """
    rows = min(source.rows, target.rows)
    baseline = min(options.get("baseline_rows") or 0, rows // 2)
    encoding = encoding_of(source, target)
    width = math.prod(source.shape[1:]) if encoding is None else len(encoding.columns)
    read = source.bytes + target.bytes if encoding is None else 8 * width * (source.rows + target.rows)
    fixed = START_SECONDS + 2 * EXACT_SECONDS * baseline**3 + 3 * read / BYTES_PER_SECOND
    if options.get("max_seconds") is not None:
        return fixed + float(options["max_seconds"])
    critic = options.get("critic") or "auto"
    if critic in FAMILIES and FAMILIES[critic].is_fitted:
        return fixed
    steps = options.get("steps") or default_steps(int(TRAIN_SHARE * rows))
    operations = step_operations(width, critic)
    return fixed + steps * (STEP_SECONDS + operations / FLOPS_PER_SECOND)
