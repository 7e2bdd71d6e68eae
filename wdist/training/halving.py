"""Which critics are tried on a pair of sample sets, and how the budget is divided among them.

Successive halving (Jamieson and Talwalkar, 2016): every candidate gets a small share of the budget. If the two best
are close, each gets a larger share. The winner gets the rest. A candidate continues from the weights it had reached.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wdist.critics.families import (
    AffineConfig,
    BCOPConfig,
    ConeConfig,
    Config,
    GroupSortConfig,
    SlicedConfig,
    TrainedConfig,
    family_of,
)
from wdist.errors import OptionError
from wdist.training.trainer import Schedule

PILOT_SHARE, SEMIFINAL_SHARE = 0.04, 0.12
EPSILON = 1e-9  # allows for rounding in sums of shares
# A candidate below this fraction of the leader's select value has lost (MNIST: cone pilots reach 0.78 of GroupSort's).
CLOSE = 0.85
LEAST_STEPS_TO_SHARE = 100  # with fewer, the shares are too small to compare critics: 'auto' trains GroupSort alone
LEAST_SECONDS_TO_SHARE = 20.0  # for images: see `affordable`
DIMENSION_OF_TABLES = 64  # rows of at most this dimension count as tables, with narrower nets and smaller rates
FAMILIES = ("auto", "affine", "sliced", "groupsort", "cone", "bcop")


@dataclass(frozen=True)
class Budget:
    """What one estimate may spend on training: `steps`, or `seconds` (converted to steps by timing), or a default."""

    steps: int | None
    seconds: float | None


@dataclass(frozen=True)
class Stage:
    """One training: a configuration, its share of the budget, and the earlier stage that it continues."""

    config: TrainedConfig
    share: float
    after: int | None

    @property
    def is_final(self) -> bool:
        """Whether this is the last stage, neither pilot nor semifinal."""
        return self.share > PILOT_SHARE + SEMIFINAL_SHARE


def contenders(critic: str, row_shape: tuple[int, ...], train_rows: int) -> list[Config]:
    """The configurations that the option `critic` stands for; `train_rows` counts those of the smaller set.

    Raises:
        OptionError: unknown family, or one that does not fit the rows.
    """
    groupsort = groupsort_for(row_shape)
    anchors = sorted({_anchors(k, train_rows) for k in (64, 256)})
    cones: list[Config] = [ConeConfig(k, sign) for k in anchors for sign in (1, -1)]
    match critic:
        case "auto":
            return [AffineConfig(), SlicedConfig(), groupsort, *cones]
        case "affine":
            return [AffineConfig()]
        case "sliced":
            return [SlicedConfig()]
        case "groupsort":
            return [groupsort]
        case "cone":
            return cones
        case "bcop":
            if len(row_shape) != 3:
                raise OptionError(f"critic 'bcop' needs images, the rows have shape {row_shape}; use 'auto'")
            return [BCOPConfig()]
    raise OptionError(f"critic {critic!r} is unknown; choose one of {', '.join(FAMILIES)}")


def affordable(
    configs: list[TrainedConfig], steps: int | None, seconds: float | None, row_shape: tuple[int, ...]
) -> list[TrainedConfig]:
    """The configurations that the budget allows: all of them, or only GroupSort (if present) when it is small.

    On images, cones reached at best 0.78 of GroupSort's value (MNIST), and placing their anchors takes seconds.
    """
    is_short = steps is not None and steps < LEAST_STEPS_TO_SHARE
    is_short |= seconds is not None and seconds < LEAST_SECONDS_TO_SHARE and len(row_shape) == 3
    groupsort: list[TrainedConfig] = [config for config in configs if isinstance(config, GroupSortConfig)]
    return groupsort if is_short and groupsort else configs


def groupsort_for(row_shape: tuple[int, ...]) -> GroupSortConfig:
    """The GroupSort net for rows of this shape: narrow and deep for tables, wide for everything else.

    Measured held out on magic04, 2 seeds, 40 % of the rows: 64 x 6 reaches 1.943 (1,000 steps, 6.8 s), and so does
    256 x 5 (34 s); 128 x 3 reaches 1.928 (600 steps, 3.5 s) and 1.937 (2,000 steps, 12 s).
    """
    is_table = int(np.prod(row_shape)) <= DIMENSION_OF_TABLES
    return GroupSortConfig(64, 6) if is_table else GroupSortConfig(256, 5)


def _anchors(most: int, train_rows: int) -> int:
    """The number of anchors: at most one for every eight rows, so that the cones do not overfit."""
    return max(2, min(most, train_rows // 8))


def next_stage(configs: list[TrainedConfig], values: list[float], stages: list[Stage]) -> Stage | None:
    """What to train after `stages`, which reached the select `values`; None when the budget is spent.

    Pilots come first. If the two best families are close, each gets a semifinal. Then the winner trains on. Every
    stage starts a fresh schedule, which undoes part of what a long earlier one refined, so a clear winner skips the
    semifinal.
    """
    if len(configs) <= 1:
        return Stage(configs[0], 1.0, None) if configs and not stages else None
    tried = [stage.config for stage in stages]
    for config in configs:
        if config not in tried and not _is_hopeless(config, tried, values):
            return Stage(config, PILOT_SHARE, None)
    pilots = [i for i, stage in enumerate(stages) if stage.share == PILOT_SHARE]
    later = [i for i in range(len(stages)) if i not in pilots]
    left = 1 - sum(stage.share for stage in stages)
    best, *others = sorted(pilots, key=lambda i: -values[i])
    # Comparing two critics of one family tells us little, so the rival is the best of another family.
    rival = next((i for i in others if family_of(tried[i]) != family_of(tried[best])), best)
    if rival != best and values[rival] > CLOSE * values[best] and len(later) < 2:
        i = (best, rival)[len(later)]
        return Stage(tried[i], SEMIFINAL_SHARE, i)
    finalist = max(later or pilots, key=lambda i: values[i])
    return Stage(tried[finalist], left, finalist) if left > SEMIFINAL_SHARE + EPSILON else None


def _is_hopeless(config: TrainedConfig, tried: list[TrainedConfig], values: list[float]) -> bool:
    """Whether a cone can be skipped: with fewer anchors, the other sign did better or another family won clearly."""
    if not isinstance(config, ConeConfig):
        return False
    smaller = {
        c.sign: v
        for c, v in zip(tried, values, strict=False)
        if isinstance(c, ConeConfig) and c.anchors < config.anchors
    }
    others = [v for c, v in zip(tried, values, strict=False) if not isinstance(c, ConeConfig)]
    if not smaller:
        return False
    best = max(smaller.values())
    return smaller.get(config.sign, best) < best or bool(others and best < CLOSE * max(others))


def batch_size(config: TrainedConfig, train_rows: int) -> int:
    """Rows of each side in a mini-batch."""
    return min(1024 if isinstance(config, ConeConfig) else 256, train_rows)


def default_steps(train_rows: int) -> int:
    """Steps when the caller sets no budget: about 45 passes over the train rows of one side, from 200 to 2,000."""
    return int(min(2000, max(200, 45 * train_rows / 256)))


def schedule_for(config: TrainedConfig, steps: int, row_shape: tuple[int, ...], *, final: bool) -> Schedule:
    """The schedule of a family, with rates in training units; only the final stage can stop early."""
    dimension = int(np.prod(row_shape))
    # Adam moves every coordinate of an anchor by its rate: about 1 % of a coordinate's spread per step.
    # Rates of biases, held out: MNIST pairs (256 x 5, 400 steps) reach 3.42 at 1e-3, 3.44 at 4e-3, and 3.46 at 1e-2 and
    # 3e-2. Tables do worse at 1e-2 than at 2e-3: electricity 1.343 and 1.349, adult .632 and .634.
    is_table = dimension <= DIMENSION_OF_TABLES
    euclidean = 0.01 / math.sqrt(dimension) if isinstance(config, ConeConfig) else (2e-3 if is_table else 1e-2)
    # Rates of weights, held out: MNIST pairs reach 3.39 at 0.05 and 3.42 at 0.1. Tables (64 x 6), ratio to the mean
    # difference at 0.1, 0.05 and 0.025: electricity 1.090, 1.099, 1.103; magic04 1.350, 1.351, 1.349; wine 1.096,
    # 1.097, 1.096.
    rate = 0.04 if is_table else 0.1
    # A plateau in the middle of a cosine schedule means little: with a patience of 8 evaluations, diamonds lost .01.
    return Schedule(max(1, steps), rate, euclidean, patience=15 if final else 1_000)
