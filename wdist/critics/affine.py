"""The affine critic: the difference of the means."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from wdist.critics.base import FittedConfig
from wdist.data.pair import SamplePair
from wdist.nn.frozen import Shift
from wdist.nn.torch_layers import plain_linear


@dataclass(frozen=True)
class AffineConfig(FittedConfig):
    """f(x) = <v, x - c> with v the normalised mean difference of the train rows: the best affine critic."""

    family: ClassVar[str] = "affine"

    def fit(self, pair: SamplePair) -> nn.Sequential:
        source, target = pair.mean_rows()
        direction = target - source
        if not direction.any():  # equal means: any direction will do, but slope 0 would be useless
            direction.flat[0] = 1.0
        return affine(torch.from_numpy(direction), torch.from_numpy(pair.shift))


def affine(direction: Tensor, shift: Tensor | None = None) -> nn.Sequential:
    """<v, x - shift> for a direction and a shift of the row's shape. The direction is normalised unless it is zero."""
    norm = float(torch.linalg.vector_norm(direction.double()))
    weight = direction.double().reshape(1, -1) / max(norm, 1e-300)
    layers = [] if shift is None else [Shift(shift)]
    return nn.Sequential(*layers, nn.Flatten(), plain_linear(weight))
