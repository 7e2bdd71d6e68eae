"""A layer of every declared class."""

from collections.abc import Callable

import torch
from torch import nn

from wdist.nn.convolutions import BCOP, OSSN, RKO, SVCM
from wdist.nn.frozen import CircularConv2d, Clip, Columns, Cone, PiecewiseLinear, Shift
from wdist.nn.layers import (
    Abs,
    BjorckLinear,
    FullSort,
    GroupSort,
    InvertibleDownsampling,
    InvertibleUpsampling,
    MaxMin,
    OrthogonalLinear,
    Scale,
)

Example = tuple[Callable[[], nn.Module], tuple[int, ...]]

# A layer of each declared class, with biases where it can have them, and the shape of its input.
EXAMPLES: list[Example] = [
    (lambda: Abs(), (6,)),
    (lambda: BjorckLinear(6, 4), (6,)),
    (lambda: FullSort(), (6,)),
    (lambda: GroupSort(3), (7,)),
    (lambda: InvertibleDownsampling(2), (2, 4, 6)),
    (lambda: InvertibleUpsampling(2), (8, 2, 3)),
    (lambda: MaxMin(), (7,)),
    (lambda: OrthogonalLinear(6, 4), (6,)),
    (lambda: Scale(-3.0), (6,)),
    (lambda: BCOP(2, 3, 4, stride=2), (2, 6, 4)),
    (lambda: RKO(2, 3, 3), (2, 4, 4)),
    (lambda: OSSN(2, 3, 3), (2, 4, 4)),
    (lambda: SVCM(2, 3, 3), (2, 4, 4)),
    (lambda: CircularConv2d(torch.randn(3, 2, 2, 2), torch.randn(3)), (2, 4, 4)),
    (lambda: Clip(-0.5, 0.25), (1,)),
    (lambda: Columns([0, 2, 5]), (6,)),
    (lambda: Cone(torch.randn(5, 6), torch.randn(5), -1), (6,)),
    (lambda: PiecewiseLinear(torch.tensor([-1.0, 0.0, 2.0]), torch.tensor([0.5, -1.0, 2.5])), (1,)),
    (lambda: Shift(torch.randn(6)), (6,)),
    (lambda: nn.Identity(), (6,)),
    (lambda: nn.ReLU(), (6,)),
    (lambda: nn.Flatten(), (2, 3)),
    (lambda: nn.PixelUnshuffle(2), (2, 4, 6)),
    (lambda: nn.Linear(6, 4), (6,)),
    (lambda: nn.Conv1d(2, 3, 3, padding=1), (2, 5)),
    (lambda: nn.Conv2d(2, 3, 3, padding=1), (2, 4, 5)),
]
