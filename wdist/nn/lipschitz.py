"""Lipschitz bounds proven from the weights, in float64; an unknown module has no bound.

A bound is an upper bound of the Euclidean operator norm on all of R^d: exact singular values inflated by a margin for
the rounding of the computation itself. It holds for the stored weights, however they were trained.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wdist.errors import UnprovenError
from wdist.nn.contract import RoundingRule, Rule, rule_of, set_rule
from wdist.nn.convolutions import LipschitzConvolution, kernel64
from wdist.nn.spectra import EPSILON, convolution_singular_values
from wdist.nn.standard_model import Shape
from wdist.nn.torch_state import own_torch_state


@dataclass(frozen=True)
class LayerBound:
    """The proven bound of one layer: its dotted name in the module, its class, and an upper bound of its norm."""

    name: str
    kind: str
    bound: float


@dataclass(frozen=True)
class Step:
    """A layer at its place in a composition: its bound, and the shapes of a row before and after it."""

    name: str
    module: nn.Module
    bound: float
    shape: Shape
    output_shape: Shape


def register(*kinds: type[nn.Module], rounding: RoundingRule | None = None) -> Callable[[Rule], Rule]:
    """Declares the rule for exactly these classes, not their subclasses: rule(module, shape) -> (bound, output shape).

    Shapes have no batch axis. rounding(module, at) -> (n,) bounds the rounding of one application, as
    `wdist.nn.contract.Layer.rounding` does; `at` is a `wdist.nn.standard_model.Application`. Without it the classes
    have a Lipschitz bound but no rounding bound.
    """

    def add(rule: Rule) -> Rule:
        for kind in kinds:
            set_rule(kind, rule, rounding)
        return rule

    return add


def lipschitz_bound(module: nn.Module, input_shape: Shape) -> float:
    """Proven upper bound of the Lipschitz constant of `module` on inputs of `input_shape` (no batch axis).

    It bounds the map in exact arithmetic. Computed values differ from it by rounding: |computed f(x) - computed f(y)|
    <= L ||x - y|| + 2 E with E from `wdist.nn.rounding.rounding_bound`. E is tiny for ordinary weights, but not for
    all: biases of +-2^53 turn the identity into a staircase.

    A kernel computed from float32 parameters in each forward pass is off by float32 rounding (up to 1e-7). After
    `freeze()`, the bound is that of the stored kernel, which is what is applied.

    Raises UnprovenError for modules without a rule, hooks, parametrizations or non-finite weights.
    """
    return composed(steps(module, input_shape))


def layer_bounds(module: nn.Module, input_shape: Shape) -> list[LayerBound]:
    """The bound of every layer, in order of application; their product bounds the composition.

    Raises UnprovenError as `lipschitz_bound` does.
    """
    return [LayerBound(step.name, type(step.module).__name__, step.bound) for step in steps(module, input_shape)]


@own_torch_state(threads=1)  # sums of several threads differ in the last digits, and a proof is one number
def steps(module: nn.Module, input_shape: Shape) -> list[Step]:
    """The layers in order of application, each with its bound; raises UnprovenError as `lipschitz_bound` does."""
    found: list[Step] = []
    with torch.no_grad():
        _walk(module, tuple(input_shape), "", found)
    return found


def composed(layers: Sequence[Step]) -> float:
    """A bound of the composition of these layers."""
    # Each multiplication has a relative rounding error of at most EPSILON / 2.
    return math.prod(layer.bound for layer in layers) * (1 + len(layers) * EPSILON)


def _walk(module: nn.Module, shape: Shape, name: str, found: list[Step]) -> Shape:
    if type(module) is nn.Sequential:  # not a subclass, which could do anything with its children
        _refuse_hooks(module, name)
        # named_children() would list a module only once even if it is applied twice.
        for child_name, child in module._modules.items():
            if child is not None:
                shape = _walk(child, shape, f"{name}.{child_name}" if name else child_name, found)
        return shape
    for part in module.modules():
        _refuse_hooks(part, name)
    rule = rule_of(module)
    if rule is None:
        raise UnprovenError(
            f"no Lipschitz bound is known for module {name or '(root)'!r} of class {type(module).__name__}: "
            "use layers of wdist, or add a rule with wdist.nn.lipschitz.register"
        )
    bound, output_shape = rule(module, shape)
    stored = (*module.parameters(), *module.buffers())  # including biases, although no bound depends on them
    if not math.isfinite(bound) or not all(bool(tensor.isfinite().all()) for tensor in stored):
        raise UnprovenError(f"module {name or '(root)'!r} has non-finite weights: no bound exists")
    found.append(Step(name, module, bound, shape, output_shape))
    return output_shape


def _refuse_hooks(module: nn.Module, name: str) -> None:
    hooked = module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module)
    if hooked or nn.modules.module._global_forward_hooks or nn.modules.module._global_forward_pre_hooks:
        raise UnprovenError(f"module {name or '(root)'!r} has forward hooks, which can do anything: remove them first")


def singular_values(conv: LipschitzConvolution, grid: Shape) -> Tensor:
    """All singular values of the layer as a linear map on inputs of `grid` (before downsampling), descending."""
    return convolution_singular_values(kernel64(conv), tuple(size // conv.stride for size in grid))
