"""The affine critic: the difference of the means."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from wdist.critics.base import FittedConfig
from wdist.data.pair import SamplePair
from wdist.nn.torch_layers import plain_linear


@dataclass(frozen=True)
class AffineConfig(FittedConfig):
    """f(x) = <v, x> with v the normalised mean difference of the train rows: the best affine critic."""

    family: ClassVar[str] = "affine"

    def fit(self, pair: SamplePair) -> nn.Sequential:
        source, target = pair.mean_rows()
        direction = target - source
        if not direction.any():  # equal means: any direction will do, but slope 0 would be useless
            direction.flat[0] = 1.0
        return affine(torch.from_numpy(direction))


def affine(direction: Tensor) -> nn.Sequential:
    """<v, x> for a direction of the row's shape, which is normalised unless it is zero."""
    norm = float(torch.linalg.vector_norm(direction.double()))
    return nn.Sequential(nn.Flatten(), plain_linear(direction.double().reshape(1, -1) / max(norm, 1e-300)))
