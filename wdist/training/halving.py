"""Which critics are tried on a pair of sample sets, and how a budget is shared among them.

Successive halving (Jamieson and Talwalkar, 2016): every candidate gets a small share of the budget, two that
are close a larger one, the best of all the rest. A candidate goes on from the weights of its earlier share.
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
EPSILON = 1e-9  # rounding of sums of shares
CLOSE = 0.85  # of the leader's select value: below, a candidate has lost (MNIST: cone pilots reach 0.78 of GroupSort's)
LEAST_STEPS_TO_SHARE = 100  # below, a share is too small to tell anything: 'auto' trains GroupSort alone
LEAST_SECONDS_TO_SHARE = 20.0  # for images: see affordable
DIMENSION_OF_TABLES = 64  # up to here rows are taken for tables: narrower nets, smaller rates
FAMILIES = ("auto", "affine", "sliced", "groupsort", "cone", "bcop")


@dataclass(frozen=True)
class Budget:
    """What one estimate may spend on training: `steps`, or `seconds` (turned into steps by timing), or a default."""

    steps: int | None
    seconds: float | None


@dataclass(frozen=True)
class Stage:
    """One training: a configuration, its share of the budget, and the earlier stage that it goes on from."""

    config: TrainedConfig
    share: float
    after: int | None

    @property
    def is_final(self) -> bool:
        """Whether this is the last stage, neither pilot nor semifinal."""
        return self.share > PILOT_SHARE + SEMIFINAL_SHARE


def contenders(critic: str, row_shape: tuple[int, ...], train_rows: int) -> list[Config]:
    """The configurations that the option `critic` stands for; train_rows: of the smaller set.

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
    """The configurations that a budget lets us try: all of them, or GroupSort alone where it is among them.

    On images cones have reached 0.78 of GroupSort's value at best (MNIST), and placing their anchors takes seconds.
    """
    is_short = steps is not None and steps < LEAST_STEPS_TO_SHARE
    is_short |= seconds is not None and seconds < LEAST_SECONDS_TO_SHARE and len(row_shape) == 3
    groupsort: list[TrainedConfig] = [config for config in configs if isinstance(config, GroupSortConfig)]
    return groupsort if is_short and groupsort else configs


def groupsort_for(row_shape: tuple[int, ...]) -> GroupSortConfig:
    """Tables: narrow and deep. Held out, 2 seeds, 40 % of the rows: magic04 1.943 by 64 x 6 (1,000 steps, 6.8 s) and
    1.943 by 256 x 5 (34 s), against 1.928 by 128 x 3 (600 steps, 3.5 s) and 1.937 (2,000 steps, 12 s).
    """
    is_table = int(np.prod(row_shape)) <= DIMENSION_OF_TABLES
    return GroupSortConfig(64, 6) if is_table else GroupSortConfig(256, 5)


def _anchors(most: int, train_rows: int) -> int:
    """Few rows carry few anchors: about eight rows each, or they are learned by heart."""
    return max(2, min(most, train_rows // 8))


def next_stage(configs: list[TrainedConfig], values: list[float], stages: list[Stage]) -> Stage | None:
    """What to train after `stages`, which reached the select `values`; None when the budget is spent.

    Pilots first; a close race of the two best families gets a semifinal each; then the winner trains on. A stage starts
    with a fresh schedule, which costs what a long earlier one has refined: hence no semifinal for a clear winner.
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
    # Two of one family say little against each other: the rival is the best of another family.
    rival = next((i for i in others if family_of(tried[i]) != family_of(tried[best])), best)
    if rival != best and values[rival] > CLOSE * values[best] and len(later) < 2:
        i = (best, rival)[len(later)]
        return Stage(tried[i], SEMIFINAL_SHARE, i)
    finalist = max(later or pilots, key=lambda i: values[i])
    return Stage(tried[finalist], left, finalist) if left > SEMIFINAL_SHARE + EPSILON else None


def _is_hopeless(config: TrainedConfig, tried: list[TrainedConfig], values: list[float]) -> bool:
    """Whether a cone need not be tried: fewer anchors did better with the other sign, or lost to another family."""
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
    """Rows a side in a mini-batch."""
    return min(1024 if isinstance(config, ConeConfig) else 256, train_rows)


def default_steps(train_rows: int) -> int:
    """Steps where the caller names no budget: about 45 passes over the train rows of one side, from 200 to 2,000."""
    return int(min(2000, max(200, 45 * train_rows / 256)))


def schedule_for(config: TrainedConfig, steps: int, row_shape: tuple[int, ...], *, final: bool) -> Schedule:
    """Rates of a family in units of training; a short stage is never stopped early."""
    dimension = int(np.prod(row_shape))
    # Adam moves every coordinate of an anchor by its rate: about 1 % of a coordinate's spread a step.
    # Biases, held out: MNIST pairs (256 x 5, 400 steps) 3.42 at 1e-3, 3.44 at 4e-3, 3.46 at 1e-2 and 3e-2; tables lose
    # by it: electricity 1.349 at 2e-3, 1.343 at 1e-2, adult .634 and .632.
    is_table = dimension <= DIMENSION_OF_TABLES
    euclidean = 0.01 / math.sqrt(dimension) if isinstance(config, ConeConfig) else (2e-3 if is_table else 1e-2)
    # Held out: MNIST pairs 3.39 at 0.05 and 3.42 at 0.1. Tables (64 x 6), ratio to the mean difference at 0.1, 0.05 and
    # 0.025: electricity 1.090, 1.099, 1.103; magic04 1.350, 1.351, 1.349; wine 1.096, 1.097, 1.096.
    rate = 0.04 if is_table else 0.1
    # Under a cosine schedule a plateau in the middle says little: diamonds lost .01 with a patience of 8 looks.
    return Schedule(max(1, steps), rate, euclidean, patience=15 if final else 1_000)
