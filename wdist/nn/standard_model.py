"""The standard model of floating-point arithmetic, and the rounding of sums of products in it.

fl(a op b) = (a op b)(1 + delta) + eta, |delta| <= u, |eta| <= tiny: u is the unit roundoff, and eta is 0 unless the
result underflows. A processor may round subnormal results or flush them to zero: both are within the smallest normal
number, `tiny`. Inputs and weights that are subnormal themselves must be read as they are.

A sum of n products, in any order and with or without fused multiplication, is off by at most gamma_n = n u / (1 - n u)
times the sum of their sizes. Source: Higham, "Accuracy and Stability of Numerical Algorithms", 2nd edition (2002),
sections 2.2 (the model), 3.1 (inner products) and 3.5 (matrix products); equation 2.8 for underflow.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

Shape = tuple[int, ...]
_SMALLEST = 1e-140  # norms from here to its inverse are those of squares that matter neither over- nor underflow


@dataclass(frozen=True)
class Application:
    """What a layer's rounding is bounded from, when it is applied to n rows.

    Attributes:
        shape: that of one row of the input, without the batch axis.
        output_shape: that of one row of the output.
        given: Euclidean norms of the computed inputs, or bounds of them, (n,), float64.
        result: those of the computed outputs, (n,), float64.
        dtype: the floating-point numbers in which the layer is evaluated.
    """

    shape: Shape
    output_shape: Shape
    given: Tensor
    result: Tensor
    dtype: torch.dtype

    @property
    def roundoff(self) -> float:
        """u: the largest relative error of one operation, 2^-53 in float64."""
        return torch.finfo(self.dtype).eps / 2

    @property
    def tiny(self) -> float:
        """The smallest normal number: what an operation that underflows is off by, at most."""
        return torch.finfo(self.dtype).tiny


def gamma(operations: int, roundoff: float) -> float:
    """n u / (1 - n u): bounds (1 + u)^n - 1; infinite for so many operations that no digit is left."""
    return operations * roundoff / (1 - operations * roundoff) if operations * roundoff < 1 else math.inf


def exact(at: Application) -> Tensor:
    """The rounding of a layer that only moves, compares or negates numbers: none, (n,)."""
    return torch.zeros_like(at.given)


def one_operation(at: Application) -> Tensor:
    """The rounding of a layer that computes each output by one operation, (n,)."""
    return at.roundoff * at.result + at.tiny * math.sqrt(math.prod(at.output_shape))


def sums_of_products(at: Application, terms: int, weight: float, bias: float) -> Tensor:
    """The rounding of outputs that are sums of `terms` products and a bias, (n,).

    weight: a bound of the norm of the map with all weights replaced by their sizes; bias: the norm of all biases.
    """
    underflow = 2 * (terms + 1) * at.tiny * math.sqrt(math.prod(at.output_shape))
    return gamma(terms + 2, at.roundoff) * (weight * at.given + bias) + underflow


def norms(rows: Tensor) -> Tensor:
    """Euclidean norms of rows, (n, ...) -> (n,), float64 on the CPU; they neither overflow nor underflow on the way."""
    flat = rows.detach().to("cpu", torch.float64).flatten(1)
    if flat.shape[1] == 0:
        return flat.new_zeros(len(flat))
    lengths: Tensor = torch.linalg.vector_norm(flat, dim=1)
    if bool(((lengths > _SMALLEST) & (lengths < 1 / _SMALLEST)).all()):
        return lengths
    largest = flat.abs().amax(1)
    scale = torch.where(largest > 0, largest, 1.0)
    return torch.mul(scale, torch.linalg.vector_norm(flat / scale[:, None], dim=1))


def norm(values: Tensor | None) -> float:
    """The Euclidean norm of all numbers in a tensor, as `norms` computes it; 0 for None."""
    return 0.0 if values is None else float(norms(values.detach().reshape(1, -1)))
