"""Lipschitz bounds proven from the weights, in float64; an unknown module has no bound.

A bound is an upper bound of the Euclidean operator norm on all of R^d: exact singular values inflated by a margin for
the rounding of the computation itself. It holds for the stored weights, however they were trained.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from wdist.errors import UnprovenError
from wdist.nn.convolutions import BCOP, OSSN, RKO, SVCM, LipschitzConvolution
from wdist.nn.frozen import CircularConv2d, Clip, Cone, PiecewiseLinear, Shift
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
from wdist.nn.spectra import (
    EPSILON,
    convolution_norm_bound,
    convolution_singular_values,
    matrix_norm_bound,
    zero_padded_norm_bound,
)

Shape = tuple[int, ...]
Rule = Callable[[Any, Shape], tuple[float, Shape]]


@dataclass(frozen=True)
class LayerBound:
    """The proven bound of one layer: its dotted name in the module, its class, and an upper bound of its norm."""

    name: str
    kind: str
    bound: float


_RULES: dict[type[nn.Module], Rule] = {}


def register(*kinds: type[nn.Module]) -> Callable[[Rule], Rule]:
    """Declares the rule for exactly these classes, not their subclasses: rule(module, shape) -> (bound, output shape).

    Shapes have no batch axis.
    """

    def add(rule: Rule) -> Rule:
        for kind in kinds:
            _RULES[kind] = rule
        return rule

    return add


def lipschitz_bound(module: nn.Module, input_shape: Shape) -> float:
    """Proven upper bound of the Lipschitz constant of `module` on inputs of `input_shape` (no batch axis).

    It bounds the map in exact arithmetic. A kernel computed from float32 parameters in each forward pass is off by
    float32 rounding (up to 1e-7). After `freeze()`, the bound is that of the stored kernel, which is what is applied.

    Raises UnprovenError for modules without a rule, hooks, parametrizations or non-finite weights.
    """
    bounds = layer_bounds(module, input_shape)
    product = math.prod(layer.bound for layer in bounds)
    # Each multiplication has a relative rounding error of at most EPSILON / 2.
    return product * (1 + len(bounds) * EPSILON)


def layer_bounds(module: nn.Module, input_shape: Shape) -> list[LayerBound]:
    """The bound of every layer, in order of application; their product bounds the composition.

    Raises UnprovenError as `lipschitz_bound` does.
    """
    bounds: list[LayerBound] = []
    with torch.no_grad():
        _walk(module, tuple(input_shape), "", bounds)
    return bounds


def _walk(module: nn.Module, shape: Shape, name: str, bounds: list[LayerBound]) -> Shape:
    if type(module) is nn.Sequential:  # not a subclass, which could do anything with its children
        _refuse_hooks(module, name)
        # named_children() would list a module only once even if it is applied twice.
        for child_name, child in module._modules.items():
            if child is not None:
                shape = _walk(child, shape, f"{name}.{child_name}" if name else child_name, bounds)
        return shape
    for part in module.modules():
        _refuse_hooks(part, name)
    rule = _RULES.get(type(module))
    if rule is None:
        raise UnprovenError(
            f"no Lipschitz bound is known for module {name or '(root)'!r} of class {type(module).__name__}: "
            "use layers of wdist, or add a rule with wdist.nn.lipschitz.register"
        )
    bound, shape = rule(module, shape)
    stored = (*module.parameters(), *module.buffers())  # including biases, although no bound depends on them
    if not math.isfinite(bound) or not all(bool(tensor.isfinite().all()) for tensor in stored):
        raise UnprovenError(f"module {name or '(root)'!r} has non-finite weights: no bound exists")
    bounds.append(LayerBound(name, type(module).__name__, bound))
    return shape


def _refuse_hooks(module: nn.Module, name: str) -> None:
    hooked = module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module)
    if hooked or nn.modules.module._global_forward_hooks or nn.modules.module._global_forward_pre_hooks:
        raise UnprovenError(f"module {name or '(root)'!r} has forward hooks, which can do anything: remove them first")


def singular_values(conv: LipschitzConvolution, grid: Shape) -> Tensor:
    """All singular values of the layer as a linear map on inputs of `grid` (before downsampling), descending."""
    return convolution_singular_values(_kernel64(conv), tuple(size // conv.stride for size in grid))


def _kernel64(conv: LipschitzConvolution) -> Tensor:
    frozen = conv.frozen_kernel
    return (conv.kernel(torch.float64) if frozen is None else frozen).detach().to("cpu", torch.float64)


def _expect(shape: Shape, axis: int, size: int, module: nn.Module) -> None:
    if len(shape) <= (axis if axis >= 0 else 0) or shape[axis] != size:
        raise UnprovenError(f"{type(module).__name__} expects {size} channels, its input has shape {shape}")


@register(nn.Identity, nn.ReLU, Shift, Clip, Abs, GroupSort, MaxMin, FullSort)
def _one(module: nn.Module, shape: Shape) -> tuple[float, Shape]:
    return 1.0, shape


@register(Scale)
def _scale(module: Scale, shape: Shape) -> tuple[float, Shape]:
    return abs(module.factor), shape


@register(nn.Flatten)
def _flatten(module: nn.Flatten, shape: Shape) -> tuple[float, Shape]:
    if (module.start_dim, module.end_dim) != (1, -1):
        raise UnprovenError("only nn.Flatten() of all axes but the batch is known")
    return 1.0, (math.prod(shape),)


@register(InvertibleDownsampling)
def _downsampling(module: InvertibleDownsampling, shape: Shape) -> tuple[float, Shape]:
    return 1.0, _downsampled(shape, module.factor)


@register(nn.PixelUnshuffle)
def _pixel_unshuffle(module: nn.PixelUnshuffle, shape: Shape) -> tuple[float, Shape]:
    return 1.0, _downsampled(shape, module.downscale_factor)


def _downsampled(shape: Shape, factor: int) -> Shape:
    channels, *grid = shape
    return (channels * factor ** len(grid), *(size // factor for size in grid))


@register(InvertibleUpsampling)
def _upsampling(module: InvertibleUpsampling, shape: Shape) -> tuple[float, Shape]:
    channels, *grid = shape
    return 1.0, (channels // module.factor ** len(grid), *(size * module.factor for size in grid))


@register(nn.Linear, OrthogonalLinear)
def _linear(module: nn.Linear | OrthogonalLinear, shape: Shape) -> tuple[float, Shape]:
    _expect(shape, -1, module.in_features, module)
    return matrix_norm_bound(module.weight), (*shape[:-1], module.out_features)


@register(BjorckLinear)
def _bjorck_linear(module: BjorckLinear, shape: Shape) -> tuple[float, Shape]:
    _expect(shape, -1, module.in_features, module)
    return matrix_norm_bound(module.kernel(torch.float64)), (*shape[:-1], module.out_features)


@register(CircularConv2d)
def _circular_convolution(module: CircularConv2d, shape: Shape) -> tuple[float, Shape]:
    _expect(shape, 0, module.weight.shape[1], module)
    grid = shape[1:]
    return convolution_norm_bound(module.weight.detach().to("cpu", torch.float64), grid), (
        module.weight.shape[0],
        *grid,
    )


@register(PiecewiseLinear)
def _piecewise(module: PiecewiseLinear, shape: Shape) -> tuple[float, Shape]:
    _expect(shape, -1, 1, module)
    # Difference, quotient and maximum round by at most 3 EPSILON / 2. Knots that do not ascend are refused.
    if not bool((module.knots.diff() > 0).all()):
        raise UnprovenError("knots of a PiecewiseLinear must ascend")
    return float(module.slopes.abs().max()) * (1 + 2 * EPSILON), shape


@register(Cone)
def _cone(module: Cone, shape: Shape) -> tuple[float, Shape]:
    _expect(shape, -1, module.anchors.shape[1], module)
    return float(abs(module.sign)), (*shape[:-1], 1)


@register(BCOP, RKO, OSSN, SVCM)
def _convolution(module: LipschitzConvolution, shape: Shape) -> tuple[float, Shape]:
    _expect(shape, 0, module.in_channels, module)
    if len(shape) != module.dimensions + 1 or any(size % module.stride for size in shape[1:]):
        raise UnprovenError(f"{type(module).__name__} of stride {module.stride} cannot take inputs of shape {shape}")
    down: nn.Module | None = module.downsample
    factor = down.factor if type(down) is InvertibleDownsampling else 1 if down is None else 0
    if factor != module.stride:
        raise UnprovenError(f"{type(module).__name__}.downsample was replaced: no bound is known")
    grid = tuple(size // module.stride for size in shape[1:])
    return convolution_norm_bound(_kernel64(module), grid), (module.out_channels, *grid)


@register(nn.Conv1d, nn.Conv2d)
def _plain_convolution(module: nn.Conv1d | nn.Conv2d, shape: Shape) -> tuple[float, Shape]:
    _expect(shape, 0, module.in_channels, module)
    if len(shape) != module.weight.dim() - 1:
        raise UnprovenError(f"{type(module).__name__} cannot take inputs of shape {shape}")
    if any(d != 1 for d in module.dilation) or isinstance(module.padding, str):
        raise UnprovenError(f"{type(module).__name__} with dilation or named padding: no bound is known")
    sizes = zip(shape[1:], module.padding, module.kernel_size, module.stride, strict=True)
    grid = tuple((n + 2 * p - k) // s + 1 for n, p, k, s in sizes)
    # Striding drops rows of the map, which cannot raise its norm. Groups make it block diagonal.
    blocks = module.weight.detach().chunk(module.groups)
    if module.padding_mode == "zeros":
        return max(zero_padded_norm_bound(block, shape[1:]) for block in blocks), (module.out_channels, *grid)
    # More wrapped entries than k - 1 would repeat outputs.
    few = all(2 * p <= k - 1 for p, k in zip(module.padding, module.kernel_size, strict=True))
    if module.padding_mode != "circular" or not few:
        raise UnprovenError(f"{type(module).__name__} with {module.padding_mode} padding: no bound is known")
    return max(convolution_norm_bound(block, shape[1:]) for block in blocks), (module.out_channels, *grid)
