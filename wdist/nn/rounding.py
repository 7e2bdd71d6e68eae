"""Proven bounds on the rounding of computed outputs, by a running analysis over the layers of a composition.

A Lipschitz bound is that of the map in exact arithmetic, and what is computed differs from it. Each layer declares a
bound on the error that one application adds; a layer of constant L passes on L times the error of its input. So the
error after a layer is at most e <- L e + added. Source: Higham, "Accuracy and Stability of Numerical Algorithms", 2nd
edition (2002), sections 3.1 and 3.5, and 3.3 for running error analysis.

The bounds hold on the CPU, in float64 for every layer of `wdist.nn`. They cover underflow, whether the processor rounds
subnormal results or flushes them to zero. Norms are computed without overflow; where an output overflows, the bound is
infinite. Values between 1e-150 and 1e150 are far from either end.
"""

import copy
import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from wdist.errors import OptionError, UnprovenError
from wdist.nn.contract import RoundingRule, rounding_rule_of
from wdist.nn.lipschitz import Step, steps
from wdist.nn.spectra import EPSILON
from wdist.nn.standard_model import Application, Shape, norms
from wdist.nn.torch_state import own_torch_state

SomeModule = TypeVar("SomeModule", bound=nn.Module)

# Norms of up to 10^13 numbers, and a few operations on bounds, are off by far less than 1 %.
_INFLATION = 1.01


class RoundingAnalysis:
    """The layers of a module with their constants and rounding rules, for rows of one shape (no batch axis).

    The module must stay as it is, on the CPU and in evaluation mode. All its tensors have one dtype, that of the rows.
    proven: what `wdist.nn.lipschitz.steps` gave for it, if that is known already.

    Raises UnprovenError for layers without a Lipschitz or a rounding bound, OptionError for modules of several dtypes.
    """

    def __init__(
        self,
        module: nn.Module,
        input_shape: Shape,
        dtype: torch.dtype = torch.float64,
        proven: Sequence[Step] | None = None,
    ) -> None:
        if dtype not in (torch.float64, torch.float32):
            raise OptionError(f"rounding is bounded in float64 and float32, not in {dtype}")
        stored = (*module.parameters(), *module.buffers())
        if other := {tensor.dtype for tensor in stored if tensor.is_floating_point()} - {dtype}:
            raise OptionError(f"the module holds {other.pop()}, the rows are {dtype}: convert it with .to({dtype})")
        self.dtype = dtype
        self.steps = steps(module, input_shape) if proven is None else proven
        self._rules = [_rule(step) for step in self.steps]

    def forward(self, rows: Tensor, error: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As `forward_with_rounding`."""
        bound = torch.zeros(len(rows), dtype=torch.float64) if error is None else error.to(torch.float64)
        given = norms(rows)
        for step, rule in zip(self.steps, self._rules, strict=True):
            rows = step.module(rows)
            result = norms(rows)
            at = Application(step.shape, step.output_shape, given, result, self.dtype)
            bound, given = _passed_on(step, bound, rule(step.module, at), result), result
        return rows, bound

    def over_balls(self, radii: Tensor) -> Tensor:
        """For each radius, a bound that holds for every row of at most that norm: (n,) -> (n,), float64."""
        given = radii.to(torch.float64)
        bound = torch.zeros_like(given)
        for step, rule in zip(self.steps, self._rules, strict=True):
            at_zero, error_at_zero = self._at_zero(step, rule)
            result = step.bound * given + at_zero + error_at_zero  # of the exact output at a computed input
            sizes = Application(step.shape, step.output_shape, given, result, self.dtype)
            result = result + 2 * _INFLATION * rule(step.module, sizes)
            sizes = Application(step.shape, step.output_shape, given, result, self.dtype)
            bound, given = _passed_on(step, bound, rule(step.module, sizes), result), result
        return bound

    def _at_zero(self, step: Step, rule: RoundingRule) -> tuple[float, float]:
        """The norm of a layer's output at 0, and the error of that output."""
        zero = torch.zeros((1, *step.shape), dtype=self.dtype)
        result = norms(step.module(zero))
        at = Application(step.shape, step.output_shape, torch.zeros_like(result), result, self.dtype)
        return float(result), _INFLATION * float(rule(step.module, at))


def converted(module: SomeModule, dtype: torch.dtype = torch.float64) -> SomeModule:
    """A copy on the CPU in evaluation mode, with weights in `dtype`; those in float32 become float64 exactly."""
    return copy.deepcopy(module).cpu().to(dtype).eval()


@own_torch_state()
def forward_with_rounding(module: nn.Module, rows: Tensor, error: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The output of `module` at rows (n, ...), and for each row a bound on its distance from the exact output, (n,).

    The exact output is that of the stored weights in exact arithmetic, at any row that is within `error` (n,) of the
    given one; by default at the row itself. Distances are Euclidean. A bound is infinite where nothing is proven,
    because a value overflows. Rows and module are on the CPU and of one dtype. In float32, bounds are known for
    `torch.get_float32_matmul_precision() == "highest"`, and for neither convolutions nor cones.

    Raises:
        UnprovenError: for layers without a Lipschitz or a rounding bound.
        OptionError: for rows on another device or of another dtype than the module.
    """
    if not rows.is_cpu:
        raise OptionError(f"rounding is bounded for evaluation on the CPU; the rows are on {rows.device}")
    with torch.no_grad():
        return RoundingAnalysis(module, tuple(rows.shape[1:]), rows.dtype).forward(rows, error)


@own_torch_state()
def rounding_bound(module: nn.Module, input_shape: Shape, radius: float, dtype: torch.dtype = torch.float64) -> float:
    """E such that |computed f(x) - f(x)| <= E for every row x of norm at most `radius`.

    f is the map of the weights, converted to `dtype`, in exact arithmetic; its values are computed in `dtype` on the
    CPU. Rows have `input_shape` (no batch axis). With L = lipschitz_bound(module, input_shape),

        |computed f(x) - computed f(y)| <= L ||x - y|| + 2 E

    for all such x and y. E is infinite where values may overflow.

    Raises:
        UnprovenError: for layers without a Lipschitz or a rounding bound.
        OptionError: for a radius that is negative or not a number, or another dtype than float64 and float32.
    """
    if not radius >= 0:
        raise OptionError(f"radius must be at least 0, got {radius}")
    with torch.no_grad():
        analysis = RoundingAnalysis(converted(module, dtype), tuple(input_shape), dtype)
        return float(analysis.over_balls(torch.tensor([radius], dtype=torch.float64)))


def _rule(step: Step) -> RoundingRule:
    rule = rounding_rule_of(step.module)
    if rule is None:
        kind = type(step.module).__name__
        raise UnprovenError(
            f"no rounding bound is known for module {step.name or '(root)'!r} of class {kind}: give a rule to "
            f"wdist.nn.lipschitz.register({kind}, rounding=...), or to a wdist.nn.contract.Layer its method `rounding`"
        )
    return rule


def _passed_on(step: Step, error: Tensor, added: Tensor, result: Tensor) -> Tensor:
    """L e + added, rounded up; infinite where the output is not finite, and stays so."""
    bound = error * (step.bound * (1 + 4 * EPSILON)) + _INFLATION * added
    known = bound.isfinite() & error.isfinite() & result.isfinite()
    return torch.where(known, bound, math.inf)
