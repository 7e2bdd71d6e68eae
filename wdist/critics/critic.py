"""Critics (Kantorovich potentials): configurations, modules to train, and the plain form that is certified and stored.

A critic is trained in units where the data has size about 1 and stored in the data's own units. All activations used
here are positively homogeneous, sigma(s z) = s sigma(z), so f(x) = s g((x - c) / s) is the same net with biases times
s: the stored net has no rescaling layer, and its Lipschitz constant is that of g.
"""

from __future__ import annotations

import copy
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from wdist.critics.frozen import describe, restore
from wdist.data.samples import SampleSet, open_samples
from wdist.data.scaling import Scaling
from wdist.errors import OptionError, SampleError, WdistError
from wdist.nn.convolutions import BCOP, LipschitzConvolution
from wdist.nn.frozen import CircularConv2d, Cone, PiecewiseLinear, Shift, plain_linear
from wdist.nn.layers import InvertibleDownsampling, MaxMin, OrthogonalLinear
from wdist.nn.lipschitz import lipschitz_bound

FORMAT = 1
_BLOCK_BYTES = 32 << 20  # evaluation streams in blocks of rows of about this size (float64)
_SLOPE_ROWS = 2_000  # rows whose gradients are taken at once


@dataclass(frozen=True)
class AffineConfig:
    """f(x) = <v, x>, v the unit mean difference of the train rows: the best affine critic there is."""


@dataclass(frozen=True)
class GroupSortConfig:
    """`depth` orthogonal dense layers of `width` units with MaxMin between, then one unit row (Anil et al., 2019)."""

    width: int = 256
    depth: int = 3


@dataclass(frozen=True)
class BCOPConfig:
    """Orthogonal convolutions at halving resolution, then orthogonal dense layers (Li et al., 2019).

    Each entry of `channels` is one invertible downsampling by 2 and one BCOP convolution with that many channels.
    """

    channels: tuple[int, ...] = (32, 64)
    kernel_size: int = 3
    width: int = 256
    depth: int = 2


@dataclass(frozen=True)
class SlicedConfig:
    """f(x) = h(<v, x>), h piecewise linear with slopes +-1: the best one-dimensional projection."""


@dataclass(frozen=True)
class ConeConfig:
    """f(x) = sign min_k (||h(x) - a_k|| + b_k), h `depth` square orthogonal layers with MaxMin (0: the identity).

    Source: the funnel potentials of Korotin, Kolesov, Burnaev, "Kantorovich Strikes Back!" (2022).
    """

    anchors: int = 64
    sign: int = 1
    depth: int = 0


Config = AffineConfig | SlicedConfig | GroupSortConfig | BCOPConfig | ConeConfig
TrainedConfig = GroupSortConfig | BCOPConfig | ConeConfig
FAMILIES: dict[str, type[Config]] = {
    "affine": AffineConfig,
    "sliced": SlicedConfig,
    "groupsort": GroupSortConfig,
    "bcop": BCOPConfig,
    "cone": ConeConfig,
}


def family_of(config: Config) -> str:
    """The name under which a configuration is stored."""
    return next(name for name, kind in FAMILIES.items() if isinstance(config, kind))


def affine(direction: Tensor) -> nn.Sequential:
    """<v, x> for a direction of the row's shape; v is normalised (a zero direction stays zero)."""
    head = nn.Linear(direction.numel(), 1, bias=False)
    norm = float(torch.linalg.vector_norm(direction.double()))
    with torch.no_grad():
        head.weight.copy_((direction.double().reshape(1, -1) / max(norm, 1e-300)).float())
    return nn.Sequential(nn.Flatten(), head)


def sliced(direction: NDArray[np.float64], knots: NDArray[np.float64], values: NDArray[np.float64]) -> nn.Sequential:
    """h(<v, x>) for a direction of the row's shape; knots and values are those of h on the projections."""
    projection = affine(torch.from_numpy(np.asarray(direction)))
    return nn.Sequential(*projection, PiecewiseLinear(torch.from_numpy(knots), torch.from_numpy(values)))


