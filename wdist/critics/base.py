"""The contract of a family of critics: a configuration that is fitted in closed form, or one that is trained.

A family is one file that subclasses `FittedConfig` or `TrainedConfig`, and one entry in `wdist.critics.registry`. Its
proof and its stored form come from its layers: see `wdist.nn.contract`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from wdist.critics.cost import BATCH_ROWS, DIMENSION_OF_TABLES
from wdist.critics.registry import FAMILIES
from wdist.data.pair import SamplePair
from wdist.nn.torch_state import own_torch_state
from wdist.streams import Purpose, torch_seed

# A candidate below this fraction of the leader's select value has lost (MNIST: cone pilots reach 0.78 of GroupSort's).
CLOSE = 0.85


@dataclass(frozen=True)
class CriticConfig(ABC):
    """One configuration of a family. Its fields are plain JSON types or tuples of them, and are stored with a critic.

    Attributes:
        family: its name in `wdist.critics.registry.FAMILIES`.
    """

    family: ClassVar[str]

    @classmethod
    def contenders(cls, row_shape: tuple[int, ...], train_rows: int) -> Sequence[CriticConfig]:
        """The configurations to try on rows of this shape; `train_rows` counts those of the smaller set."""
        return [cls()]

    def to_json(self) -> dict[str, Any]:
        """The configuration as plain JSON types."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The configuration that `to_json` wrote."""
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in stored.items()})


@dataclass(frozen=True)
class FittedConfig(CriticConfig):
    """A critic fitted in closed form."""

    @abstractmethod
    def fit(self, pair: SamplePair) -> nn.Sequential:
        """A net of stored layers that maps rows as the user scaled them, (n, *row_shape), to (n, 1).

        Only train and select rows may be read.
        """


@dataclass(frozen=True)
class TrainedConfig(CriticConfig):
    """A critic trained by gradient steps, in units in which the data has size about 1.

    Attributes:
        batch_rows: rows of each side in a mini-batch, at most.
        suits_short_budgets: whether 'auto' trains this family alone if there are too few steps to compare critics.
    """

    batch_rows: ClassVar[int] = BATCH_ROWS
    suits_short_budgets: ClassVar[bool] = False

    def start(self, pair: SamplePair) -> Tensor | None:
        """The point that training starts from, in training units, if the family computes one from the train rows."""
        return None

    @abstractmethod
    def layers(self, row_shape: tuple[int, ...], start: Tensor | None, generator: torch.Generator) -> list[nn.Module]:
        """Fresh layers that map (n, *row_shape) to (n, 1), with random weights from `generator` alone.

        start: what `start` returned, or None if stored weights will be loaded into the layers.
        """

    def build(self, row_shape: tuple[int, ...], seed: int, start: Tensor | None = None) -> nn.Sequential:
        """A fresh critic to train, made of `layers`. Torch's global generator is neither used nor changed.

        Raises OptionError for rows that the family does not take.
        """
        FAMILIES[self.family].check_fits(row_shape)
        generator = torch.Generator().manual_seed(torch_seed(seed, Purpose.WEIGHTS))
        with own_torch_state():
            return nn.Sequential(*self.layers(row_shape, start, generator))

    def rates(self, row_shape: tuple[int, ...]) -> tuple[float, float]:
        """Learning rates, in training units: of weights on the Stiefel manifold, and of Euclidean parameters (Adam)."""
        # Rates of weights, held out: MNIST pairs reach 3.39 at 0.05 and 3.42 at 0.1. Tables (64 x 6), ratio to the mean
        # difference at 0.1, 0.05 and 0.025: electricity 1.090, 1.099, 1.103; magic04 1.350, 1.351, 1.349; wine 1.096,
        # 1.097, 1.096.
        # Rates of biases, held out: MNIST pairs (256 x 5, 400 steps) reach 3.42 at 1e-3, 3.44 at 4e-3, and 3.46 at 1e-2
        # and 3e-2. Tables do worse at 1e-2 than at 2e-3: electricity 1.343 and 1.349, adult .632 and .634.
        return (0.04, 2e-3) if int(np.prod(row_shape)) <= DIMENSION_OF_TABLES else (0.1, 1e-2)

    def is_hopeless(self, tried: Sequence[TrainedConfig], values: Sequence[float]) -> bool:
        """Whether its pilot can be skipped, given the configurations tried so far and their select values."""
        return False
