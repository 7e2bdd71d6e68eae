"""Layers of a frozen critic: they apply their stored weights directly and are never trained."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wdist.errors import UnprovenError
from wdist.nn.contract import Layer, expect_size, layer
from wdist.nn.permutations import circular_pad
from wdist.nn.spectra import EPSILON, convolution_norm_bound
from wdist.nn.standard_model import Application, Shape, exact, gamma, norms, one_operation
from wdist.nn.torch_layers import convolution_rounding

_BLOCK_BYTES = 32 << 20  # distances to anchors are computed in blocks of about this size


@layer("shift")
class Shift(Layer):
    """x - shift, an isometry; shift has the shape of a row (or broadcasts to it) and is stored in float64."""

    shift: Tensor

    def __init__(self, shift: Tensor) -> None:
        super().__init__()
        self.register_buffer("shift", shift.detach().double().cpu())

    def forward(self, x: Tensor) -> Tensor:
        return x - self.shift.to(x.dtype)

    def bound(self, shape: Shape) -> tuple[float, Shape]:
        return 1.0, shape

    def rounding(self, at: Application) -> Tensor:
        return one_operation(at)


@layer("columns", "columns")
class Columns(Layer):
    """Some of the numbers of a row, (n, d) -> (n, len(columns)): a projection, so 1-Lipschitz.

    columns: ascending places; each once, or the norm would be larger.
    """

    def __init__(self, columns: Sequence[int]) -> None:
        super().__init__()
        self.columns = [int(column) for column in columns]
        self.register_buffer("_places", torch.tensor(self.columns, dtype=torch.int64), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x.index_select(1, self.get_buffer("_places"))

    def bound(self, shape: Shape) -> tuple[float, Shape]:
        if len(shape) != 1 or not self.columns or self.columns[0] < 0 or self.columns[-1] >= shape[0]:
            raise UnprovenError(f"columns {self.columns[:1]} to {self.columns[-1:]} are not in rows of shape {shape}")
        if any(one >= next_ for one, next_ in itertools.pairwise(self.columns)):
            raise UnprovenError("columns must ascend, each once")
        return 1.0, (len(self.columns),)

    def rounding(self, at: Application) -> Tensor:
        return exact(at)

    def extra_repr(self) -> str:
        return f"{len(self.columns)} columns"


@layer("clip", "low", "high")
class Clip(Layer):
    """min(max(x, low), high): 1-Lipschitz, with bounded values."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = float(low), float(high)

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(self.low, self.high)

    def bound(self, shape: Shape) -> tuple[float, Shape]:
        return 1.0, shape

    def rounding(self, at: Application) -> Tensor:
        if at.dtype == torch.float64:
            return exact(at)
        # torch rounds the limits to the dtype of the rows.
        largest = max(abs(limit) if math.isfinite(limit) else 0.0 for limit in (self.low, self.high))
        return exact(at) + (at.roundoff * largest + at.tiny) * math.sqrt(math.prod(at.shape))

    def extra_repr(self) -> str:
        return f"{self.low}, {self.high}"


