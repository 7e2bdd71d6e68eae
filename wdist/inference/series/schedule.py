"""When the critic that collects evidence is replaced: a rule that is fixed before any batch is seen."""

from typing import Final

from wdist.errors import OptionError

PERIOD: Final = 8  # updates


def is_replacement(update: int) -> bool:
    """Whether the critic of this update, numbered from 1 within its epoch, becomes the one that collects evidence.

    It is so in updates 1, 2, 4, 8, 16, 24, 32, ... A critic from before a drift is made of noise and sees little of it,
    so it must not stay for long; but each further critic makes the bounds of all later ones on the reference weaker.
    Measured on weak drift, 8 updates lose least beside the bounds of each batch (docs/benchmarks/monitors.md).
    """
    if update < 1:
        raise OptionError(f"{update}: updates are numbered from 1")
    return update % PERIOD == 0 or (update < PERIOD and update & (update - 1) == 0)
