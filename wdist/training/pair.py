"""One estimation problem: two sample sets, split and scaled, read in the form that training and scoring need."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from wdist.critics.critic import Critic, CriticInput
from wdist.data.batches import Feed
from wdist.data.samples import SampleSet
from wdist.data.scaling import Scaling
from wdist.data.splits import Split
from wdist.training.trainer import Progress
from wdist.transport.sliced import fit_direction

DIRECTION_ROWS = 20_000  # train rows a side, of which the search for a direction draws its own
SELECT_ROWS = 20_000  # rows a side on which the held-out value is followed while training
MOMENT_ROWS = 20_000  # train rows a side behind the shift and the unit of training


@dataclass
class Problem:
    """Two sample sets, split and scaled, and how to talk to the caller."""

    source: SampleSet
    target: SampleSet
    source_split: Split
    target_split: Split
    scale: Scaling
    seed: int
    device: torch.device
    takes: CriticInput
    groups: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None  # group codes of the rows of both sets
    progress: Callable[[Progress], None] | None = None
    should_stop: Callable[[], bool] | None = None
    started: float = field(default_factory=time.perf_counter)
    best: float | None = None  # best select value of all candidates so far

    def __post_init__(self) -> None:
        means, squares = [], []
        for samples, split in self._sides():
            rows = self.scale.apply(samples.rows(np.sort(split.train[:MOMENT_ROWS]))).astype(np.float64)
            means.append(rows.mean(axis=0))
            squares.append(rows)
        centre = (means[0] + means[1]) / 2
        spread = np.mean([np.square(rows - centre).reshape(len(rows), -1).sum(axis=1).mean() for rows in squares])
        self.shift = torch.from_numpy(np.asarray(centre))
        self._fed: dict[tuple[str, int], Feed] = {}
        # Rows of training have root mean square norm 1: rates then mean the same for every data set.
        self.unit = float(np.sqrt(spread)) or 1.0

    def _sides(self) -> list[tuple[SampleSet, Split]]:
        return [(self.source, self.source_split), (self.target, self.target_split)]

    def feeds(self, part: str, batch: int) -> tuple[Feed, Feed]:
        """Feeds of the 'train' or 'select' rows of both sets, in units of training; rows are read once for them all."""
        first, second = (
            Feed(
                samples,
                getattr(split, part) if part == "train" else getattr(split, part)[:SELECT_ROWS],
                self.scale,
                seed=2 * self.seed + side,
                batch=batch,
                device=self.device,
                shift=self.shift,
                unit=self.unit,
                like=self._fed.get((part, side)),
            )
            for side, (samples, split) in enumerate(self._sides())
        )
        self._fed |= {(part, 0): first, (part, 1): second}
        return first, second

    def rows(self, part: str, limit: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """At most `limit` rows of a part of both sets, rescaled, in the user's (not training's) units."""
        first, second = (
            self.scale.apply(samples.rows(np.sort(getattr(split, part)[:limit]))) for samples, split in self._sides()
        )
        return first, second

    def scores(self, critic: Critic, part: str, limit: int | None = None) -> tuple[NDArray[np.float64], ...]:
        """f of the rows of a part of both sets, in the order of the split, float64."""
        out = []
        for samples, split in self._sides():
            index = getattr(split, part)[:limit]
            blocks = [critic.scores(self.scale.apply(rows)) for rows in samples.blocks(index)]
            out.append(np.concatenate(blocks))
        return tuple(out)

    @cached_property
    def direction(self) -> NDArray[np.float64]:
        """Unit vector (d,) along which train rows are furthest apart: of the sliced critic, and of max-sliced W1."""
        return fit_direction(*self.rows("train", DIRECTION_ROWS), self.seed)

    def mean_rows(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Means of all train rows of both sets, streamed."""
        means = []
        for samples, split in self._sides():
            total = np.zeros(samples.row_shape)
            for rows in samples.blocks(np.sort(split.train)):
                total += self.scale.apply(rows).astype(np.float64).sum(axis=0)
            means.append(total / len(split.train))
        return means[0], means[1]

    def tell(
        self, step: int, steps: int, trying: str, here: int, seconds: float, budget_left: float = math.inf
    ) -> None:
        """Report progress: `step` of `steps` in all; `here` of them were done in the last `seconds`, in this stage."""
        if self.progress is not None:
            eta = min(seconds / here * (steps - step), budget_left) if here else None
            self.progress(Progress(step, steps, time.perf_counter() - self.started, self.best, eta, trying))
