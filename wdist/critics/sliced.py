"""The sliced critic: the best one-dimensional projection."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from wdist.critics.affine import affine
from wdist.critics.base import FittedConfig
from wdist.data.pair import SamplePair
from wdist.nn.frozen import PiecewiseLinear
from wdist.transport.sliced import fit_sliced

ROWS = 50_000  # train rows of each side used for the fit


@dataclass(frozen=True)
class SlicedConfig(FittedConfig):
    """f(x) = h(<v, x>) with h piecewise linear of slopes +-1: the best one-dimensional projection."""

    family: ClassVar[str] = "sliced"

    def fit(self, pair: SamplePair) -> nn.Sequential:
        train, select = (pair.rows(part, ROWS) for part in ("train", "select"))
        return sliced(*fit_sliced(*train, *select, pair.direction))


def sliced(direction: NDArray[np.float64], knots: NDArray[np.float64], values: NDArray[np.float64]) -> nn.Sequential:
    """h(<v, x>) for a direction of the row's shape; knots and values are those of h on the projections."""
    projection = affine(torch.from_numpy(np.asarray(direction)))
    return nn.Sequential(*projection, PiecewiseLinear(torch.from_numpy(knots), torch.from_numpy(values)))