def build(config: TrainedConfig, row_shape: tuple[int, ...], seed: int, anchors: Tensor | None = None) -> nn.Sequential:
    """A fresh critic to train; maps (n, *row_shape) to (n, 1). The global random state is left as it was.

    anchors: (K, d) where the cones of a ConeConfig start, in the units of training; offsets start at 0.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if isinstance(config, ConeConfig):
            if anchors is None:
                raise OptionError("a cone critic starts at anchors: none were given")
            return _cone(config, int(np.prod(row_shape)), anchors)
        if isinstance(config, GroupSortConfig):
            return nn.Sequential(nn.Flatten(), *_dense(int(np.prod(row_shape)), config.width, config.depth))
        return _convolutional(config, row_shape)


def _dense(features: int, width: int, depth: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [OrthogonalLinear(features, width), MaxMin()]
        features = width
    return [*layers, OrthogonalLinear(features, 1, bias=False)]


def _cone(config: ConeConfig, features: int, anchors: Tensor) -> nn.Sequential:
    trunk: list[nn.Module] = []
    for _ in range(config.depth):
        trunk += [OrthogonalLinear(features, features), MaxMin()]
    with torch.no_grad():
        start = nn.Sequential(*trunk)(anchors.float()) if trunk else anchors.float()
    return nn.Sequential(nn.Flatten(), *trunk, Cone(start, torch.zeros(len(start)), config.sign))


def _convolutional(config: BCOPConfig, row_shape: tuple[int, ...]) -> nn.Sequential:
    if len(row_shape) != 3:
        raise OptionError(f"critic 'bcop' needs images, the rows have shape {row_shape}; use 'groupsort' or 'auto'")
    channels, height, width = row_shape
    layers: list[nn.Module] = []
    for out_channels in config.channels:
        if height % 2 or width % 2 or min(height, width) < 2 * config.kernel_size:
            break  # the grid cannot be halved further under this kernel; the dense layers take over
        layers += [InvertibleDownsampling(2), BCOP(4 * channels, out_channels, config.kernel_size), MaxMin()]
        channels, height, width = out_channels, height // 2, width // 2
    if not layers:
        raise OptionError(f"critic 'bcop' needs images of even sides >= {2 * config.kernel_size}, got {row_shape[1:]}")
    return nn.Sequential(*layers, nn.Flatten(), *_dense(channels * height * width, config.width, config.depth))


def freeze(module: nn.Sequential, shift: Tensor | None, unit: float) -> nn.Sequential:
    """The plain form of a trained net in the data's own units: f(x) = unit g((x - shift) / unit), float32."""
    layers: list[nn.Module] = [] if shift is None else [Shift(shift)]
    for layer in module:
        if isinstance(layer, OrthogonalLinear | nn.Linear):
            layers.append(plain_linear(layer.weight, _scaled(layer.bias, unit)))
        elif isinstance(layer, LipschitzConvolution):
            if layer.downsample is not None:
                layers.append(layer.downsample)
            layers.append(_plain_convolution(layer, unit))
        elif isinstance(layer, Cone):
            layers.append(_rescaled_cone(layer, unit))
        else:
            layers.append(layer)
    return nn.Sequential(*layers).eval().requires_grad_(False)


def _scaled(bias: Tensor | None, unit: float) -> Tensor | None:
    return None if bias is None else (bias.detach().double() * unit).float().cpu()


def _rescaled_cone(layer: Cone, unit: float) -> Cone:
    anchors, offsets = ((t.detach().double().cpu() * unit).float() for t in (layer.anchors, layer.offsets))
    return Cone(anchors, offsets, layer.sign)


def _plain_convolution(layer: LipschitzConvolution, unit: float) -> nn.Module:
    return CircularConv2d(layer.weight.detach().float().cpu(), _scaled(layer.bias, unit))


@dataclass(frozen=True)
class CriticInput:
    """What a critic takes: rows as the user has them, before any conversion.

    Attributes:
        row_shape: shape of one row as the net sees it, (d,) or (channels, height, width).
        layout: 'nhwc', 'nchw' or None, for images.
        uint8: whether grey levels 0..255 are expected (and divided by 255).
        scale: the rescaling that was asked for, as `Scaling.to_json` gives it.
    """

    row_shape: tuple[int, ...]
    layout: str | None
    uint8: bool
    scale: Any

    @classmethod
    def of(cls, samples: SampleSet, scaling: Scaling) -> CriticInput:
        """What a critic takes that is trained on such samples."""
        return cls(samples.row_shape, samples.layout, samples.divisor != 1, scaling.to_json())

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self) | {"row_shape": list(self.row_shape)}


