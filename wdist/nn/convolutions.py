"""Convolutions with circular padding and a known norm, behind one interface: BCOP, RKO, OSSN, SVCM.

Stride s means an invertible downsampling by s followed by a convolution of kernel size ceil(k / s): plain striding
discards samples and does not preserve gradient norms. `.weight` is the kernel applied after the downsampling.
"""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from wdist.errors import OptionError, TrainingError, UnprovenError
from wdist.nn.contract import Layer, expect_size, layer, scaled
from wdist.nn.frozen import CircularConv2d
from wdist.nn.layers import InvertibleDownsampling, require
from wdist.nn.orthogonal import append_projector, random_orthogonal
from wdist.nn.permutations import circular_pad
from wdist.nn.spectra import any_grid, convolution_norm_bound, largest_singular_value, transfer_matrices
from wdist.nn.standard_model import Application, Shape
from wdist.nn.torch_layers import convolution_rounding


class LipschitzConvolution(Layer):
    """Base class of the convolutions: y = K * x + b on a torus, with K = self.kernel() of norm at most 1.

    (n, in, h, w) -> (n, out, h/s, w/s), or (n, in, l) -> (n, out, l/s) with dimensions=1. Subclasses define
    `kernel` and `_add_parameters`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        bias: bool = True,
        *,
        dimensions: int = 2,
        groups: int = 1,
        padding_mode: str = "circular",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        require(groups == 1, "groups are refused: no orthogonal parametrisation of grouped kernels is proven here")
        require(padding_mode == "circular", f"{padding_mode!r} padding is refused: only the torus keeps norms exactly")
        require(in_channels > 0 and out_channels > 0, f"channels must be positive, got {in_channels}, {out_channels}")
        require(kernel_size >= 1 and stride >= 1, f"kernel_size and stride must be positive: {kernel_size}, {stride}")
        require(dimensions in (1, 2), f"dimensions must be 1 or 2, got {dimensions}")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.dimensions = kernel_size, stride, dimensions
        self.inner_channels = in_channels * stride**dimensions
        self.inner_kernel = (-(-kernel_size // stride),) * dimensions
        self.downsample = InvertibleDownsampling(stride) if stride > 1 else None
        self.bias = nn.Parameter(torch.zeros(out_channels, dtype=torch.float32)) if bias else None
        self.frozen_kernel: Tensor | None
        self.register_buffer("frozen_kernel", None, persistent=False)
        self._add_parameters(generator)

    def _add_parameters(self, generator: torch.Generator | None) -> None:
        """Add the parameters of the kernel, drawn from `generator` (default: torch's global one)."""
        raise NotImplementedError

    def kernel(self, dtype: torch.dtype | None = None) -> Tensor:
        """The kernel applied after downsampling, (out, in s^2, k/s, k/s), computed in `dtype` from the parameters."""
        raise NotImplementedError

    @property
    def weight(self) -> Tensor:
        """The kernel applied, a pure function of the parameters (or its frozen copy)."""
        return self.kernel() if self.frozen_kernel is None else self.frozen_kernel

    def freeze(self) -> "LipschitzConvolution":
        """Compute the kernel once, in float64, and use that copy until `unfreeze`, `train()` or `load_state_dict`."""
        with torch.no_grad():
            self.frozen_kernel = self.kernel(torch.float64).to(next(self.parameters()).dtype)
        return self

    def unfreeze(self) -> "LipschitzConvolution":
        """Compute the kernel from the parameters in every forward pass again."""
        self.frozen_kernel = None
        return self

    def train(self, mode: bool = True) -> "LipschitzConvolution":
        # A frozen kernel would silently ignore the optimiser's steps.
        if mode:
            self.unfreeze()
        super().train(mode)
        return self

    def _load_from_state_dict(self, *args: object, **kwargs: object) -> None:
        self.unfreeze()
        super()._load_from_state_dict(*args, **kwargs)

    def forward(self, x: Tensor) -> Tensor:
        if not x.is_floating_point() or x.dim() != self.dimensions + 2 or x.shape[1] != self.in_channels:
            axes = "h, w" if self.dimensions == 2 else "l"
            raise OptionError(
                f"{type(self).__name__} needs floating point input (n, {self.in_channels}, {axes}), "
                f"got {tuple(x.shape)} {x.dtype}"
            )
        if self.downsample is not None:
            x = self.downsample(x)
        x = circular_pad(x, self.inner_kernel)
        if self.dimensions == 1:
            return functional.conv1d(x, self.weight, self.bias)
        return functional.conv2d(x, self.weight, self.bias)

    def bound(self, shape: Shape) -> tuple[float, Shape]:
        expect_size(shape, 0, self.in_channels, self)
        if len(shape) != self.dimensions + 1 or any(size % self.stride for size in shape[1:]):
            raise UnprovenError(f"{type(self).__name__} of stride {self.stride} cannot take inputs of shape {shape}")
        down: nn.Module | None = self.downsample
        factor = down.factor if type(down) is InvertibleDownsampling else 1 if down is None else 0
        if factor != self.stride:
            raise UnprovenError(f"{type(self).__name__}.downsample was replaced: no bound is known")
        grid = tuple(size // self.stride for size in shape[1:])
        return convolution_norm_bound(kernel64(self), grid), (self.out_channels, *grid)

    def rounding(self, at: Application) -> Tensor:
        return convolution_rounding(kernel64(self), self.bias, at)

    def frozen(self, unit: float) -> list[nn.Module]:
        down = [] if self.downsample is None else [self.downsample]
        return [*down, CircularConv2d(self.weight.detach().float().cpu(), scaled(self.bias, unit))]

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"


def kernel64(conv: LipschitzConvolution) -> Tensor:
    """The kernel that a convolution applies, in float64 on the CPU."""
    frozen = conv.frozen_kernel
    return (conv.kernel(torch.float64) if frozen is None else frozen).detach().to("cpu", torch.float64)


@layer()
class BCOP(LipschitzConvolution):
    """Block convolution orthogonal parametrisation: H box [P_1, I - P_1] box ... with P_i = R_i R_i^T of rank n/2.

    H (out, in s^2) is semi-orthogonal, R is (2 (k - 1), n, n // 2) in two dimensions or (k - 1, n, n // 2) in one, with
    n = max(in s^2, out). `StiefelOptimizer` keeps both on the Stiefel manifold. The projectors act on the wider side,
    and H reduces to the other, so the layer preserves norms for out >= in and is a co-isometry for out <= in.
    Source: Li et al. (2019), section 4; Xiao et al. (2018) for two dimensions.
    """

    stiefel_parameters: ClassVar[tuple[str, ...]] = ("H", "R")

    def _add_parameters(self, generator: torch.Generator | None) -> None:
        n = max(self.inner_channels, self.out_channels)
        self.H = nn.Parameter(random_orthogonal(self.out_channels, self.inner_channels, generator=generator))
        projectors = self.dimensions * (self.inner_kernel[0] - 1)
        R = random_orthogonal(projectors, n, n // 2, generator=generator) if projectors and n > 1 else None
        self.R = None if R is None else nn.Parameter(R)

    def kernel(self, dtype: torch.dtype | None = None) -> Tensor:
        # The kernel is always assembled in float64. The products are thin, so this is cheap; in float32, rounding alone
        # leaves |sigma - 1| above 1e-6 for a 7 x 7 kernel of 256 channels.
        target = self.H.dtype if dtype is None else dtype
        H = self.H.double()
        shrinks = H.shape[0] <= H.shape[1]
        X = H if shrinks else H.mT  # (a, n): projectors act on n
        taps = self.inner_kernel[0]
        if self.R is None:
            # A single channel has only the trivial projectors 0 and I, so the kernel is H at one tap.
            X = functional.pad(X[..., None], (0, taps - 1)) if self.dimensions == 1 else X[..., None, None]
            if self.dimensions == 2:
                X = functional.pad(X, (0, taps - 1, 0, taps - 1))
            return (X if shrinks else X.transpose(0, 1)).to(target)
        R = self.R.double()
        X = X[None, None]  # (kh, kw, a, n)
        for i in range(0, R.shape[0], self.dimensions):
            X = append_projector(X.transpose(0, 1), R[i]).transpose(0, 1) if self.dimensions == 2 else X
            X = append_projector(X, R[i + self.dimensions - 1])
        K = X.permute(2, 3, 0, 1) if shrinks else X.permute(3, 2, 0, 1)
        K = K if self.dimensions == 2 else K[:, :, 0]
        return K.to(target).contiguous()


@layer()
class RKO(LipschitzConvolution):
    """Reshaped kernel orthogonalisation: the (out, in s^2 k^2) matrix is semi-orthogonal, divided by sqrt(k^2).

    Each input enters k^2 patches, so sigma <= 1; equality is rare. `StiefelOptimizer` keeps `matrix` on the Stiefel
    manifold. Source: Cisse et al. (2017), as used in Li et al. (2019).
    """

    stiefel_parameters: ClassVar[tuple[str, ...]] = ("matrix",)

    def _add_parameters(self, generator: torch.Generator | None) -> None:
        inner = self.inner_channels * math.prod(self.inner_kernel)
        self.matrix = nn.Parameter(random_orthogonal(self.out_channels, inner, generator=generator))

    def kernel(self, dtype: torch.dtype | None = None) -> Tensor:
        matrix = self.matrix if dtype is None else self.matrix.to(dtype)
        shape = (self.out_channels, self.inner_channels, *self.inner_kernel)
        return torch.mul(matrix.reshape(shape), math.prod(self.inner_kernel) ** -0.5)


@layer()
class OSSN(LipschitzConvolution):
    """One-sided spectral normalisation: K = V / max(1, ||V||), where ||V|| is the norm of the convolution.

    `unconstrained` (V) is a free parameter for any optimiser. The norm is taken on the torus `grid` (after
    downsampling). Without a grid, a bound that holds on every grid is used (at most 1.5 % above the norm on the worst).
    Source: Gouk et al. (2018), who estimate the norm from below by power iteration; here it is exact.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        bias: bool = True,
        *,
        grid: tuple[int, ...] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, bias, **options)
        self.grid, self.slack = (grid, 1.0) if grid is not None else any_grid(self.inner_kernel)
        require(len(self.grid) == self.dimensions, f"grid needs {self.dimensions} sizes, got {self.grid}")

    def _add_parameters(self, generator: torch.Generator | None) -> None:
        inner = self.inner_channels * math.prod(self.inner_kernel)
        V = random_orthogonal(self.out_channels, inner, generator=generator)
        self.unconstrained = nn.Parameter(V.reshape(self.out_channels, self.inner_channels, *self.inner_kernel))

    def kernel(self, dtype: torch.dtype | None = None) -> Tensor:
        V = self.unconstrained.double()
        if not bool(V.isfinite().all()):  # no decomposition exists; the loss becomes NaN, from which training recovers
            return torch.full_like(V, math.nan, dtype=self.unconstrained.dtype if dtype is None else dtype)
        norm = largest_singular_value(V, self.grid) * self.slack
        return (V / norm.clamp_min(1)).to(self.unconstrained.dtype if dtype is None else dtype)


@layer()
class SVCM(OSSN):
    """Singular value clipping and masking: `project` clips singular values to 1, then masks to the kernel's support.

    Masking undoes part of the clipping (norm 1.41 after one round, 1.05 after nine), so the kernel is finally divided
    by its exact norm, as in OSSN. Call `project` (or `wdist.stiefel.polish`) every few dozen steps and at the end.
    Source: Sedghi, Gupta, Long (2019).
    """

    @torch.no_grad()
    def project(self, rounds: int = 1) -> "SVCM":
        """Alternate clipping on the grid and masking, in float64. Raises TrainingError for non-finite weights."""
        grid = tuple(max(n, k) for n, k in zip(self.grid, self.inner_kernel, strict=True))
        axes = tuple(range(2, 2 + self.dimensions))
        V = self.unconstrained.double()
        if not bool(V.isfinite().all()):
            raise TrainingError(f"{type(self).__name__} has non-finite weights: restore earlier ones")
        for _ in range(rounds):
            U, sigma, Vh = torch.linalg.svd(transfer_matrices(V, grid, half=False), full_matrices=False)
            clipped = (U * sigma.clamp_max(1)[..., None, :]) @ Vh
            spread = clipped.permute(1, 2, 0).reshape(*V.shape[:2], *grid)
            full = torch.fft.ifftn(spread, dim=axes).real
            V = full[(..., *(slice(0, k) for k in self.inner_kernel))].contiguous()
        self.unconstrained.copy_(V)
        return self
