"""Proofs and stored forms of torch's own layers."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from wdist.errors import UnprovenError
from wdist.nn.contract import declare, expect_size, scaled
from wdist.nn.spectra import convolution_norm_bound, matrix_norm_bound, zero_padded_norm_bound
from wdist.nn.standard_model import Application, Shape, exact, norm, sums_of_products


def plain_linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """A dense layer with these values, (out, in) and (out,)."""
    # The constructor of nn.Linear would draw weights from the caller's generator.
    size = weight.shape[1], weight.shape[0]
    plain = nn.Linear(*size, bias=bias is not None, device="meta", dtype=torch.float32).to_empty(device="cpu")
    with torch.no_grad():
        plain.weight.copy_(weight.detach())
        if bias is not None:
            plain.bias.copy_(bias)
    return plain


def downsampled(shape: Shape, factor: int) -> Shape:
    """(c, h, w) -> (c factor^2, h / factor, w / factor), and likewise with one axis."""
    channels, *grid = shape
    return (channels * factor ** len(grid), *(size // factor for size in grid))


def linear_rounding(module: Any, at: Application) -> Tensor:
    """The rounding of x W^T + b on the last axis, for a module with `weight` (out, in) and `bias` (out,) or None."""
    # || |W| |x| || <= ||W||_F ||x||.
    weight, bias = module.weight, module.bias
    return sums_of_products(at, weight.shape[1], norm(weight), norm(bias) * math.sqrt(math.prod(at.shape[:-1])))


def convolution_rounding(weight: Tensor, bias: Tensor | None, at: Application) -> Tensor:
    """The rounding of a convolution with a kernel (out, in per group, *k), whatever its padding and stride.

    Raises UnprovenError in float32, in which torch may compute convolutions by Winograd's method.
    """
    if at.dtype != torch.float64:
        raise UnprovenError("no rounding bound is known for convolutions in float32: evaluate them in float64")
    # Young's inequality for each pair of channels, then Cauchy-Schwarz over the input channels:
    # || |K| * |x| || <= sqrt(taps) ||K||_F ||x||.
    taps = math.prod(weight.shape[2:])
    biases = norm(bias) * math.sqrt(math.prod(at.output_shape[1:]))
    return sums_of_products(at, weight.shape[1] * taps, math.sqrt(taps) * norm(weight), biases)


def _none(module: nn.Module, at: Application) -> Tensor:
    return exact(at)


def _convolution_rounding(module: nn.Conv1d | nn.Conv2d, at: Application) -> Tensor:
    return convolution_rounding(module.weight, module.bias, at)


def _one(module: nn.Module, shape: Shape) -> tuple[float, Shape]:
    return 1.0, shape


def _flatten(module: nn.Flatten, shape: Shape) -> tuple[float, Shape]:
    if (module.start_dim, module.end_dim) != (1, -1):
        raise UnprovenError("only nn.Flatten() of all axes but the batch is known")
    return 1.0, (math.prod(shape),)


def _pixel_unshuffle(module: nn.PixelUnshuffle, shape: Shape) -> tuple[float, Shape]:
    return 1.0, downsampled(shape, module.downscale_factor)


def _linear(module: nn.Linear, shape: Shape) -> tuple[float, Shape]:
    expect_size(shape, -1, module.in_features, module)
    return matrix_norm_bound(module.weight), (*shape[:-1], module.out_features)


def _frozen_linear(module: nn.Linear, unit: float) -> list[nn.Module]:
    return [plain_linear(module.weight, scaled(module.bias, unit))]


def _convolution(module: nn.Conv1d | nn.Conv2d, shape: Shape) -> tuple[float, Shape]:
    expect_size(shape, 0, module.in_channels, module)
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


declare(nn.Identity, _one, rounding=_none)
declare(nn.ReLU, _one, kind="relu", rounding=_none)
declare(nn.Flatten, _flatten, kind="flatten", rounding=_none)
declare(nn.PixelUnshuffle, _pixel_unshuffle, rounding=_none)
declare(nn.Linear, _linear, _frozen_linear, kind="linear", make=plain_linear, rounding=linear_rounding)
declare(nn.Conv1d, _convolution, rounding=_convolution_rounding)
declare(nn.Conv2d, _convolution, rounding=_convolution_rounding)
