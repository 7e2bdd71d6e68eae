"""Series of a monitor with critics that cost nothing to train: split, clip, bounds and evidence are the library's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wdist.data.seeded import SeededScores
from wdist.data.splits import Split, split_rows
from wdist.inference.base import Moments
from wdist.inference.mean_bounds import clip_interval
from wdist.inference.series.budget import Shares
from wdist.inference.series.evidence import Evidence
from wdist.inference.units import lower_bound_of, units_of_rows, value_of

Rows = NDArray[np.float64]
Rule = Callable[[int], bool]
METHOD = "target_stakes"


@dataclass(frozen=True)
class Linear:
    """A critic x -> direction . x, clipped; its Lipschitz bound is 1."""

    direction: Rows
    low: float
    high: float

    def scores(self, rows: Rows) -> Rows:
        return (rows @ self.direction).clip(self.low, self.high)

    def test_scores(self, rows: Rows, split: Split) -> SeededScores:
        return split.test_scores(self.scores(rows[split.test]), split.test)


@dataclass(frozen=True)
class Update:
    """lower_bound: None if it is not above `Series.truth`. evidence: by the name of the rule, E_t / limit."""

    lower_bound: float | None
    evidence: dict[str, float]


class Series:
    """One monitor: the first look at each batch, and the evidence by each rule of replacement.

    direction: of the critic, (d,); None: each week's is the difference of the means of the train rows. truth: the
    distance of every batch; only bounds above it are computed.
    """

    def __init__(
        self,
        reference: Rows,
        seed: int,
        rules: Mapping[str, Rule],
        *,
        alpha: float = 0.05,
        tolerance: float = 0.0,
        truth: float = 0.0,
        direction: Rows | None = None,
    ) -> None:
        self.reference, self.seed, self.rules, self.alpha = reference, seed, rules, alpha
        self.truth, self.direction = truth, direction
        self.split = split_rows(len(reference), seed, 0)
        self.evidence = {name: Evidence.begin(alpha, 1, tolerance) for name in rules}
        self.critics: dict[str, Linear] = {}
        self.updates = 0

    def update(self, batch: Rows) -> Update:
        self.updates += 1
        split = split_rows(len(batch), self.seed, self.updates)
        alpha = Shares.of(self.alpha, 1, self.updates).lower
        critic = self._critic(batch, split, alpha)
        select = [_moments(critic.scores(side[part.select])) for side, part in self._sides(batch, split)]
        units = units_of_rows(*(critic.test_scores(side, part) for side, part in self._sides(batch, split)))
        bound = None
        if value_of(units) > self.truth:  # a bound is at most its value
            bound = lower_bound_of(units, critic.low, critic.high, alpha, METHOD, (select[0], select[1]))
        return Update(bound, {name: self._add(name, critic, select[0], batch, split) for name in self.rules})

    def _add(self, name: str, critic: Linear, prior: Moments, batch: Rows, split: Split) -> float:
        evidence = self.evidence[name]
        if self.rules[name](self.updates):
            self.critics[name] = critic
            scores = critic.test_scores(self.reference, self.split)
            evidence = evidence.replaced(scores, critic.low, critic.high, 1.0, prior)
            evidence = evidence.added(critic.test_scores(batch, split))
        else:
            every = np.arange(len(batch))
            evidence = evidence.added(SeededScores.of(self.critics[name].scores(batch), every, every))
        self.evidence[name] = evidence
        return evidence.value / evidence.limit

    def _critic(self, batch: Rows, split: Split, alpha: float) -> Linear:
        direction = self.direction
        if direction is None:
            apart = batch[split.train].mean(axis=0) - self.reference[self.split.train].mean(axis=0)
            direction = apart / np.linalg.norm(apart)
        past = [side[np.concatenate([part.train, part.select])] @ direction for side, part in self._sides(batch, split)]
        sizes = len(self.split.test), len(split.test)
        return Linear(direction, *clip_interval(past[0], past[1], *sizes, alpha, METHOD))

    def _sides(self, batch: Rows, split: Split) -> tuple[tuple[Rows, Split], tuple[Rows, Split]]:
        return (self.reference, self.split), (batch, split)


def _moments(scores: Rows) -> Moments:
    return float(scores.mean()), float(scores.std())
