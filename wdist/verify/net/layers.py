"""The layers that a stored critic may have: what they compute, their gradient, their proven Lipschitz bound, and what
rounding may add.

All in float64. Every layer maps (n, *shape) to (n, *shape'); `norm(shape)` gives its bound and shape'. Bounds are exact
singular values inflated by a margin for their own rounding.
"""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..container import CertificateError, shown
from ..rounding import EPSILON, UNDERFLOW, U, Values, norm_of, row_norms
from .convolutions import CircularConvolution, Shape, Unshuffle

SMALLER_SIDE = 2_048  # of a matrix whose singular values are computed
PAIR_NUMBERS = 1 << 20  # differences of rows and anchors held at once: 8 MB


class Layer(Protocol):
    """One step of a critic."""

    def forward(self, x: Values) -> Values:
        """(n, *shape) -> (n, *shape')."""

    def backward(self, x: Values, gradient: Values) -> Values:
        """Gradient with respect to the input x of forward, from that with respect to its output."""

    def norm(self, shape: Shape) -> tuple[float, Shape]:
        """A proven Lipschitz bound on inputs of `shape` (no batch axis), and the output's shape."""

    def rounding(self, x: Values, y: Values) -> Values | None:
        """(n,): how far y = forward(x) may be from the exact result at x, in Euclidean norm; None if it is exact."""


class Exact:
    """A layer that moves or picks numbers, and computes none."""

    def rounding(self, x: Values, y: Values) -> Values | None:
        return None


class Flatten(Exact):
    """(n, ...) -> (n, d)."""

    def forward(self, x: Values) -> Values:
        return x.reshape(len(x), -1)

    def backward(self, x: Values, gradient: Values) -> Values:
        return gradient.reshape(x.shape)

    def norm(self, shape: Shape) -> tuple[float, Shape]:
        return 1.0, (math.prod(shape),)


class Choice(Exact):
    """Some of the numbers of a row, at ascending places: a projection."""

    def __init__(self, columns: Any) -> None:
        if not isinstance(columns, list) or not columns or not all(type(k) is int and k >= 0 for k in columns):
            raise CertificateError(f"{shown(columns)} are no places of columns")
        if any(one >= other for one, other in itertools.pairwise(columns)):
            raise CertificateError("places of columns must ascend, each once")
        self.columns = columns

    def forward(self, x: Values) -> Values:
        return x[:, self.columns]

    def backward(self, x: Values, gradient: Values) -> Values:
        whole = np.zeros_like(x)
        whole[:, self.columns] = gradient
        return whole

    def norm(self, shape: Shape) -> tuple[float, Shape]:
        if len(shape) != 1 or self.columns[-1] >= shape[0]:
            raise CertificateError(f"columns up to {self.columns[-1]} are not in rows of shape {shape}")
        return 1.0, (len(self.columns),)


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

    def rounding(self, x: Values, y: Values) -> Values | None:
        return U * row_norms(y)


class Clip(Exact):
    """min(max(x, low), high); its gradient is 0 outside and 1 inside, the ends included."""

    def __init__(self, low: float, high: float) -> None:
        if not all(type(end) in (int, float) and math.isfinite(end) for end in (low, high)) or low > high:
            raise CertificateError(f"[{shown(low)}, {shown(high)}] is no interval to clip to")
        self.low, self.high = float(low), float(high)

    def forward(self, x: Values) -> Values:
        return np.clip(x, self.low, self.high)

    def backward(self, x: Values, gradient: Values) -> Values:
        return gradient * ((x >= self.low) & (x <= self.high))

    def norm(self, shape: Shape) -> tuple[float, Shape]:
        return 1.0, shape


class Relu(Exact):
    """max(x, 0)."""

    def forward(self, x: Values) -> Values:
        return np.maximum(x, 0.0)

    def backward(self, x: Values, gradient: Values) -> Values:
        return gradient * (x > 0)

    def norm(self, shape: Shape) -> tuple[float, Shape]:
        return 1.0, shape


class Sort(Exact):
    """Sorts groups of channels (axis 1), ascending or descending; channels that fill no group pass unchanged.

    Members of group i: i * size + k where `neighbours`, else i + k * (number of groups).
    """

    def __init__(self, size: int, neighbours: bool, ascending: bool) -> None:
        if type(size) is not int or size < 1:
            raise CertificateError(f"groups of {shown(size)} channels cannot be sorted")
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
            half = x.shape[1] // 2
            out = np.empty_like(x)
            out[:, 2 * half :] = x[:, 2 * half :]
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
        if min(self.weight.shape) > SMALLER_SIDE:
            raise CertificateError(f"the norm of a matrix {self.weight.shape} takes more time than is spent")
        return spectral_norm_bound(self.weight), (self.weight.shape[0],)

    def rounding(self, x: Values, y: Values) -> Values | None:
        added: Values = (self.weight.shape[1] + 2) * U * (norm_of(self.weight) * row_norms(x) + norm_of(self.bias))
        return added


