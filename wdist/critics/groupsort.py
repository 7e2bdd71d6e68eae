"""The GroupSort critic: a dense net with orthogonal weights and sorted activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from wdist.critics.base import TrainedConfig
from wdist.critics.cost import dense_size
from wdist.nn.layers import MaxMin, OrthogonalLinear


@dataclass(frozen=True)
class GroupSortConfig(TrainedConfig):
    """`depth` orthogonal dense layers of `width` units with MaxMin between, then a unit row (Anil et al., 2019)."""

    family: ClassVar[str] = "groupsort"
    suits_short_budgets: ClassVar[bool] = True

    width: int = 256
    depth: int = 3

    @classmethod
    def contenders(cls, row_shape: tuple[int, ...], train_rows: int) -> Sequence[GroupSortConfig]:
        return [cls(*dense_size(int(np.prod(row_shape))))]

    def layers(self, row_shape: tuple[int, ...], start: Tensor | None, generator: torch.Generator) -> list[nn.Module]:
        return [nn.Flatten(), *dense_layers(int(np.prod(row_shape)), self.width, self.depth, generator)]


def dense_layers(features: int, width: int, depth: int, generator: torch.Generator) -> list[nn.Module]:
    """`depth` orthogonal layers of `width` units, each followed by MaxMin, then a unit row: (n, features) -> (n, 1)."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [OrthogonalLinear(features, width, generator=generator), MaxMin()]
        features = width
    return [*layers, OrthogonalLinear(features, 1, bias=False, generator=generator)]
