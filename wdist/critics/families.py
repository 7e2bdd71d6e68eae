"""The families of critics: their configurations and the modules that are trained or fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wdist.errors import OptionError
from wdist.nn.convolutions import BCOP
from wdist.nn.frozen import Cone, PiecewiseLinear
from wdist.nn.layers import InvertibleDownsampling, MaxMin, OrthogonalLinear


@dataclass(frozen=True)
class AffineConfig:
    """f(x) = <v, x> with v the normalised mean difference of the train rows: the best affine critic."""


@dataclass(frozen=True)
class GroupSortConfig:
    """`depth` orthogonal dense layers of `width` units with MaxMin between, then a unit row (Anil et al., 2019)."""

    width: int = 256
    depth: int = 3


@dataclass(frozen=True)
class BCOPConfig:
    """Orthogonal convolutions at halving resolution, then orthogonal dense layers (Li et al., 2019).

    Each entry of `channels` is one invertible downsampling by 2 and one BCOP convolution with that many channels.
    """

    channels: tuple[int, ...] = (32, 64)
    kernel_size: int = 3
    width: int = 256
    depth: int = 2


@dataclass(frozen=True)
class SlicedConfig:
    """f(x) = h(<v, x>) with h piecewise linear of slopes +-1: the best one-dimensional projection."""


@dataclass(frozen=True)
class ConeConfig:
    """f(x) = sign min_k (||h(x) - a_k|| + b_k), with h of `depth` square orthogonal layers and MaxMin (0: identity).

    Source: the funnel potentials of Korotin, Kolesov, Burnaev, "Kantorovich Strikes Back!" (2022).
    """

    anchors: int = 64
    sign: int = 1
    depth: int = 0


Config = AffineConfig | SlicedConfig | GroupSortConfig | BCOPConfig | ConeConfig
TrainedConfig = GroupSortConfig | BCOPConfig | ConeConfig
FAMILIES: dict[str, type[Config]] = {
    "affine": AffineConfig,
    "sliced": SlicedConfig,
    "groupsort": GroupSortConfig,
    "bcop": BCOPConfig,
    "cone": ConeConfig,
}


def family_of(config: Config) -> str:
    """The name under which a configuration is stored."""
    return next(name for name, kind in FAMILIES.items() if isinstance(config, kind))


def affine(direction: Tensor) -> nn.Sequential:
    """<v, x> for a direction of the row's shape, which is normalised unless it is zero."""
    head = nn.Linear(direction.numel(), 1, bias=False)
    norm = float(torch.linalg.vector_norm(direction.double()))
    with torch.no_grad():
        head.weight.copy_((direction.double().reshape(1, -1) / max(norm, 1e-300)).float())
    return nn.Sequential(nn.Flatten(), head)


def sliced(direction: NDArray[np.float64], knots: NDArray[np.float64], values: NDArray[np.float64]) -> nn.Sequential:
    """h(<v, x>) for a direction of the row's shape; knots and values are those of h on the projections."""
    projection = affine(torch.from_numpy(np.asarray(direction)))
    return nn.Sequential(*projection, PiecewiseLinear(torch.from_numpy(knots), torch.from_numpy(values)))


def build(config: TrainedConfig, row_shape: tuple[int, ...], seed: int, anchors: Tensor | None = None) -> nn.Sequential:
    """A fresh critic to train, mapping (n, *row_shape) to (n, 1). Leaves the global random state unchanged.

    anchors: (K, d), the starting points of the cones of a ConeConfig, in training units; offsets start at 0.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if isinstance(config, ConeConfig):
            if anchors is None:
                raise OptionError("a cone critic starts at anchors: none were given")
            return _cone(config, int(np.prod(row_shape)), anchors)
        if isinstance(config, GroupSortConfig):
            return nn.Sequential(nn.Flatten(), *_dense(int(np.prod(row_shape)), config.width, config.depth))
        return _convolutional(config, row_shape)


def _dense(features: int, width: int, depth: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [OrthogonalLinear(features, width), MaxMin()]
        features = width
    return [*layers, OrthogonalLinear(features, 1, bias=False)]


def _cone(config: ConeConfig, features: int, anchors: Tensor) -> nn.Sequential:
    trunk: list[nn.Module] = []
    for _ in range(config.depth):
        trunk += [OrthogonalLinear(features, features), MaxMin()]
    with torch.no_grad():
        start = nn.Sequential(*trunk)(anchors.float()) if trunk else anchors.float()
    return nn.Sequential(nn.Flatten(), *trunk, Cone(start, torch.zeros(len(start)), config.sign))


def _convolutional(config: BCOPConfig, row_shape: tuple[int, ...]) -> nn.Sequential:
    if len(row_shape) != 3:
        raise OptionError(f"critic 'bcop' needs images, the rows have shape {row_shape}; use 'groupsort' or 'auto'")
    channels, height, width = row_shape
    layers: list[nn.Module] = []
    for out_channels in config.channels:
        if height % 2 or width % 2 or min(height, width) < 2 * config.kernel_size:
            break  # this kernel does not fit a smaller grid; the dense layers take over
        layers += [InvertibleDownsampling(2), BCOP(4 * channels, out_channels, config.kernel_size), MaxMin()]
        channels, height, width = out_channels, height // 2, width // 2
    if not layers:
        raise OptionError(f"critic 'bcop' needs images of even sides >= {2 * config.kernel_size}, got {row_shape[1:]}")
    return nn.Sequential(*layers, nn.Flatten(), *_dense(channels * height * width, config.width, config.depth))
