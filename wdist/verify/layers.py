"""The layers that a stored critic may have: what they compute, their gradient, and their proven Lipschitz bound.

All in float64. Every layer maps (n, *shape) to (n, *shape'); `norm(shape)` gives its bound and shape'. Bounds are exact
singular values inflated by a margin for their own rounding.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .container import CertificateError

Values = NDArray[np.float64]
Shape = tuple[int, ...]
COLUMN_NUMBERS = 1 << 21  # of a convolution's unfolded input held at once: 16 MB
EPSILON = float(np.finfo(np.float64).eps)


class Layer(Protocol):
    """One step of a critic."""

    def forward(self, x: Values) -> Values:
        """(n, *shape) -> (n, *shape')."""

    def backward(self, x: Values, gradient: Values) -> Values:
        """Gradient with respect to the input x of forward, from that with respect to its output."""

    def norm(self, shape: Shape) -> tuple[float, Shape]:
        """A proven Lipschitz bound on inputs of `shape` (no batch axis), and the output's shape."""


class Flatten:
    """(n, ...) -> (n, d)."""

    def forward(self, x: Values) -> Values:
        return x.reshape(len(x), -1)

    def backward(self, x: Values, gradient: Values) -> Values:
        return gradient.reshape(x.shape)

    def norm(self, shape: Shape) -> tuple[float, Shape]:
        return 1.0, (math.prod(shape),)


class Shift:
    """x - shift."""

    def __init__(self, shift: Values) -> None:
        self.shift = shift

    def forward(self, x: Values) -> Values:
        return x - self.shift

    def backward(self, x: Values, gradient: Values) -> Values:
        return gradient

    def norm(self, shape: Shape) -> tuple[float, Shape]:
        if np.broadcast_shapes(shape, self.shift.shape) != shape:
            raise CertificateError(f"a shift of shape {self.shift.shape} does not fit rows of shape {shape}")
        return 1.0, shape


class Clip:
    """min(max(x, low), high); its gradient is 0 outside and 1 inside, the ends included."""

    def __init__(self, low: float, high: float) -> None:
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise CertificateError(f"[{low}, {high}] is no interval to clip to")
        self.low, self.high = low, high

    def forward(self, x: Values) -> Values:
        return np.clip(x, self.low, self.high)

    def backward(self, x: Values, gradient: Values) -> Values:
        return gradient * ((x >= self.low) & (x <= self.high))

    def norm(self, shape: Shape) -> tuple[float, Shape]:
        return 1.0, shape


class Relu:
    """max(x, 0)."""

    def forward(self, x: Values) -> Values:
        return np.maximum(x, 0.0)

    def backward(self, x: Values, gradient: Values) -> Values:
        return gradient * (x > 0)

    def norm(self, shape: Shape) -> tuple[float, Shape]:
        return 1.0, shape


class Sort:
    """Sorts groups of channels (axis 1), ascending or descending; channels that fill no group pass unchanged.

    Members of group i: i * size + k where `neighbours`, else i + k * (number of groups).
    """

    def __init__(self, size: int, neighbours: bool, ascending: bool) -> None:
        if type(size) is not int or size < 1:
            raise CertificateError(f"groups of {size!r} channels cannot be sorted")
        self.size, self.neighbours, self.ascending = size, neighbours, ascending

    def _groups(self, x: Values) -> Values:
        """(n, groups, size, ...) of the channels that are sorted."""
        count = x.shape[1] // self.size
        whole = x[:, : count * self.size]
        if self.neighbours:
            return whole.reshape(len(x), count, self.size, *x.shape[2:])
        return whole.reshape(len(x), self.size, count, *x.shape[2:]).swapaxes(1, 2)

    def _ungroup(self, groups: Values, rest: Values) -> Values:
        ordered = groups if self.neighbours else groups.swapaxes(1, 2)
        flat = ordered.reshape(len(groups), groups.shape[1] * self.size, *groups.shape[3:])
        return np.concatenate([flat, rest], axis=1)

    def _sign(self) -> float:
        return 1.0 if self.ascending else -1.0

    def forward(self, x: Values) -> Values:
        if self.size == 2:  # the common case: two passes instead of a sort
            out = x.copy()
            half = x.shape[1] // 2
            places = (
                (slice(0, 2 * half, 2), slice(1, 2 * half, 2))
                if self.neighbours
                else (slice(half), slice(half, 2 * half))
            )
            first, second = places if self.ascending else places[::-1]
            np.minimum(x[:, places[0]], x[:, places[1]], out=out[:, first])
            np.maximum(x[:, places[0]], x[:, places[1]], out=out[:, second])
            return out
        rest = x[:, x.shape[1] - x.shape[1] % self.size :]
        return self._ungroup(self._sign() * np.sort(self._sign() * self._groups(x), axis=2), rest)

    def backward(self, x: Values, gradient: Values) -> Values:
        order = np.argsort(self._sign() * self._groups(x), axis=2, kind="stable")
        back = np.argsort(order, axis=2, kind="stable")
        moved = np.take_along_axis(self._groups(gradient), back, axis=2)
        return self._ungroup(moved, gradient[:, x.shape[1] - x.shape[1] % self.size :])

    def norm(self, shape: Shape) -> tuple[float, Shape]:
        return 1.0, shape


class Unshuffle:
    """Space to channels: (n, c, h, w) -> (n, c f^2, h / f, w / f), channel c f^2 + a f + b from pixel offset (a, b)."""

    def __init__(self, factor: int) -> None:
        if type(factor) is not int or factor < 1:
            raise CertificateError(f"{factor!r} is no downsampling factor")
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


class Linear:
    """x W^T + b."""

    def __init__(self, weight: Values, bias: Values | None) -> None:
        if weight.ndim != 2 or (bias is not None and bias.shape != weight.shape[:1]):
            raise CertificateError("a linear layer's weight and bias do not fit together")
        self.weight, self.bias = weight, bias

    def forward(self, x: Values) -> Values:
        y: Values = x @ self.weight.T
        if self.bias is not None:
            y += self.bias
        return y

    def backward(self, x: Values, gradient: Values) -> Values:
        out: Values = gradient @ self.weight
        return out

    def norm(self, shape: Shape) -> tuple[float, Shape]:
        if shape != (self.weight.shape[1],):
            raise CertificateError(
                f"a linear layer of {self.weight.shape[1]} inputs does not fit rows of shape {shape}"
            )
        return spectral_norm_bound(self.weight), (self.weight.shape[0],)


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
        return circular_norm_bound(self.weight, shape[1:]), (self.weight.shape[0], *shape[1:])


class Cone:
    """sign * min_k (||x - a_k||_2 + b_k), one value a row: 1-Lipschitz, as a minimum of such functions."""

    def __init__(self, anchors: Values, offsets: Values, sign: int) -> None:
        if anchors.ndim != 2 or offsets.shape != anchors.shape[:1] or sign not in (1, -1):
            raise CertificateError("a cone's anchors, offsets and sign do not fit together")
        self.anchors, self.offsets, self.sign = anchors, offsets, sign

    def _nearest(self, x: Values) -> tuple[NDArray[np.intp], Values]:
        separations = euclidean(x, self.anchors)
        active = (separations + self.offsets).argmin(axis=1)
        return active, separations[np.arange(len(x)), active]

    def forward(self, x: Values) -> Values:
        active, separation = self._nearest(x)
        return self.sign * (separation + self.offsets[active])[:, None]

    def backward(self, x: Values, gradient: Values) -> Values:
        active, separation = self._nearest(x)
        units = (x - self.anchors[active]) / np.where(separation > 0, separation, 1.0)[:, None]
        return self.sign * gradient * units

    def norm(self, shape: Shape) -> tuple[float, Shape]:
        if shape != (self.anchors.shape[1],):
            raise CertificateError(f"a cone in {self.anchors.shape[1]} dimensions does not fit rows of shape {shape}")
        return 1.0, (1,)


class PiecewiseLinear:
    """h applied to every number: linear between knots, continued with the slopes of the first and the last cell."""

    def __init__(self, knots: Values, values: Values) -> None:
        if knots.ndim != 1 or len(knots) < 2 or values.shape != knots.shape or not np.all(np.diff(knots) > 0):
            raise CertificateError("a potential needs ascending knots and a value for each")
        self.knots, self.values = knots, values
        self.slopes = np.diff(values) / np.diff(knots)

    def forward(self, x: Values) -> Values:
        inside: Values = np.interp(x, self.knots, self.values)
        before, behind = np.minimum(x - self.knots[0], 0.0), np.maximum(x - self.knots[-1], 0.0)
        inside += self.slopes[0] * before + self.slopes[-1] * behind
        return inside

    def backward(self, x: Values, gradient: Values) -> Values:
        cell = np.clip(np.searchsorted(self.knots, x, side="right") - 1, 0, len(self.slopes) - 1)
        return gradient * self.slopes[cell]

    def norm(self, shape: Shape) -> tuple[float, Shape]:
        return float(np.abs(self.slopes).max()) * (1 + 4 * EPSILON), shape


def euclidean(x: Values, y: Values) -> Values:
    """Distances (n, m) between rows; where squares cancel they are taken from differences."""
    squares_x, squares_y = np.einsum("ij,ij->i", x, x), np.einsum("ij,ij->i", y, y)
    squared: Values = -2.0 * (x @ y.T)
    squared += squares_x[:, None]
    squared += squares_y
    limit = 1e-6 * (squares_x.max() + squares_y.max())
    for i, j in _chunks(np.argwhere(squared < limit), max(1, (1 << 20) // x.shape[1])):
        gaps = x[i] - y[j]
        squared[i, j] = np.einsum("ij,ij->i", gaps, gaps)
    np.sqrt(squared, out=squared)
    return squared


def _chunks(pairs: NDArray[np.intp], size: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    return [(part[:, 0], part[:, 1]) for part in (pairs[k : k + size] for k in range(0, len(pairs), size))]


def spectral_norm_bound(matrix: Values) -> float:
    """Largest singular value of (m, n), times 1 + 10 (m + n) eps for LAPACK's backward error."""
    if not np.all(np.isfinite(matrix)):
        raise CertificateError("a weight is not finite")
    return float(np.linalg.svd(matrix, compute_uv=False).max()) * (1 + 10 * sum(matrix.shape) * EPSILON)


def circular_norm_bound(kernel: Values, grid: Shape) -> float:
    """Norm of the convolution on a torus: the largest over all frequencies of the kernel's transfer matrices.

    Sedghi, Gupta, Long, "The singular values of convolutional layers" (2019). Where ||A A^* - I||_F <= 1e-6 at every
    frequency, sigma <= sqrt(1 + that) is used and the singular values are not computed.
    """
    if not np.all(np.isfinite(kernel)):
        raise CertificateError("a weight is not finite")
    wrapped = np.zeros((*kernel.shape[:2], *grid))
    for a in range(kernel.shape[2]):
        for b in range(kernel.shape[3]):
            wrapped[:, :, a % grid[0], b % grid[1]] += kernel[:, :, a, b]
    transfer = np.fft.rfft2(wrapped).reshape(*kernel.shape[:2], -1).transpose(2, 0, 1)
    if transfer.shape[1] > transfer.shape[2]:
        transfer = transfer.swapaxes(1, 2)
    rows, columns = transfer.shape[1:]
    size = float((np.abs(kernel).sum(axis=(2, 3)) ** 2).sum())
    rounding = EPSILON * (16 + 8 * math.log2(max(2, math.prod(grid)))) * math.sqrt(size)
    gram = transfer @ transfer.conj().swapaxes(1, 2)
    excess = float(np.linalg.norm(gram - np.eye(rows), axis=(1, 2)).max()) + (columns + 8) * EPSILON * size
    if excess <= 1e-6:
        return math.sqrt(1 + excess) + rounding
    largest = float(np.linalg.svd(transfer, compute_uv=False).max())
    inflated: float = largest * (1 + 10 * (rows + columns) * EPSILON) + rounding
    return inflated


Own = Mapping[str, Values]
Build = Callable[[dict[str, Any], Own], Layer]

# kind -> (fields of its entry, tensors it needs, tensors it may have, constructor)
KINDS: dict[str, tuple[set[str], set[str], set[str], Build]] = {
    "flatten": (set(), set(), set(), lambda entry, own: Flatten()),
    "relu": (set(), set(), set(), lambda entry, own: Relu()),
    "maxmin": (set(), set(), set(), lambda entry, own: Sort(2, neighbours=False, ascending=False)),
    "groupsort": (
        {"group_size"},
        set(),
        set(),
        lambda entry, own: Sort(entry["group_size"], neighbours=True, ascending=True),
    ),
    "unshuffle": ({"factor"}, set(), set(), lambda entry, own: Unshuffle(entry["factor"])),
    "clip": ({"low", "high"}, set(), set(), lambda entry, own: Clip(entry["low"], entry["high"])),
    "shift": (set(), {"shift"}, set(), lambda entry, own: Shift(own["shift"])),
    "linear": (set(), {"weight"}, {"bias"}, lambda entry, own: Linear(own["weight"], own.get("bias"))),
    "circular_conv": (
        set(),
        {"weight"},
        {"bias"},
        lambda entry, own: CircularConvolution(own["weight"], own.get("bias")),
    ),
    "cone": (
        {"sign"},
        {"anchors", "offsets"},
        set(),
        lambda entry, own: Cone(own["anchors"], own["offsets"], entry["sign"]),
    ),
    "piecewise_linear": (
        set(),
        {"knots", "values"},
        set(),
        lambda entry, own: PiecewiseLinear(own["knots"], own["values"]),
    ),
}


def build_layer(entry: dict[str, Any], tensors: Own) -> Layer:
    """Build the layer of one entry {"kind", ...} with its tensors by name.

    Raises CertificateError for unknown kinds, fields or tensors; none are ignored.
    """
    kind = entry.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise CertificateError(f"unknown layer kind {kind!r}: the file was written by another version")
    fields, needed, optional, build = KINDS[kind]
    if set(entry) != fields | {"kind"} or not needed <= set(tensors) <= needed | optional:
        raise CertificateError(f"a {kind} layer has fields {sorted(entry)} and tensors {sorted(tensors)}")
    return build(entry, tensors)
