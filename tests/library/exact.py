"""Nets in exact arithmetic: what every claim about rounding is judged by.

Numbers are Decimals of 150 digits and unlimited exponent in numpy arrays of objects. Sums and products of float64
numbers of moderate exponents are exact in them; the rest is exact for every purpose here.
"""

import copy
from decimal import Context, Decimal, localcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wdist.nn.frozen import Clip, Columns, Cone, PiecewiseLinear, Shift
from wdist.nn.layers import (
    Abs,
    FullSort,
    GroupSort,
    InvertibleDownsampling,
    InvertibleUpsampling,
    MaxMin,
    Scale,
)

Decimals = NDArray[np.object_]

DIGITS = Context(prec=150, Emin=-(10**9), Emax=10**9)
PERMUTATIONS = (nn.Identity, nn.Flatten, nn.PixelUnshuffle, InvertibleDownsampling, InvertibleUpsampling)


def to_decimals(tensor: Tensor) -> Decimals:
    """The numbers of a tensor, exactly."""
    values = tensor.detach().double().numpy()
    out = np.empty(values.shape, dtype=object)
    for index, value in np.ndenumerate(values):
        out[index] = Decimal(float(value))
    return out


def distance(a: Decimals, b: Decimals) -> list[Decimal]:
    """Euclidean distances between the rows of two arrays (n, ...)."""
    with localcontext(DIGITS):
        return [
            sum(((s - t) ** 2 for s, t in zip(p.flat, q.flat, strict=True)), Decimal(0)).sqrt()
            for p, q in zip(a, b, strict=True)
        ]


def exact_output(module: nn.Module, rows: Tensor) -> Decimals:
    """f(rows) for the weights of a float64 module, (n, ...) -> (n, ...)."""
    layers = list(module) if isinstance(module, nn.Sequential) else [module]
    values, shape = to_decimals(rows), tuple(rows.shape[1:])
    with localcontext(DIGITS), torch.no_grad():
        for layer in layers:
            shape_out = tuple(layer(torch.zeros(1, *shape, dtype=torch.float64)).shape[1:])
            values = np.stack([_apply(layer, row, shape_out) for row in values])
            shape = shape_out
    return values


def _apply(layer: nn.Module, x: Decimals, shape_out: tuple[int, ...]) -> Decimals:
    if type(layer) in PERMUTATIONS:
        places = layer(torch.arange(x.size, dtype=torch.float64).reshape(1, *x.shape))[0].long().numpy()
        return x.reshape(-1)[places]
    if isinstance(layer, Columns):
        return x[layer.columns]
    if isinstance(layer, Abs):
        return np.abs(x)
    if isinstance(layer, nn.ReLU):
        return np.maximum(x, Decimal(0))
    if isinstance(layer, Scale):
        return x * Decimal(layer.factor)
    if isinstance(layer, Shift):
        return x - to_decimals(layer.shift)
    if isinstance(layer, Clip):
        return np.minimum(np.maximum(x, Decimal(layer.low)), Decimal(layer.high))
    if isinstance(layer, FullSort):
        return np.sort(x, axis=0)
    if isinstance(layer, GroupSort | MaxMin):
        return _sorted_groups(layer, x)
    if isinstance(layer, PiecewiseLinear):
        return np.array([_interpolated(layer, x[0])], dtype=object)
    if isinstance(layer, Cone):
        return np.array([_lowest_cone(layer, x)], dtype=object)
    return _affine(layer, x, shape_out)


def _sorted_groups(layer: GroupSort | MaxMin, x: Decimals) -> Decimals:
    out = x.copy()
    if isinstance(layer, MaxMin):
        half = len(x) // 2
        out[:half], out[half : 2 * half] = (
            np.maximum(x[:half], x[half : 2 * half]),
            np.minimum(x[:half], x[half : 2 * half]),
        )
        return out
    for start in range(0, len(x) - layer.group_size + 1, layer.group_size):
        out[start : start + layer.group_size] = np.sort(x[start : start + layer.group_size], axis=0)
    return out


def _interpolated(layer: PiecewiseLinear, t: Decimal) -> Decimal:
    knots, values = to_decimals(layer.knots), to_decimals(layer.values)
    i = min(max(int((knots < t).sum()) - 1, 0), len(knots) - 2)
    slope: Decimal = (values[i + 1] - values[i]) / (knots[i + 1] - knots[i])
    result: Decimal = values[i] + slope * (t - knots[i])
    return result


def _lowest_cone(layer: Cone, x: Decimals) -> Decimal:
    anchors, offsets = to_decimals(layer.anchors), to_decimals(layer.offsets)
    lowest = min(((x - a) ** 2).sum().sqrt() + b for a, b in zip(anchors, offsets, strict=True))
    return layer.sign * Decimal(lowest)


def _affine(layer: nn.Module, x: Decimals, shape_out: tuple[int, ...]) -> Decimals:
    """By the layer's action on a basis: each number of it is one weight, which no sum rounds."""
    linear = copy.deepcopy(layer)
    bias = linear.bias
    linear.bias = None
    basis = torch.eye(x.size, dtype=torch.float64).reshape(-1, *x.shape)
    matrix = to_decimals(linear(basis).reshape(x.size, -1).mT)
    y = (matrix @ x.reshape(-1)).reshape(shape_out)
    if bias is None:
        return y
    per_channel = to_decimals(bias)
    # Of a dense layer the channels are the last axis, of a convolution the first.
    return y + (per_channel if hasattr(layer, "in_features") else per_channel.reshape(-1, *[1] * (len(shape_out) - 1)))
