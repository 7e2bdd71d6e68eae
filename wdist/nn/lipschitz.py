"""Lipschitz bounds proven from the weights, in float64; an unknown module has no bound.

A bound is an upper bound of the Euclidean operator norm on all of R^d: exact singular values inflated by a margin for
the rounding of the computation itself. It holds for the stored weights, however they were trained.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wdist.errors import UnprovenError
from wdist.nn.contract import Rule, Shape, rule_of, set_rule
from wdist.nn.convolutions import LipschitzConvolution, kernel64
from wdist.nn.spectra import EPSILON, convolution_singular_values
from wdist.nn.torch_state import own_torch_state


@dataclass(frozen=True)
class LayerBound:
    """The proven bound of one layer: its dotted name in the module, its class, and an upper bound of its norm."""

    name: str
    kind: str
    bound: float


def register(*kinds: type[nn.Module]) -> Callable[[Rule], Rule]:
    """Declares the rule for exactly these classes, not their subclasses: rule(module, shape) -> (bound, output shape).

    Shapes have no batch axis.
    """

    def add(rule: Rule) -> Rule:
        for kind in kinds:
            set_rule(kind, rule)
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


@own_torch_state()
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
    rule = rule_of(module)
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
    return convolution_singular_values(kernel64(conv), tuple(size // conv.stride for size in grid))