@layer("circular_conv")
class CircularConv2d(Layer):
    """Convolution on a torus with a stored kernel: (n, in, h, w) -> (n, out, h, w), with (k - 1) // 2 wrapped in front.

    Args:
        weight: (out, in, kh, kw).
        bias: (out,) or None.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach().clone())
        self.register_buffer("bias", None if bias is None else bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(circular_pad(x, tuple(self.weight.shape[2:])), self.weight, self.bias)

    def bound(self, shape: Shape) -> tuple[float, Shape]:
        expect_size(shape, 0, self.weight.shape[1], self)
        kernel = self.weight.detach().to("cpu", torch.float64)
        return convolution_norm_bound(kernel, shape[1:]), (self.weight.shape[0], *shape[1:])

    def rounding(self, at: Application) -> Tensor:
        return convolution_rounding(self.weight, self.bias, at)


@layer("piecewise_linear")
class PiecewiseLinear(Layer):
    """Piecewise linear h(t), (n, 1) -> (n, 1); the first and last pieces extend beyond the outer knots.

    knots (k,) ascending and values (k,), k >= 2, both float64. The Lipschitz constant is the largest |slope|.
    """

    knots: Tensor
    values: Tensor

    def __init__(self, knots: Tensor, values: Tensor) -> None:
        super().__init__()
        self.register_buffer("knots", knots.detach().double().cpu())
        self.register_buffer("values", values.detach().double().cpu())

    @property
    def slopes(self) -> Tensor:
        """(k - 1,), float64."""
        return self.values.diff() / self.knots.diff()

    def forward(self, t: Tensor) -> Tensor:
        cell = torch.bucketize(t.contiguous(), self.knots[1:-1].to(t.dtype))
        slopes, knots, values = (each.to(t.dtype) for each in (self.slopes, self.knots, self.values))
        return values[cell] + slopes[cell] * (t - knots[cell])

    def bound(self, shape: Shape) -> tuple[float, Shape]:
        expect_size(shape, -1, 1, self)
        # Difference, quotient and maximum round by at most 3 EPSILON / 2. Knots that do not ascend are refused.
        gaps = self.knots.diff()
        if not bool(((gaps > 0) & gaps.isfinite()).all()):
            raise UnprovenError("knots of a PiecewiseLinear must ascend, by less than the largest double")
        return float(self.slopes.abs().max()) * (1 + 2 * EPSILON), shape

    def rounding(self, at: Application) -> Tensor:
        # Three operations for a slope, then a difference, a product and a sum.
        knots, values = float(self.knots.abs().max()), float(self.values.abs().max())
        slope = float(self.slopes.abs().max())
        reach = at.given + knots
        return gamma(8, at.roundoff) * (slope * reach + values) + 8 * at.tiny * (1 + slope + reach)

    def extra_repr(self) -> str:
        return f"{len(self.knots)} knots"


def _at(values: Tensor, index: Tensor) -> Tensor:
    """values[index], with a derivative that adds in a fixed order: values[index] has that on a GPU, not on a CPU."""
    return values.index_select(0, index) if values.is_cpu else values[index]


@layer("cone", "sign")
class Cone(Layer):
    """min_k (||x - a_k|| + b_k), or its negative: 1-Lipschitz as a minimum of 1-Lipschitz functions.

    (n, d) -> (n, 1); anchors (K, d), offsets (K,); sign -1 gives max_k (-||x - a_k|| - b_k). Source: the funnel
    potentials of Korotin, Kolesov, Burnaev, "Kantorovich Strikes Back!" (2022).
    """

    def __init__(self, anchors: Tensor, offsets: Tensor, sign: int = 1) -> None:
        super().__init__()
        self.anchors = nn.Parameter(anchors.detach().clone())
        self.offsets = nn.Parameter(offsets.detach().clone())
        self.sign = sign

    def forward(self, x: Tensor) -> Tensor:
        anchors, offsets = self.anchors.to(x.dtype), self.offsets.to(x.dtype)
        # What is certified is computed in float64; training in float32 can afford what the expansion costs.
        if x.dtype == torch.float64:
            lowest, k = self._lowest(x, anchors, offsets)
            if not torch.is_grad_enabled():
                return torch.mul(lowest.unsqueeze(1), self.sign)
        else:
            k = self._nearest(x, anchors, offsets)
        # Compute the distance to the lowest cone alone, from differences: it is exact to rounding even at an anchor.
        # Gradients then touch (n, d) numbers instead of (n, K), and a training step of 256 cones takes a sixth of the
        # time.
        distance = torch.linalg.vector_norm(x - _at(anchors, k), dim=1)
        return torch.mul((distance + _at(offsets, k)).unsqueeze(1), self.sign)

    def bound(self, shape: Shape) -> tuple[float, Shape]:
        expect_size(shape, -1, self.anchors.shape[1], self)
        return float(abs(self.sign)), (*shape[:-1], 1)

    def rounding(self, at: Application) -> Tensor:
        """That of evaluation without gradients; with them, the distance is computed a second time.

        Raises UnprovenError in float32, in which the nearest anchor is found by the expansion of squares.
        """
        if at.dtype != torch.float64:
            raise UnprovenError("no rounding bound is known for cones in float32: evaluate them in float64")
        d = self.anchors.shape[1]
        reach = at.given + float(norms(self.anchors).max())
        # A sum of d squares of differences has a relative error of at most d + 2 roundings, its root of half of that.
        added = gamma(d + 6, at.roundoff) * (reach + float(self.offsets.abs().max()))
        added = added + math.sqrt(4 * d * at.tiny)  # squares may underflow
        # Where squares overflow, the nearest anchor is unknown.
        bound: Tensor = torch.where(reach < math.sqrt(torch.finfo(at.dtype).max) / 2, added, math.inf)
        return abs(self.sign) * bound

    def frozen(self, unit: float) -> list[nn.Module]:
        anchors, offsets = ((t.detach().double().cpu() * unit).float() for t in (self.anchors, self.offsets))
        return [Cone(anchors, offsets, self.sign)]

    @staticmethod
    @torch.no_grad()
    def _lowest(x: Tensor, anchors: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """The lowest cone at each row: its value (n,) and its index (n,), by the distance to every anchor itself."""
        rows = max(1, _BLOCK_BYTES // (x.element_size() * len(anchors)))
        direct = "donot_use_mm_for_euclid_dist"
        parts: tuple[Tensor, ...] = torch.split(x, rows)
        lowest = [(torch.cdist(part, anchors, compute_mode=direct) + offsets).min(1) for part in parts]
        return torch.cat([part.values for part in lowest]), torch.cat([part.indices for part in lowest])

    @staticmethod
    @torch.no_grad()
    def _nearest(x: Tensor, anchors: Tensor, offsets: Tensor) -> Tensor:
        """The index of the lowest cone at each row, (n,), by one matrix product centred on the anchors.

        Cancellation costs the squares eps (|x|^2 + |a|^2). Two cones that are closer than that may be confused, which
        changes f by at most the square root of that error at an anchor, and by rounding elsewhere.
        """
        centre = anchors.mean(0)
        x, anchors = x - centre, anchors - centre
        squares = torch.addmm(anchors.square().sum(1), x, anchors.mT, alpha=-2)
        squares += x.square().sum(1, keepdim=True)
        return squares.clamp_min_(0).sqrt_().add_(offsets).argmin(1)

    def extra_repr(self) -> str:
        return f"{tuple(self.anchors.shape)}, sign={self.sign}"
