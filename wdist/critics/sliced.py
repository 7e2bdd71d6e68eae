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

Values = NDArray[np.float64]

ROWS = 50_000  # train rows of each side used for the fit


@dataclass(frozen=True)
class SlicedConfig(FittedConfig):
    """f(x) = h(<v, x - c>) with h piecewise linear of slopes +-1: the best one-dimensional projection."""

    family: ClassVar[str] = "sliced"

    def fit(self, pair: SamplePair) -> nn.Sequential:
        (x, y), (x_select, y_select) = (pair.rows(part, ROWS) for part in ("train", "select"))
        centred = x - pair.shift, y - pair.shift, x_select - pair.shift, y_select - pair.shift
        return sliced(*fit_sliced(*centred, pair.direction), pair.shift)


def sliced(direction: Values, knots: Values, values: Values, shift: Values | None = None) -> nn.Sequential:
    """h(<v, x - shift>) for a shift of the row's shape; knots and values are those of h on the projections."""
    projection = affine(torch.from_numpy(direction), None if shift is None else torch.from_numpy(shift))
    return nn.Sequential(*projection, PiecewiseLinear(torch.from_numpy(knots), torch.from_numpy(values)))
