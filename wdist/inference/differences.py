"""Differences of scores of both sets, whose mean is the difference of the means."""

import math

from wdist.data.seeded import SeededScores, require_seeded
from wdist.errors import OptionError
from wdist.inference.base import Moments, Prior


def paired_differences(
    fx: SeededScores, fy: SeededScores, low: float, high: float, prior: Prior | None
) -> tuple[SeededScores, Moments | None]:
    """min(n, m) independent draws with mean E f(Y) - E f(X), within [low - high, high - low], and their prior.

    In the seeded order, each score of the smaller side is paired with the mean of the next k = max // min scores of the
    larger side. The remainder, fewer than min(n, m) scores, is not used. The sides must be independent of each other.
    """
    x, y = require_seeded(fx).values, require_seeded(fy).values
    pairs = min(len(x), len(y))
    if pairs < 2 or not (min(x.min(), y.min()) >= low and max(x.max(), y.max()) <= high):
        raise OptionError(f"pairing needs at least 2 scores a side, clipped to [{low}, {high}]")
    per_x, per_y = len(x) // pairs, len(y) // pairs
    # `low` is subtracted first, so that means are not rounded coarsely where it is far from 0
    on_x, on_y = (fx - low).block_means(pairs, per_x), (fy - low).block_means(pairs, per_y)
    differences = (on_y - on_x).clip(low - high, high - low)
    if prior is None:
        return differences, None
    (mean_x, deviation_x), (mean_y, deviation_y) = prior
    return differences, (mean_y - mean_x, math.sqrt(deviation_x**2 / per_x + deviation_y**2 / per_y))


def linked_differences(
    fx: SeededScores, fy: SeededScores, low: float, high: float, prior: Prior | None
) -> tuple[SeededScores, Moments | None]:
    """Target less source score of each unit, (n,) within [low - high, high - low], and their prior.

    fx, fy: the scores of the same n units in the same order, which may depend on each other.
    """
    differences = ((require_seeded(fy) - low) - (require_seeded(fx) - low)).clip(low - high, high - low)
    if prior is None:
        return differences, None
    (mean_x, deviation_x), (mean_y, deviation_y) = prior
    return differences, (mean_y - mean_x, math.hypot(deviation_x, deviation_y))
