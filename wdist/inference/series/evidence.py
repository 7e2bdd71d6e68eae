"""Evidence of a whole series that some batch is further from the reference than a tolerance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wdist.data.seeded import SeededScores
from wdist.errors import OptionError
from wdist.inference.base import Moments, check_draws, unit_draws
from wdist.inference.series.budget import Shares, share_of
from wdist.inference.target_stakes import TargetStakes
from wdist.rounding import UNIT_ROUNDOFF

# Shares of the capital that are lost on a row with the lowest score. The evidence is the average over them.
RISKS: Final = (1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64)
_LARGEST_LOG: Final = 690.0  # e^690 is still a float64


@dataclass(frozen=True)
class Evidence:
    """An e-process against "W1(P, Q_t) <= tolerance for every batch t of this epoch".

    The k-th critic f_k of the epoch (Lipschitz bound L, clipped to [low, high]) has an upper bound U_k of its mean
    under the reference P, from the reference's test rows at error a_ref 6 / (pi k)^2. A batch with scores f(Y_1), ...,
    f(Y_n) of the present critic multiplies capital by e_t = prod_j (1 + lambda (f(Y_j) - U_k - L tolerance)), with

        S_t = e_t (S_(t-1) + g_t),   E_t = S_t + sum_(s > t) g_s,   g_t = 1 / (t (t + 1)),

    the capital of bets that start in update t with g_t of it, for every t. E_t is averaged over several lambda, each at
    most RISK / (U_k + L tolerance - low), so that no factor is below 1 - RISK.

    With probability 1 - a_ref, U_k >= E_P f_k for all k. Then E_Q f_k <= U_k + L W1(P, Q), each factor has a mean of at
    most 1 given everything before, and E_t is a nonnegative supermartingale that begins at 1. By Ville's inequality,
    it reaches 1 / a_batches with probability at most a_batches. This needs:

    - Critics and clips never depend on the reference's test rows, or on figures made from them.
    - The rows of a batch are independent draws, and independent of the critic given all that was before: a critic that
      was trained on a batch scores only the test rows of that batch.
    - No row occurs in two batches, and no batch is left out after its figures are known.

    An Evidence is never changed: `replaced` and `added` return a new one.

    Attributes:
        tolerance: the distance that is no drift, fixed when the epoch begins.
        error_reference, error_batches: a_ref and a_batches.
        critics, updates: how many of them there have been in this epoch.
        interval: (low, high) of the present critic; None before the first one.
        ceiling: (U_k + L tolerance - low) / (high - low), at most 1: then no score is above it, and no bet is made.
        log_started: log S_t for each of RISKS, less rounding; () before the first update.
    """

    tolerance: float
    error_reference: float
    error_batches: float
    critics: int = 0
    updates: int = 0
    interval: tuple[float, float] | None = None
    ceiling: float = 1.0
    log_started: tuple[float, ...] = ()

    @classmethod
    def begin(cls, alpha: float, epoch: int, tolerance: float) -> Evidence:
        """Before the first update of an epoch, from 1, of a monitor with error alpha. tolerance: a distance."""
        if not (0 <= tolerance < math.inf):
            raise OptionError(f"tolerance {tolerance}: a distance of 0 or more is needed")
        shares = Shares.of(alpha, epoch, 1)
        return cls(tolerance, shares.evidence_reference, shares.evidence_batches)

    @property
    def limit(self) -> float:
        """The evidence that raises an alarm."""
        return 1 / self.error_batches

    @property
    def value(self) -> float:
        """E_t, less its rounding."""
        unstarted = 1 / (self.updates + 1)
        if not self.log_started:
            return unstarted
        started = [math.exp(min(log, _LARGEST_LOG)) for log in self.log_started]
        return (math.fsum(started) / len(started) + unstarted) * (1 - 8 * UNIT_ROUNDOFF)

    def replaced(
        self,
        reference: SeededScores,
        low: float,
        high: float,
        lipschitz_bound: float,
        prior: Moments | None = None,
    ) -> Evidence:
        """Begin to bet with another critic.

        reference: its scores of the reference's test rows, clipped to [low, high]. lipschitz_bound: of the clipped
        critic; scores are not divided by it. prior: mean and standard deviation of its scores of other rows of the
        reference; it tunes the bound U_k. Raises OptionError for scores outside the interval.
        """
        k = self.critics + 1
        alpha = self.error_reference * share_of(k)
        check_draws(reference, low, high, alpha)
        width = high - low
        if width == 0:  # a constant critic
            return replace(self, critics=k, interval=(low, high), ceiling=1.0)
        scaled_prior = None if prior is None else ((prior[0] - low) / width, prior[1] / width)
        mean = TargetStakes().mean_upper_bound(reference.to_unit(low, high), 0.0, 1.0, alpha, scaled_prior)
        slack = self.tolerance * (lipschitz_bound / width)
        ceiling = (mean + slack) * (1 + 8 * UNIT_ROUNDOFF)
        # Written so that what overflowed is 1, too.
        return replace(self, critics=k, interval=(low, high), ceiling=ceiling if ceiling < 1 else 1.0)

    def added(self, batch: SeededScores) -> Evidence:
        """Add a batch.

        batch: scores by the present critic, clipped to its interval. In the update that begins with the critic, only
        of the batch's test rows; in later updates, of any rows. Raises OptionError before the first `replaced`.
        """
        if self.interval is None:
            raise OptionError("there is no critic yet: call `replaced` before the first batch")
        low, high = self.interval
        check_draws(batch, low, high, self.error_batches)
        t = self.updates + 1
        capital = np.full(len(RISKS), -math.log(t * (t + 1)))
        if self.log_started:
            capital = np.logaddexp(capital, np.array(self.log_started))
        if self.ceiling < 1:
            capital += _log_factors(unit_draws(batch, low, high).values, self.ceiling)
        capital -= 1e-14 * (1 + np.abs(capital))  # logaddexp and the additions are off by a few roundoffs
        return replace(self, updates=t, log_started=tuple(float(log) for log in capital))

    def to_json(self) -> dict[str, Any]:
        """Numbers as JSON keeps them, exact to the bit."""
        return {
            "tolerance": self.tolerance,
            "error_reference": self.error_reference,
            "error_batches": self.error_batches,
            "critics": self.critics,
            "updates": self.updates,
            "interval": None if self.interval is None else list(self.interval),
            "ceiling": self.ceiling,
            "log_started": list(self.log_started),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Evidence:
        """The evidence that `to_json` wrote. Raises OptionError for anything else."""
        try:
            interval = stored["interval"]
            evidence = cls(
                tolerance=float(stored["tolerance"]),
                error_reference=float(stored["error_reference"]),
                error_batches=float(stored["error_batches"]),
                critics=int(stored["critics"]),
                updates=int(stored["updates"]),
                interval=None if interval is None else (float(interval[0]), float(interval[1])),
                ceiling=float(stored["ceiling"]),
                log_started=tuple(float(log) for log in stored["log_started"]),
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise OptionError(f"this is no stored evidence: {error!r}") from None
        if len(evidence.log_started) not in (0, len(RISKS)) or (evidence.updates > 0) != bool(evidence.log_started):
            raise OptionError(f"this is no stored evidence: {len(evidence.log_started)} capitals")
        return evidence


def _log_factors(draws: NDArray[np.float64], ceiling: float) -> NDArray[np.float64]:
    """log e_t for each of RISKS, less rounding. draws: (n,), within [0, 1]."""
    gains = (draws - ceiling) / ceiling
    logs = np.empty(len(RISKS))
    for i, risk in enumerate(RISKS):
        terms = np.log1p(risk * gains)
        # A gain is off by 4 roundoffs of itself and 1 + RISK gain is at least 1/2, so a term is off by 16 at most.
        rounding = UNIT_ROUNDOFF * len(terms) * (16 + float(np.abs(terms).sum()))
        logs[i] = float(terms.sum()) - rounding
    return logs
