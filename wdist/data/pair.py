"""The pair being compared: two sample sets, split and scaled, read as training and scoring need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from wdist.data.batches import Batches
from wdist.data.samples import SampleSet
from wdist.data.scaling import Scaling
from wdist.data.seeded import SeededScores
from wdist.data.splits import HeldOutRows, Split
from wdist.errors import OptionError
from wdist.transport.sliced import fit_direction

DIRECTION_ROWS = 20_000  # train rows a side from which the search for a direction takes a sample
SELECT_ROWS = 20_000  # select rows a side used to track the held-out value during training
MOMENT_ROWS = 20_000  # train rows a side used to compute the shift and the unit of training


class Potential(Protocol):
    """A function f of rows (n, *row_shape), rescaled as the user asked."""

    def scores(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """f of the rows, (n,)."""
        ...


class CertifiedPotential(Potential, Protocol):
    """A function f whose rounding is bounded."""

    def scores_and_rounding(
        self, rows: NDArray[np.float64], error: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """f of the rows as computed, (n,), and how far each may be from f of the exact row, (n,).

        error: (n,), bound on the Euclidean distance of each row from its exact value.
        """
        ...


@dataclass(frozen=True)
class Shared:
    """What all pairs of a matrix or of a comparison share: one split of each set, and one ruler.

    numbers: the places in the list of the source and the target of this pair; the first set has number 0.
    first: the first set, as `estimate_w1` takes it; its select rows fix the unit of "standardize". name: what units and
    warnings call it. groups: labels of the rows of every set of the list, or None.
    """

    numbers: tuple[int, int]
    first: Any
    name: str
    groups: Sequence[Any] | None = None

    def __post_init__(self) -> None:
        if self.numbers[0] == self.numbers[1] or min(self.numbers) < 0:
            raise OptionError(f"a pair of the sets {self.numbers[0]} and {self.numbers[1]} is none")


@dataclass(frozen=True)
class TrainingUnits:
    """Rows are trained on as (row - shift) / unit; shift has the shape of a row."""

    shift: NDArray[np.float64]
    unit: float


@dataclass
class SamplePair:
    """Two sample sets, their splits, and the column scaling they share.

    seed: seeds the order of batches and the search for a direction; device: where batches are put; groups: the group
    codes of the rows of both sets, or None if rows are independent; group_counts: as in `GroupOrder`; numbers: of the
    two sets, as in `Shared`; fixed: training units that earlier pairs of a series had, whose critics take all columns;
    by default those of this pair's own rows.
    """

    source: SampleSet
    target: SampleSet
    source_split: Split
    target_split: Split
    scaling: Scaling
    seed: int
    device: torch.device
    groups: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    group_counts: tuple[int, int] | None = None
    numbers: tuple[int, int] = (0, 1)
    fixed: TrainingUnits | None = None

    def __post_init__(self) -> None:
        self._fed: dict[tuple[str, int], Batches] = {}
        units = self.fixed or training_units(self.scaling, self._sides())
        self.shift, self.unit = units.shift, units.unit

    def _sides(self) -> list[tuple[SampleSet, Split]]:
        return [(self.source, self.source_split), (self.target, self.target_split)]

    def batches(self, part: str, batch: int) -> tuple[Batches, Batches]:
        """Batches of the 'train' or 'select' rows of both sets, in training units. Calls share the rows they read."""
        first, second = (
            Batches(
                samples,
                getattr(split, part) if part == "train" else getattr(split, part)[:SELECT_ROWS],
                self.scaling,
                seed=self.seed,
                side=side,
                batch=batch,
                device=self.device,
                shift=self.shift,
                unit=self.unit,
                columns=self.columns,
                like=self._fed.get((part, side)),
            )
            for side, (samples, split) in enumerate(self._sides())
        )
        self._fed |= {(part, 0): first, (part, 1): second}
        return first, second

    def rows(self, part: str, limit: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """At most `limit` rows of a part of both sets, rescaled as the user asked (not in training units).

        They are in the order of the file, so that no bound may be computed from them: see `test_rows`.
        """
        first, second = (
            self.scaling.apply(samples.rows(np.sort(getattr(split, part)[:limit]))) for samples, split in self._sides()
        )
        return first, second

    def scores(self, potential: Potential, part: str, limit: int | None = None) -> tuple[NDArray[np.float64], ...]:
        """Float64 scores f(x) of the rows in one part of both sets, in the order of the split."""
        out = []
        for samples, split in self._sides():
            index = getattr(split, part)[:limit]
            blocks = [potential.scores(self.scaling.apply(rows)) for rows in samples.blocks(index)]
            out.append(np.concatenate(blocks))
        return tuple(out)

    def test_scores(self, potential: CertifiedPotential) -> tuple[SeededScores, SeededScores]:
        """Scores of the test rows of both sets and their rounding, for bounds."""
        out = []
        for samples, split in self._sides():
            parts = []
            for rows in samples.blocks(split.test):
                parts.append(potential.scores_and_rounding(*self.scaling.apply_with_rounding(rows, samples.rounding)))
            values, rounding = (np.concatenate(each) for each in zip(*parts, strict=True))
            out.append(split.test_scores(values, split.test, rounding))
        return out[0], out[1]

    def test_rows(self, limit: int) -> tuple[HeldOutRows, HeldOutRows]:
        """At most `limit` test rows of both sets, rescaled as the user asked."""
        out = []
        for samples, split in self._sides():
            numbers = np.sort(split.test[:limit])
            rows, rounding = self.scaling.apply_with_rounding(samples.rows(numbers), samples.rounding)
            out.append(HeldOutRows(rows, numbers, rounding, split))
        return out[0], out[1]

    @cached_property
    def direction(self) -> NDArray[np.float64]:
        """Unit vector (d,) along which the train rows are furthest apart, for the sliced critic and max-sliced W1.

        It is 0 in columns that critics do not take.
        """
        x, y = self.rows("train", DIRECTION_ROWS)
        if self.columns is None:
            return fit_direction(x, y, self.seed)
        direction = np.zeros(self.source.dimension)
        direction[self.columns] = fit_direction(x[:, self.columns], y[:, self.columns], self.seed)
        return direction

    @cached_property
    def columns(self) -> NDArray[np.int64] | None:
        """The columns of encoded rows that critics take, if not all.

        Those of levels without train rows are left out, so that all such levels are one point to a critic: nothing was
        learnt of them. Test rows have no part in it. A projection is 1-Lipschitz, so that bounds hold as they do
        without; transport sees all levels.
        """
        encoding = self.source.encoding
        if encoding is None or self.fixed is not None:
            return None
        taken = encoding.is_number.copy()
        for samples, split in self._sides():
            for rows in samples.blocks(np.sort(split.train)):
                if taken.all():
                    return None
                taken |= (rows != 0).any(axis=0)
        if taken.all():
            return None
        return np.flatnonzero(taken) if taken.any() else np.zeros(1, dtype=np.int64)

    @property
    def net_shape(self) -> tuple[int, ...]:
        """The shape of a row as critics are trained on it."""
        return self.source.row_shape if self.columns is None else (len(self.columns),)

    def mean_rows(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean of all train rows of each set, streamed."""
        means = []
        for samples, split in self._sides():
            total = np.zeros(samples.row_shape)
            for rows in samples.blocks(np.sort(split.train)):
                total += (self.scaling.apply(rows) - self.shift).sum(axis=0)
            means.append(self.shift + total / len(split.train))
        return means[0], means[1]


def training_units(scaling: Scaling, sets: Sequence[tuple[SampleSet, Split]]) -> TrainingUnits:
    """The units in which train rows have mean 0 and root mean square norm 1: a learning rate means the same for all."""
    rows = [scaling.apply(samples.rows(np.sort(split.train[:MOMENT_ROWS]))) for samples, split in sets]
    centre = sum(side.mean(axis=0) for side in rows) / len(rows)
    spread = np.mean([np.square(side - centre).reshape(len(side), -1).sum(axis=1).mean() for side in rows])
    return TrainingUnits(np.asarray(centre), float(np.sqrt(spread)) or 1.0)
