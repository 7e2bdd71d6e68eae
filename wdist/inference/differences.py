"""Differences of scores of both sets, whose mean is the difference of the means."""

import math

import numpy as np
from numpy.typing import NDArray

from wdist.data.seeded import SeededScores, require_seeded
from wdist.errors import OptionError
from wdist.inference.base import Moments, Prior


def part_sizes_of_pairs(n: int, m: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many of n source and of m target scores each pair takes, two arrays (min(n, m),) that sum to n and m.

    With N pairs, pair s ends behind score floor(s n / N) of a side, so that sizes on one side differ by at most 1.
    """
    pairs = min(n, m)
    source, target = (np.diff(np.arange(pairs + 1, dtype=np.int64) * size // pairs) for size in (n, m))
    return source, target


def paired_differences(
    fx: SeededScores, fy: SeededScores, low: float, high: float, prior: Prior | None
) -> tuple[SeededScores, Moments | None]:
    """min(n, m) independent draws with mean E f(Y) - E f(X), within [low - high, high - low], and their prior.

    In the seeded order, each score of the smaller side is paired with the mean of the next scores of the larger side
    (`part_sizes_of_pairs`). Every score is in one pair. The differences have one mean, whatever the sizes, but not one
    variance; the prior has that of parts of equal size. The sides must be independent of each other.
    """
    x, y = require_seeded(fx).values, require_seeded(fy).values
    pairs = min(len(x), len(y))
    if pairs < 2 or not (min(x.min(), y.min()) >= low and max(x.max(), y.max()) <= high):
        raise OptionError(f"pairing needs at least 2 scores a side, clipped to [{low}, {high}]")
    sizes_x, sizes_y = part_sizes_of_pairs(len(x), len(y))
    # `low` is subtracted first, so that means are not rounded coarsely where it is far from 0
    on_x, on_y = (fx - low).part_means(sizes_x), (fy - low).part_means(sizes_y)
    differences = (on_y - on_x).clip(low - high, high - low)
    if prior is None:
        return differences, None
    (mean_x, deviation_x), (mean_y, deviation_y) = prior
    variance = deviation_x**2 * pairs / len(x) + deviation_y**2 * pairs / len(y)
    return differences, (mean_y - mean_x, math.sqrt(variance))


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
