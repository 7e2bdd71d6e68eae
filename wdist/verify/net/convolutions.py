"""Layers of images: convolution on a torus and space to channels.

docs/certificate.md says what they compute, and what their rounding may add.
"""

import math

import numpy as np
from numpy.typing import NDArray

from ..container import CertificateError, shown
from ..rounding import EPSILON, UNDERFLOW, U, norm_of, row_norms

Values = NDArray[np.float64]
Shape = tuple[int, ...]
CONVOLUTION_NUMBERS = 1 << 27  # of the transfer matrices of all frequencies, and of an unfolded row
KERNEL_SIZE = 64
PRODUCTS = 1 << 33  # of the transfer matrices with themselves; their singular values take about twenty times as long
COLUMN_NUMBERS = 1 << 21  # of a convolution's unfolded input held at once: 16 MB


class Unshuffle:
    """Space to channels: (n, c, h, w) -> (n, c f^2, h / f, w / f), channel c f^2 + a f + b from pixel offset (a, b)."""

    def __init__(self, factor: int) -> None:
        if type(factor) is not int or factor < 1:
            raise CertificateError(f"{shown(factor)} is no downsampling factor")
        self.factor = factor

    def forward(self, x: Values) -> Values:
        n, c, h, w = x.shape
        f = self.factor
        return x.reshape(n, c, h // f, f, w // f, f).transpose(0, 1, 3, 5, 2, 4).reshape(n, c * f * f, h // f, w // f)

    def backward(self, x: Values, gradient: Values) -> Values:
        n, c, h, w = x.shape
        f = self.factor
        return gradient.reshape(n, c, f, f, h // f, w // f).transpose(0, 1, 4, 2, 5, 3).reshape(x.shape)

    def norm(self, shape: Shape) -> tuple[float, Shape]:
        f = self.factor
        if len(shape) != 3 or shape[1] % f or shape[2] % f:
            raise CertificateError(f"images of shape {shape} cannot be downsampled by {f}")
        return 1.0, (shape[0] * f * f, shape[1] // f, shape[2] // f)

    def rounding(self, x: Values, y: Values) -> Values | None:
        return None


class CircularConvolution:
    """Correlation on a torus: (n, in, h, w) -> (n, out, h, w), weight K (out, in, kh, kw).

    out[o, i, j] = bias[o] + sum K[o, c, a, b] x[c, i + a - (kh - 1) // 2, j + b - (kw - 1) // 2], indices modulo grid.
    """

    def __init__(self, weight: Values, bias: Values | None) -> None:
        if weight.ndim != 4 or (bias is not None and bias.shape != weight.shape[:1]):
            raise CertificateError("a convolution's weight and bias do not fit together")
        self.weight, self.bias = weight, bias

    def _shifts(self) -> list[tuple[int, int, int, int]]:
        kh, kw = self.weight.shape[2:]
        return [(a, b, (kh - 1) // 2 - a, (kw - 1) // 2 - b) for a in range(kh) for b in range(kw)]

    def forward(self, x: Values) -> Values:
        (out, _, kh, kw), (n, _, h, w) = self.weight.shape, x.shape
        front = (kh - 1) // 2, (kw - 1) // 2
        margins = ((0, 0), (0, 0), (front[0], kh - 1 - front[0]), (front[1], kw - 1 - front[1]))
        matrix = self.weight.transpose(0, 2, 3, 1).reshape(out, -1)
        y = np.empty((n, out, h * w))
        step = max(1, COLUMN_NUMBERS // (matrix.shape[1] * h * w))
        for start in range(0, n, step):
            padded = np.pad(x[start : start + step], margins, mode="wrap").swapaxes(0, 1)
            columns = np.stack([padded[:, :, a : a + h, b : b + w] for a in range(kh) for b in range(kw)])
            flat: Values = matrix @ columns.reshape(matrix.shape[1], -1)
            if self.bias is not None:
                flat += self.bias[:, None]
            y[start : start + step] = flat.reshape(out, -1, h * w).swapaxes(0, 1)
        return y.reshape(n, out, h, w)

    def backward(self, x: Values, gradient: Values) -> Values:
        n, _, h, w = gradient.shape
        flat = np.ascontiguousarray(gradient.swapaxes(0, 1)).reshape(gradient.shape[1], -1)
        out = np.zeros((x.shape[1], n, h, w))
        for a, b, down, right in self._shifts():
            moved = (self.weight[:, :, a, b].T @ flat).reshape(-1, n, h, w)
            out += np.roll(moved, (-down, -right), axis=(2, 3))
        return np.ascontiguousarray(out.swapaxes(0, 1))

    def norm(self, shape: Shape) -> tuple[float, Shape]:
        if len(shape) != 3 or shape[0] != self.weight.shape[1]:
            raise CertificateError(f"a convolution of {self.weight.shape[1]} channels does not fit shape {shape}")
        # before anything of that size is made
        numbers = math.prod(shape) * max(self.weight.shape[0], math.prod(self.weight.shape[2:]))
        if numbers > CONVOLUTION_NUMBERS or max(self.weight.shape[2:]) > KERNEL_SIZE:
            raise CertificateError(f"a kernel {self.weight.shape} on {shape} is more than is computed")
        return circular_norm_bound(self.weight, shape[1:]), (self.weight.shape[0], *shape[1:])

    def rounding(self, x: Values, y: Values) -> Values | None:
        _, channels, kh, kw = self.weight.shape
        kernel, bias = math.sqrt(kh * kw) * norm_of(self.weight), math.sqrt(math.prod(y.shape[2:])) * norm_of(self.bias)
        added: Values = (channels * kh * kw + 2) * U * (kernel * row_norms(x) + bias)
        return added


def circular_norm_bound(kernel: Values, grid: Shape) -> float:
    """Norm of the convolution on a torus: the largest over all frequencies of the kernel's transfer matrices.

    Sedghi, Gupta, Long, "The singular values of convolutional layers" (2019). Where ||A A^* - I||_F <= 1e-6 at every
    frequency, sigma <= sqrt(1 + that) is used and the singular values are not computed.
    """
    wrapped = np.zeros((*kernel.shape[:2], *grid))
    for a in range(kernel.shape[2]):
        for b in range(kernel.shape[3]):
            wrapped[:, :, a % grid[0], b % grid[1]] += kernel[:, :, a, b]
    transfer = np.fft.rfft2(wrapped).reshape(*kernel.shape[:2], -1).transpose(2, 0, 1)
    if transfer.shape[1] > transfer.shape[2]:
        transfer = transfer.swapaxes(1, 2)
    rows, columns = transfer.shape[1:]
    size = float((np.abs(kernel).sum(axis=(2, 3)) ** 2).sum())
    rounding = UNDERFLOW + EPSILON * (16 + 8 * math.log2(max(2, math.prod(grid)))) * math.sqrt(size)
    if len(transfer) * rows**2 * columns > PRODUCTS:
        raise CertificateError(f"a kernel {kernel.shape} on a grid {grid} takes more time than is spent")
    gram = transfer @ transfer.conj().swapaxes(1, 2)
    excess = float(np.linalg.norm(gram - np.eye(rows), axis=(1, 2)).max()) + (columns + 8) * EPSILON * size
    if excess <= 1e-6:
        return math.sqrt(1 + excess) + rounding
    largest = float(np.linalg.svd(transfer, compute_uv=False).max())
    inflated: float = largest * (1 + 10 * (rows + columns) * EPSILON) + rounding
    return inflated
