"""The BCOP critic: a convolutional net with orthogonal kernels."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from wdist.critics.base import TrainedConfig
from wdist.critics.groupsort import dense_layers
from wdist.errors import OptionError
from wdist.nn.convolutions import BCOP
from wdist.nn.layers import InvertibleDownsampling, MaxMin


@dataclass(frozen=True)
class BCOPConfig(TrainedConfig):
    """Orthogonal convolutions at halving resolution, then orthogonal dense layers (Li et al., 2019).

    Each entry of `channels` is one invertible downsampling by 2 and one BCOP convolution with that many channels.
    """

    family: ClassVar[str] = "bcop"

    channels: tuple[int, ...] = (32, 64)
    kernel_size: int = 3
    width: int = 256
    depth: int = 2

    def layers(self, row_shape: tuple[int, ...], start: Tensor | None, generator: torch.Generator) -> list[nn.Module]:
        channels, height, width = row_shape
        layers: list[nn.Module] = []
        for out_channels in self.channels:
            if height % 2 or width % 2 or min(height, width) < 2 * self.kernel_size:
                break  # this kernel does not fit a smaller grid; the dense layers take over
            convolution = BCOP(4 * channels, out_channels, self.kernel_size, generator=generator)
            layers += [InvertibleDownsampling(2), convolution, MaxMin()]
            channels, height, width = out_channels, height // 2, width // 2
        if not layers:
            sides = f"even sides >= {2 * self.kernel_size}"
            raise OptionError(f"critic 'bcop' needs images of {sides}, got {row_shape[1:]}")
        return [*layers, nn.Flatten(), *dense_layers(channels * height * width, self.width, self.depth, generator)]
