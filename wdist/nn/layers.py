"""Dense layers and activations that are 1-Lipschitz and, where possible, preserve gradient norms.

The class attribute `stiefel_parameters` of a module names the parameters that must stay semi-orthogonal;
`wdist.stiefel.StiefelOptimizer` keeps them so. With any other optimiser, use the Björck variants.
"""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from wdist.errors import OptionError
from wdist.nn.contract import Layer, expect_size, layer, scaled
from wdist.nn.orthogonal import bjorck, random_orthogonal
from wdist.nn.permutations import sort_pairs
from wdist.nn.spectra import matrix_norm_bound
from wdist.nn.standard_model import Application, Shape, exact, norm, one_operation, sums_of_products
from wdist.nn.torch_layers import downsampled, linear_rounding, plain_linear


def require(condition: bool, message: str) -> None:
    """Raise OptionError with `message` unless the condition holds."""
    if not condition:
        raise OptionError(message)


def require_floating(x: Tensor, layer: nn.Module) -> None:
    """Raise OptionError for inputs that are not real floating point."""
    if not x.is_floating_point():
        raise OptionError(f"{type(layer).__name__} needs floating point input, got {x.dtype}: convert with .float()")


@layer()
class OrthogonalLinear(Layer):
    """y = W x + b with W semi-orthogonal, so sigma(W) = 1; the weight itself is the parameter.

    (..., in_features) -> (..., out_features). W starts Haar-distributed and stays on the Stiefel manifold when trained
    with `wdist.stiefel.StiefelOptimizer`. `wdist.nn.lipschitz.lipschitz_bound` bounds its norm however it was trained.
    """

    stiefel_parameters: ClassVar[tuple[str, ...]] = ("weight",)

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        require(in_features > 0 and out_features > 0, f"features must be positive, got {in_features}, {out_features}")
        self.in_features, self.out_features = in_features, out_features
        self.weight = nn.Parameter(random_orthogonal(out_features, in_features, generator=generator))
        self.bias = nn.Parameter(torch.zeros(out_features, dtype=torch.float32)) if bias else None

    def kernel(self, dtype: torch.dtype | None = None) -> Tensor:
        """The matrix applied, (out, in), computed in `dtype`."""
        return self.weight if dtype is None else self.weight.to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        require_floating(x, self)
        return functional.linear(x, self.weight, self.bias)

    def bound(self, shape: Shape) -> tuple[float, Shape]:
        expect_size(shape, -1, self.in_features, self)
        return matrix_norm_bound(self.weight), (*shape[:-1], self.out_features)

    def rounding(self, at: Application) -> Tensor:
        return linear_rounding(self, at)

    def frozen(self, unit: float) -> list[nn.Module]:
        return [plain_linear(self.weight, scaled(self.bias, unit))]

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"


@layer()
class BjorckLinear(Layer):
    """Replaces OrthogonalLinear for standard optimisers: every forward pass computes W = bjorck(V) from a free V.

    (..., in_features) -> (..., out_features). sigma(W) <= 1 up to rounding for any V, with equality once the iterations
    have converged. Source: Anil, Lucas, Grosse (2019).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        iterations: int = 20,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        require(in_features > 0 and out_features > 0, f"features must be positive, got {in_features}, {out_features}")
        self.in_features, self.out_features, self.iterations = in_features, out_features, iterations
        self.unconstrained = nn.Parameter(random_orthogonal(out_features, in_features, generator=generator))
        self.bias = nn.Parameter(torch.zeros(out_features, dtype=torch.float32)) if bias else None

    def kernel(self, dtype: torch.dtype | None = None) -> Tensor:
        """The matrix applied, (out, in), computed in `dtype`."""
        return bjorck(self.unconstrained if dtype is None else self.unconstrained.to(dtype), self.iterations)

    @property
    def weight(self) -> Tensor:
        """(out, in), a pure function of the parameters."""
        return self.kernel()

    def forward(self, x: Tensor) -> Tensor:
        require_floating(x, self)
        return functional.linear(x, self.kernel(), self.bias)

    def bound(self, shape: Shape) -> tuple[float, Shape]:
        expect_size(shape, -1, self.in_features, self)
        return matrix_norm_bound(self.kernel(torch.float64)), (*shape[:-1], self.out_features)

    def rounding(self, at: Application) -> Tensor:
        applied = self.kernel()
        # The bound of the norm is that of the matrix as computed in float64.
        apart = norm(applied.double() - self.kernel(torch.float64))
        bias = norm(self.bias) * math.sqrt(math.prod(at.shape[:-1]))
        return sums_of_products(at, self.in_features, norm(applied), bias) + apart * at.given

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}, iterations={self.iterations}"


@layer("groupsort", "group_size")
class GroupSort(Layer):
    """Sorts groups of `group_size` neighbouring channels (axis 1), ascending: an isometry almost everywhere.

    (n, c, ...) -> (n, c, ...). Leftover channels pass unchanged. Source: Anil, Lucas, Grosse (2019).
    """

    def __init__(self, group_size: int = 2) -> None:
        super().__init__()
        require(group_size >= 1, f"group_size must be at least 1, got {group_size}")
        self.group_size = group_size

    def forward(self, x: Tensor) -> Tensor:
        if self.group_size == 2:
            return sort_pairs(x, neighbours=True, descending=False)
        whole = x.shape[1] - x.shape[1] % self.group_size
        groups = x[:, :whole].reshape(x.shape[0], whole // self.group_size, self.group_size, *x.shape[2:])
        ordered = groups.sort(2).values.flatten(1, 2)
        return ordered if whole == x.shape[1] else torch.cat((ordered, x[:, whole:]), 1)

    def bound(self, shape: Shape) -> tuple[float, Shape]:
        return 1.0, shape

    def rounding(self, at: Application) -> Tensor:
        return exact(at)

    def extra_repr(self) -> str:
        return str(self.group_size)


@layer("maxmin")
class MaxMin(Layer):
    """(max, min) of channels i and i + c/2: GroupSort(2) with pairs arranged so that both halves are contiguous.

    (n, c, ...) -> (n, c, ...); an odd last channel passes unchanged. An isometry almost everywhere.
    """

    def forward(self, x: Tensor) -> Tensor:
        return sort_pairs(x, neighbours=False, descending=True)

    def bound(self, shape: Shape) -> tuple[float, Shape]:
        return 1.0, shape

    def rounding(self, at: Application) -> Tensor:
        return exact(at)


@layer()
class FullSort(Layer):
    """Sorts all channels (axis 1): GroupSort with one group."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sort(1).values

    def bound(self, shape: Shape) -> tuple[float, Shape]:
        return 1.0, shape

    def rounding(self, at: Application) -> Tensor:
        return exact(at)


