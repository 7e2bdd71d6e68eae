"""Proofs and stored forms of torch's own layers."""

import math

import torch
from torch import Tensor, nn

from wdist.errors import UnprovenError
from wdist.nn.contract import Shape, declare, expect_size, scaled
from wdist.nn.spectra import convolution_norm_bound, matrix_norm_bound, zero_padded_norm_bound


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


declare(nn.Identity, _one)
declare(nn.ReLU, _one, kind="relu")
declare(nn.Flatten, _flatten, kind="flatten")
declare(nn.PixelUnshuffle, _pixel_unshuffle)
declare(nn.Linear, _linear, _frozen_linear, kind="linear", make=plain_linear)
declare(nn.Conv1d, _convolution)
declare(nn.Conv2d, _convolution)
