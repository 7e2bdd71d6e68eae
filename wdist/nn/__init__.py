"""1-Lipschitz layers and convolutions, and Lipschitz bounds of compositions proven from the weights."""

from wdist.nn.convolutions import BCOP, OSSN, RKO, SVCM
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
from wdist.nn.lipschitz import LayerBound, layer_bounds, lipschitz_bound
from wdist.nn.rounding import forward_with_rounding, rounding_bound

__all__ = [
    "BCOP",
    "OSSN",
    "RKO",
    "SVCM",
    "Abs",
    "BjorckLinear",
    "FullSort",
    "GroupSort",
    "InvertibleDownsampling",
    "InvertibleUpsampling",
    "LayerBound",
    "MaxMin",
    "OrthogonalLinear",
    "Scale",
    "forward_with_rounding",
    "layer_bounds",
    "lipschitz_bound",
    "rounding_bound",
]