class Cone:
    """sign * min_k (||x - a_k||_2 + b_k), one value a row: 1-Lipschitz, as a minimum of such functions."""

    def __init__(self, anchors: Values, offsets: Values, sign: int) -> None:
        if type(sign) is not int or sign not in (1, -1):
            raise CertificateError(f"a cone's sign is 1 or -1, not {shown(sign)}")
        if anchors.ndim != 2 or offsets.shape != anchors.shape[:1]:
            raise CertificateError("a cone's anchors and offsets do not fit together")
        self.anchors, self.offsets, self.sign = anchors, offsets, sign
        self._centre = anchors.mean(axis=0)

    def _nearest(self, x: Values) -> tuple[NDArray[np.intp], Values]:
        """The lowest cone at each row, and the distance from its anchor, which is the norm of a difference.

        Squares are expanded to rule out cones that are certainly higher than another.
        """
        lowest, active, distance = (np.full(len(x), value) for value in (np.inf, 0, np.inf))
        step = max(1, PAIR_NUMBERS // len(self.anchors))
        for start in range(0, len(x), step):
            row, anchor = np.nonzero(self._possible(x[start : start + step]))
            for part in range(0, len(row), max(1, PAIR_NUMBERS // x.shape[1])):
                chosen = slice(part, part + max(1, PAIR_NUMBERS // x.shape[1]))
                i, k = start + row[chosen], anchor[chosen]
                gaps = x[i] - self.anchors[k]
                separation = np.sqrt(np.einsum("ij,ij->i", gaps, gaps))
                _lower(lowest, active, distance, i, k, separation, separation + self.offsets[k])
        return active, distance

    def _possible(self, x: Values) -> NDArray[np.bool_]:
        """(n, K): whether a cone may be the lowest, by squares expanded around the anchors' mean, and their error."""
        rows, anchors = x - self._centre, self.anchors - self._centre
        norms_x, norms_a = (np.sqrt(np.einsum("ij,ij->i", each, each)) for each in (rows, anchors))
        size = norms_x[:, None] + norms_a
        squares = (norms_x**2)[:, None] + norms_a**2 - 2.0 * (rows @ anchors.T)
        error = 2 * (x.shape[1] + 10) * U * size**2 + UNDERFLOW
        upper = np.sqrt(np.maximum(squares + error, 0.0)) + self.offsets
        lower = np.sqrt(np.maximum(squares - error, 0.0)) + self.offsets
        slack = 8 * U * (size + np.abs(self.offsets)) + (x.shape[1] + 6) * U * size
        best = (upper + slack).min(axis=1, keepdims=True)
        possible: NDArray[np.bool_] = ~(lower - slack > best)  # what overflowed stays possible
        return possible

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

    def rounding(self, x: Values, y: Values) -> Values | None:
        largest = float(np.linalg.norm(self.anchors, axis=1).max()) + float(np.abs(self.offsets).max())
        added: Values = (x.shape[1] + 6) * U * (row_norms(x) + largest)
        return added


def _lower(
    lowest: Values,
    active: NDArray[np.intp],
    distance: Values,
    i: NDArray[np.intp],
    k: NDArray[np.intp],
    d: Values,
    f: Values,
) -> None:
    """Take the cones k, with distances d and values f at the rows i, where they are below the lowest so far."""
    order = np.lexsort((f, i))  # the first of each row is its lowest
    first = np.ones(len(i), dtype=bool)
    first[1:] = i[order[1:]] != i[order[:-1]]
    best = order[first]
    better = best[~(f[best] >= lowest[i[best]])]
    lowest[i[better]], active[i[better]], distance[i[better]] = f[better], k[better], d[better]


class PiecewiseLinear:
    """h applied to every number: linear between knots, continued with the slopes of the first and the last cell."""

    def __init__(self, knots: Values, values: Values) -> None:
        if knots.ndim != 1 or len(knots) < 2 or values.shape != knots.shape or not np.all(np.diff(knots) > 0):
            raise CertificateError("a potential needs ascending knots and a value for each")
        if not np.all(np.isfinite(np.diff(knots))):  # the slope would be computed as 0
            raise CertificateError("knots of a potential are farther apart than doubles reach")
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
        if shape != (1,):
            raise CertificateError(f"a potential takes one number, not rows of shape {shape}")
        return float(np.abs(self.slopes).max()) * (1 + 4 * EPSILON), shape

    def rounding(self, x: Values, y: Values) -> Values | None:
        slope, knot, value = (float(np.abs(each).max()) for each in (self.slopes, self.knots, self.values))
        return 8 * U * (slope * (row_norms(x) + knot) + value)


def spectral_norm_bound(matrix: Values) -> float:
    """Largest singular value of (m, n), times 1 + 10 (m + n) eps for LAPACK's backward error."""
    return float(np.linalg.svd(matrix, compute_uv=False).max()) * (1 + 10 * sum(matrix.shape) * EPSILON) + UNDERFLOW


Own = Mapping[str, Values]
Build = Callable[[dict[str, Any], Own], Layer]

# kind -> (fields of its entry, tensors it needs, tensors it may have, constructor)
KINDS: dict[str, tuple[set[str], set[str], set[str], Build]] = {
    "flatten": (set(), set(), set(), lambda entry, own: Flatten()),
    "columns": ({"columns"}, set(), set(), lambda entry, own: Choice(entry["columns"])),
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
    kind = entry.get("kind") if isinstance(entry, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise CertificateError(f"unknown layer kind {shown(kind)}: the file was written by another version")
    fields, needed, optional, build = KINDS[kind]
    if set(entry) != fields | {"kind"} or not needed <= set(tensors) <= needed | optional:
        raise CertificateError(f"a {kind} layer has fields {shown(sorted(entry))} and tensors {shown(sorted(tensors))}")
    return build(entry, tensors)
