"""The frozen form of a critic, which is certified and stored: how it is made from a trained net, written and read.

A critic is trained in units in which the data has size about 1, and stored in the data's own units. All activations
used here are positively homogeneous, sigma(s z) = s sigma(z). So f(x) = s g((x - c) / s) is the same net with its
biases multiplied by s. The stored net needs no rescaling layer, and its Lipschitz constant is that of g.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from wdist.errors import WdistError
from wdist.nn.convolutions import LipschitzConvolution
from wdist.nn.frozen import CircularConv2d, Clip, Cone, PiecewiseLinear, Shift, plain_linear
from wdist.nn.layers import GroupSort, InvertibleDownsampling, MaxMin, OrthogonalLinear


def freeze(module: nn.Sequential, shift: Tensor | None, unit: float) -> nn.Sequential:
    """Convert a trained net g to plain float32 layers in the data's own units: f(x) = unit g((x - shift) / unit)."""
    layers: list[nn.Module] = [] if shift is None else [Shift(shift)]
    for layer in module:
        if isinstance(layer, OrthogonalLinear | nn.Linear):
            layers.append(plain_linear(layer.weight, _scaled(layer.bias, unit)))
        elif isinstance(layer, LipschitzConvolution):
            if layer.downsample is not None:
                layers.append(layer.downsample)
            layers.append(_plain_convolution(layer, unit))
        elif isinstance(layer, Cone):
            layers.append(_rescaled_cone(layer, unit))
        else:
            layers.append(layer)
    return nn.Sequential(*layers).eval().requires_grad_(False)


def _scaled(bias: Tensor | None, unit: float) -> Tensor | None:
    return None if bias is None else (bias.detach().double() * unit).float().cpu()


def _rescaled_cone(layer: Cone, unit: float) -> Cone:
    anchors, offsets = ((t.detach().double().cpu() * unit).float() for t in (layer.anchors, layer.offsets))
    return Cone(anchors, offsets, layer.sign)


def _plain_convolution(layer: LipschitzConvolution, unit: float) -> nn.Module:
    return CircularConv2d(layer.weight.detach().float().cpu(), _scaled(layer.bias, unit))


def describe(module: nn.Sequential) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """The architecture of a frozen critic as plain JSON types, and its tensors, named layers.<i>.<name>."""
    layers: list[dict[str, Any]] = []
    tensors: dict[str, Tensor] = {}
    for i, layer in enumerate(module):
        entry: dict[str, Any] = {"kind": _kind(layer)}
        if isinstance(layer, GroupSort):
            entry["group_size"] = layer.group_size
        elif isinstance(layer, InvertibleDownsampling):
            entry["factor"] = layer.factor
        elif isinstance(layer, Clip):
            entry |= {"low": layer.low, "high": layer.high}
        elif isinstance(layer, Cone):
            entry["sign"] = layer.sign
        layers.append(entry)
        for name, tensor in layer.state_dict().items():
            tensors[f"layers.{i}.{name}"] = tensor.detach().contiguous().cpu()
    return layers, tensors


_KINDS: dict[type[nn.Module], str] = {
    nn.Flatten: "flatten",
    nn.Linear: "linear",
    Shift: "shift",
    Clip: "clip",
    MaxMin: "maxmin",
    GroupSort: "groupsort",
    nn.ReLU: "relu",
    InvertibleDownsampling: "unshuffle",
    CircularConv2d: "circular_conv",
    Cone: "cone",
    PiecewiseLinear: "piecewise_linear",
}


def _kind(layer: nn.Module) -> str:
    if type(layer) not in _KINDS:
        raise WdistError(f"{type(layer).__name__} has no stored form: freeze the critic first")
    return _KINDS[type(layer)]


def restore(layers: list[dict[str, Any]], tensors: Mapping[str, Tensor]) -> nn.Sequential:
    """Rebuild a frozen critic from what `describe` returned."""
    modules = []
    for i, entry in enumerate(layers):
        own = {name.split(".", 2)[2]: t for name, t in tensors.items() if name.startswith(f"layers.{i}.")}
        modules.append(_layer(entry, own))
    return nn.Sequential(*modules).eval().requires_grad_(False)


def _layer(entry: dict[str, Any], tensors: dict[str, Tensor]) -> nn.Module:
    match entry["kind"]:
        case "linear":
            return plain_linear(tensors["weight"], tensors.get("bias"))
        case "circular_conv":
            return CircularConv2d(tensors["weight"], tensors.get("bias"))
        case "shift":
            return Shift(tensors["shift"])
        case "cone":
            return Cone(tensors["anchors"], tensors["offsets"], entry["sign"])
        case "piecewise_linear":
            return PiecewiseLinear(tensors["knots"], tensors["values"])
        case "clip":
            return Clip(entry["low"], entry["high"])
        case "groupsort":
            return GroupSort(entry["group_size"])
        case "unshuffle":
            return InvertibleDownsampling(entry["factor"])
        case "flatten":
            return nn.Flatten()
        case "maxmin":
            return MaxMin()
        case "relu":
            return nn.ReLU()
        case kind:
            raise WdistError(f"unknown layer kind {kind!r}: the critic was written by another version of wdist")
