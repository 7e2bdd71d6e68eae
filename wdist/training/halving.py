"""Which critics are tried on a pair of sample sets, and how the budget is divided among them.

Successive halving (Jamieson and Talwalkar, 2016): every candidate gets a small share of the budget. If the two best
are close, each gets a larger share. The winner gets the rest. A candidate continues from the weights it had reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wdist.critics.base import CLOSE, CriticConfig, TrainedConfig
from wdist.critics.registry import FAMILIES, find_family
from wdist.training.trainer import Schedule

PILOT_SHARE, SEMIFINAL_SHARE = 0.04, 0.12
EPSILON = 1e-9  # allows for rounding in sums of shares
LEAST_STEPS_TO_SHARE = 100  # with fewer, the shares are too small to compare critics: 'auto' trains GroupSort alone
LEAST_SECONDS_TO_SHARE = 20.0  # for images: see `affordable`


@dataclass(frozen=True)
class Budget:
    """What one estimate may spend on training: `steps`, or `seconds` (converted to steps by timing), or a default.

    planned: if given, it is the plan: the steps of all stages together, or those of each stage as they were timed.
    Training then ends after `steps`, wherever that is in the plan.
    """

    steps: int | None
    seconds: float | None
    planned: int | tuple[int, ...] | None = None

    @property
    def planned_steps(self) -> int | None:
        """The steps of all stages together, if they are known before training."""
        if self.planned is None:
            return self.steps
        return self.planned if isinstance(self.planned, int) else None

    @property
    def stages(self) -> int | None:
        """The number of stages, if the plan lists them."""
        return len(self.planned) if isinstance(self.planned, tuple) else None

    @property
    def last_step(self) -> int | None:
        """The step after which training ends, if it is not the last of the plan."""
        return None if self.planned is None else self.steps

    def identity(self) -> dict[str, Any]:
        """What a checkpoint stores of it. Without a plan these are the names of 0.1."""
        return {"steps": self.steps, "seconds": self.seconds} | (
            {} if self.planned is None else {"planned": self.planned}
        )


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


def contenders(critic: str, row_shape: tuple[int, ...], train_rows: int) -> list[CriticConfig]:
    """The configurations that the option `critic` stands for; `train_rows` counts those of the smaller set.

    Raises:
        OptionError: unknown family, or one that does not fit the rows.
    """
    if critic == "auto":
        families = [family for family in FAMILIES.values() if family.in_auto and family.fits(row_shape)]
    else:
        families = [find_family(critic)]
        families[0].check_fits(row_shape)
    return [config for family in families for config in family.load().contenders(row_shape, train_rows)]


def affordable(
    configs: Sequence[TrainedConfig], steps: int | None, seconds: float | None, row_shape: tuple[int, ...]
) -> list[TrainedConfig]:
    """The configurations that the budget allows: all, or if it is small only those that suit one (if there are any).

    On images, cones reached at best 0.78 of GroupSort's value (MNIST), and placing their anchors takes seconds.
    """
    is_short = steps is not None and steps < LEAST_STEPS_TO_SHARE
    is_short |= seconds is not None and seconds < LEAST_SECONDS_TO_SHARE and len(row_shape) == 3
    suited = [config for config in configs if config.suits_short_budgets]
    return suited if is_short and suited else list(configs)


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
        if config not in tried and not config.is_hopeless(tried, values):
            return Stage(config, PILOT_SHARE, None)
    pilots = [i for i, stage in enumerate(stages) if stage.share == PILOT_SHARE]
    later = [i for i in range(len(stages)) if i not in pilots]
    left = 1 - sum(stage.share for stage in stages)
    best, *others = sorted(pilots, key=lambda i: -values[i])
    # Comparing two critics of one family tells us little, so the rival is the best of another family.
    rival = next((i for i in others if tried[i].family != tried[best].family), best)
    if rival != best and values[rival] > CLOSE * values[best] and len(later) < 2:
        i = (best, rival)[len(later)]
        return Stage(tried[i], SEMIFINAL_SHARE, i)
    finalist = max(later or pilots, key=lambda i: values[i])
    return Stage(tried[finalist], left, finalist) if left > SEMIFINAL_SHARE + EPSILON else None


def schedule_for(config: TrainedConfig, steps: int, row_shape: tuple[int, ...], *, final: bool) -> Schedule:
    """The schedule of a configuration, with rates in training units; only the final stage can stop early."""
    # A plateau in the middle of a cosine schedule means little: with a patience of 8 evaluations, diamonds lost .01.
    return Schedule(max(1, steps), *config.rates(row_shape), patience=15 if final else 1_000)