class Critic:
    """A trained potential f with a proven Lipschitz bound; the sign is such that E_Q f - E_P f is large."""

    def __init__(self, config: Config, module: nn.Sequential, takes: CriticInput) -> None:
        self.family = family_of(config)
        self.settings = config
        self.module = module
        self.takes = takes
        self._bound: float | None = None
        self._double: nn.Sequential | None = None

    @property
    def config(self) -> dict[str, Any]:
        """The family's configuration as plain JSON types."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self.settings).items()}

    @property
    def lipschitz_bound(self) -> float:
        """L >= Lip(f), proven in float64 from the stored weights, with respect to the rows after rescaling."""
        if self._bound is None:
            self._bound = lipschitz_bound(self.module, self.takes.row_shape)
        return self._bound

    def scores(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """f of rows in the net's own form, (n, *row_shape) -> (n,), computed in float64 on the CPU in blocks."""
        module = self._in_double()
        block = max(1, _BLOCK_BYTES // (8 * max(1, int(np.prod(self.takes.row_shape)))))
        out = np.empty(len(rows))
        with torch.inference_mode():
            for start in range(0, len(rows), block):
                part = torch.from_numpy(np.ascontiguousarray(rows[start : start + block])).double()
                out[start : start + block] = module(part).reshape(-1).numpy()
        return out

    def _in_double(self) -> nn.Sequential:
        if self._double is None:
            self._double = _double(self.module)
        return self._double

    def slopes(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Gradient of f at rows in the net's own form, with respect to them: (n, *row_shape), norm at most L."""
        return np.concatenate([self._slopes(rows[i : i + _SLOPE_ROWS]) for i in range(0, len(rows), _SLOPE_ROWS)])

    def _slopes(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        x = torch.from_numpy(np.ascontiguousarray(rows)).double().requires_grad_(True)
        (gradient,) = torch.autograd.grad(self._in_double()(x).sum(), x)
        values: NDArray[np.float64] = gradient.numpy()
        return values

    def evaluate(self, rows: ArrayLike) -> NDArray[np.float64]:
        """f of rows as the user has them (same shape, dtype kind and units as the sample sets), (n,), float64.

        Raises:
            SampleError: when the rows do not look like the sample sets that the critic was trained on.
        """
        return self.scores(Scaling.from_json(self.takes.scale).apply(self._opened(rows).rows(slice(None))))

    def gradient(self, rows: ArrayLike) -> NDArray[np.float64]:
        """Gradient of f at rows as the user has them, with respect to them (images as (n, c, h, w), pixels in [0, 1]).

        (n, *row_shape), float64. Without a scale its norm is at most `lipschitz_bound`. At a kink it is the gradient
        of one of the pieces.

        Raises:
            SampleError: as `evaluate`.
        """
        scale = Scaling.from_json(self.takes.scale)
        return self.slopes(scale.apply(self._opened(rows).rows(slice(None)))) / scale.divisor

    def _opened(self, rows: ArrayLike) -> SampleSet:
        samples = open_samples(rows, "rows", self.takes.layout)
        if samples.row_shape != self.takes.row_shape:
            raise SampleError(f"rows have shape {samples.row_shape}, this critic takes {self.takes.row_shape}")
        if (samples.dtype == np.uint8) != self.takes.uint8:
            wanted = "uint8 grey levels" if self.takes.uint8 else "floating-point values"
            raise SampleError(f"rows are {samples.dtype}, this critic takes {wanted}: convert the rows")
        return samples

    def save(self, directory: str | Path) -> None:
        """Write critic.safetensors (weights) and critic.json (architecture, input, bound) into a directory."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        description, tensors = describe(self.module)
        save_file(tensors, folder / "critic.safetensors")
        document = {
            "format": FORMAT,
            "family": self.family,
            "config": self.config,
            "input": self.takes.to_json(),
            "layers": description,
            "lipschitz_bound": self.lipschitz_bound,
        }
        (folder / "critic.json").write_text(json.dumps(document, indent=1) + "\n")


def load_critic(directory: str | Path) -> Critic:
    """Read a critic that `Critic.save` wrote; its Lipschitz bound is proven again from the weights.

    Raises:
        WdistError: when the files are of another format or do not fit together.
    """
    folder = Path(directory)
    document = json.loads((folder / "critic.json").read_text())
    if document.get("format") != FORMAT:
        raise WdistError(f"{folder} holds critic format {document.get('format')!r}, this version reads {FORMAT}")
    tensors = load_file(folder / "critic.safetensors")
    takes = document["input"] | {"row_shape": tuple(document["input"]["row_shape"])}
    settings: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in document["config"].items()}
    return Critic(FAMILIES[document["family"]](**settings), restore(document["layers"], tensors), CriticInput(**takes))


def _double(module: nn.Sequential) -> nn.Sequential:
    """A float64 copy on the CPU (float32 weights are exact in float64)."""
    return copy.deepcopy(module).cpu().double().eval()
