"""How a monitor's error is shared among its epochs, its updates and the statements of each update."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from wdist.errors import OptionError

# 6 / pi^2, rounded down: the sum over k of 6 / (pi k)^2 is 1.
_FIRST_SHARE: Final = math.nextafter(6 / math.pi**2, 0.0)


def share_of(k: int) -> float:
    """6 / (pi k)^2, the k-th share of a whole that is divided among k = 1, 2, ... without an end."""
    if k < 1:
        raise OptionError(f"{k}: shares are numbered from 1")
    return _FIRST_SHARE / k**2


@dataclass(frozen=True)
class Shares:
    """Error probabilities of the statements of one update, and of the evidence of its epoch.

    Over all epochs e and updates t of each, all of them sum to at most alpha, so that by the union bound all statements
    of a monitor hold together with probability 1 - alpha. Half of alpha is for the bounds of the series, half for
    its evidence. Epoch e takes 6 / (pi e)^2 of both halves, its update t takes 6 / (pi t)^2 of what the epoch has for
    bounds.

    Attributes:
        lower: of the lower bound of the distance.
        upper: of the upper bound of the distance.
        columns: of the lower bounds of all columns together.
        change: of the lower bound of the distance to the batch before.
        evidence_reference: of all upper bounds of critics' means on the reference, in this epoch.
        evidence_batches: of the evidence ever reaching `1 / evidence_batches` in this epoch, if those bounds hold.
    """

    lower: float
    upper: float
    columns: float
    change: float
    evidence_reference: float
    evidence_batches: float

    @classmethod
    def of(cls, alpha: float, epoch: int, update: int) -> Shares:
        """The shares of an update, numbered from 1 within its epoch. Raises OptionError for arguments out of range."""
        if not 0 < alpha < 1:
            raise OptionError(f"alpha {alpha} is outside (0, 1)")
        half = alpha / 2 * share_of(epoch)
        bounds = half * share_of(update)
        sixth = bounds / 6
        return cls(3 * sixth, sixth, sixth, sixth, half / 2, half / 2)

    def of_critic(self, k: int) -> float:
        """Error of the upper bound of the mean of the epoch's k-th critic, from 1, on the reference."""
        return self.evidence_reference * share_of(k)