@layer()
class Abs(Layer):
    """|x| elementwise: preserves gradient norms; up to orthogonal maps it is GroupSort(2) of (x, -x)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.abs()

    def bound(self, shape: Shape) -> tuple[float, Shape]:
        return 1.0, shape

    def rounding(self, at: Application) -> Tensor:
        return exact(at)


@layer("unshuffle", "factor")
class InvertibleDownsampling(Layer):
    """Space to channels: (n, c, h, w) -> (n, c f^2, h/f, w/f), or (n, c, l) -> (n, c f, l/f): a permutation.

    Source: Jacobsen, Smeulders, Oyallon, "i-RevNet" (2018). Raises OptionError when f does not divide the grid.
    """

    def __init__(self, factor: int) -> None:
        super().__init__()
        require(factor >= 1, f"factor must be at least 1, got {factor}")
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        f = self.factor
        if any(size % f for size in x.shape[2:]):
            raise OptionError(
                f"grid {tuple(x.shape[2:])} is not divisible by the downsampling factor {f}: crop or pad it"
            )
        if x.dim() == 3:
            return x.reshape(*x.shape[:2], -1, f).transpose(2, 3).flatten(1, 2)
        return functional.pixel_unshuffle(x, f)

    def bound(self, shape: Shape) -> tuple[float, Shape]:
        return 1.0, downsampled(shape, self.factor)

    def rounding(self, at: Application) -> Tensor:
        return exact(at)

    def extra_repr(self) -> str:
        return str(self.factor)


@layer()
class InvertibleUpsampling(Layer):
    """Channels to space, the inverse of InvertibleDownsampling: (n, c f^2, h, w) -> (n, c, h f, w f)."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        require(factor >= 1, f"factor must be at least 1, got {factor}")
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        f = self.factor
        if x.shape[1] % f ** (x.dim() - 2):
            raise OptionError(f"{x.shape[1]} channels cannot be spread over {f} positions an axis")
        if x.dim() == 3:
            return x.reshape(x.shape[0], -1, f, x.shape[2]).transpose(2, 3).flatten(2, 3)
        return functional.pixel_shuffle(x, f)

    def bound(self, shape: Shape) -> tuple[float, Shape]:
        channels, *grid = shape
        return 1.0, (channels // self.factor ** len(grid), *(size * self.factor for size in grid))

    def rounding(self, at: Application) -> Tensor:
        return exact(at)

    def extra_repr(self) -> str:
        return str(self.factor)


@layer()
class Scale(Layer):
    """Multiplies by a fixed number; its Lipschitz constant is |factor|."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        require(math.isfinite(factor), f"factor must be finite, got {factor}")
        self.factor = float(factor)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor

    def bound(self, shape: Shape) -> tuple[float, Shape]:
        return abs(self.factor), shape

    def rounding(self, at: Application) -> Tensor:
        return one_operation(at)

    def extra_repr(self) -> str:
        return str(self.factor)


def stiefel_names(module: nn.Module) -> tuple[str, ...]:
    """Names of the direct parameters of `module` that live on the Stiefel manifold."""
    names: Any = getattr(module, "stiefel_parameters", ())
    return tuple(names)
