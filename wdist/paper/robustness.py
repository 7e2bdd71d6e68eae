"""Provably robust classifiers: Lipschitz nets, margin training, certified radii; `attack` tries to refute them.

The other half of Li et al., "Preventing Gradient Attenuation in Lipschitz Constrained Convolutional Networks" (NeurIPS
2019). The logits are z = A h(x) + b with h proven L-Lipschitz, so that z_i - z_j has the Lipschitz constant
L ||a_i - a_j||, at most sqrt(2) L for orthonormal rows: a prediction cannot change within
min_j (z_i - z_j) / (L ||a_i - a_j||) of x, in the Euclidean norm, less what rounding of the logits may cost.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from wdist.errors import OptionError, SampleError, Stopped
from wdist.nn.convolutions import BCOP, OSSN, RKO, SVCM
from wdist.nn.layers import MaxMin, OrthogonalLinear
from wdist.nn.lipschitz import composed, lipschitz_bound
from wdist.nn.rounding import RoundingAnalysis, converted
from wdist.nn.standard_model import norms
from wdist.nn.torch_state import own_torch_state
from wdist.paper.result_files import checkpoint_to_go_on_from
from wdist.stiefel.optimizer import polish
from wdist.training.checkpoint import write_checkpoint
from wdist.training.trainer import Record, Schedule, Trainer

Rows = NDArray[np.float32]
Labels = NDArray[np.int64]

CONVOLUTIONS: dict[str, type[BCOP | RKO | OSSN]] = {"bcop": BCOP, "rko": RKO, "ossn": OSSN, "svcm": SVCM}
ACTIVATIONS: dict[str, type[nn.Module]] = {"maxmin": MaxMin, "relu": nn.ReLU}
# (out channels, kernel, stride) of the convolutions, then units of the dense layers before the last: the nets of Li et
# al., and one of ours, whose convolutions keep every dimension and whose depth is in small dense layers.
NETS: dict[str, tuple[tuple[tuple[int, int, int], ...], tuple[int, ...]]] = {
    "small": (((16, 4, 2), (32, 4, 2)), (100,)),
    "large": (((32, 3, 1), (32, 4, 2), (64, 3, 1), (64, 4, 2)), (512, 512)),
    "fc3": ((), (1024, 1024, 1024)),
    "deep": (((16, 4, 2), (64, 4, 2)), (256, 256, 256, 256)),
}
LOSSES = ("hinge", "cross-entropy")
_BLOCK = 1_000  # images that are scored at once
_FARTHEST = 1e6  # a limit of radii, so that rounding is bounded over finite balls
_UP = 1 + 8 * float(np.finfo(np.float64).eps)  # more than the few operations that lead to a radius round
_CLIP_EVERY = 50  # steps between two projections of SVCM layers


@dataclass(frozen=True)
class ClassifierConfig:
    """net: small, large or fc3 of the paper, or deep; layers: bcop, rko, ossn or svcm; activation: maxmin or relu."""

    net: str = "small"
    layers: str = "bcop"
    activation: str = "maxmin"
    classes: int = 10

    def __post_init__(self) -> None:
        for name, known in (("net", NETS), ("layers", CONVOLUTIONS), ("activation", ACTIVATIONS)):
            if getattr(self, name) not in known:
                raise OptionError(f"{name} {getattr(self, name)!r} is unknown; choose one of {', '.join(known)}")
        if self.classes < 2:
            raise OptionError(f"{self.classes} classes; there must be at least 2")


def build_classifier(config: ClassifierConfig, image_shape: tuple[int, int, int], seed: int = 0) -> nn.Sequential:
    """A fresh net (n, c, h, w) -> (n, classes); raises as `build_net`."""
    return build_net(config, image_shape, config.classes, seed)


@own_torch_state()
def build_net(config: ClassifierConfig, image_shape: tuple[int, int, int], outputs: int, seed: int) -> nn.Sequential:
    """The net of a configuration with any number of outputs; torch's global generator is neither used nor changed.

    Raises OptionError where the images cannot be halved as often as the net needs.
    """
    convolutions, units = NETS[config.net]
    activation = ACTIVATIONS[config.activation]
    channels, height, width = image_shape
    layers: list[nn.Module] = []
    generator = torch.Generator().manual_seed(seed)
    for out, kernel, stride in convolutions:
        if height % stride or width % stride:
            raise OptionError(f"net {config.net!r} halves images twice: {image_shape[1:]} is not divisible by 4")
        grid = (height // stride, width // stride)
        # Without the grid that they see, OSSN and SVCM divide by a norm up to 1.5 % too large.
        options: dict[str, Any] = {"grid": grid} if issubclass(CONVOLUTIONS[config.layers], OSSN) else {}
        convolution = CONVOLUTIONS[config.layers](channels, out, kernel, stride, generator=generator, **options)
        layers += [convolution, activation()]
        channels, height, width = out, *grid
    features = channels * height * width
    layers.append(nn.Flatten())
    for unit in units:
        layers += [OrthogonalLinear(features, unit, generator=generator), activation()]
        features = unit
    layers.append(OrthogonalLinear(features, outputs, generator=generator))
    return nn.Sequential(*layers)


def clip_singular_values(module: nn.Module, step: int) -> None:
    """Project SVCM layers every 50 steps, as their training requires."""
    if step % _CLIP_EVERY == 0:
        for layer in module.modules():
            if isinstance(layer, SVCM):
                layer.project()


def margin_loss(logits: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Multi-class hinge: mean over rows and wrong classes j of max(0, margin - (z_label - z_j)). (n, k), (n,) -> ()."""
    loss: Tensor = functional.multi_margin_loss(logits, labels, margin=margin)
    return loss


def soft_margin_loss(logits: Tensor, labels: Tensor, margin: float, temperature: float) -> Tensor:
    """T log(1 + sum over wrong classes j of exp((margin - (z_label - z_j)) / T)), mean over rows. (n, k), (n,) -> ().

    Cross-entropy with the right logit lowered by the margin. As the temperature tends to 0 it becomes the hinge of the
    nearest wrong class, which alone decides the radius. At any temperature, images beyond the margin still count.
    Source: Prach and Lampert (2022).
    """
    lowered = logits - margin * functional.one_hot(labels, logits.shape[1])
    return temperature * functional.cross_entropy(lowered / temperature, labels)


def pair_bounds(module: nn.Sequential, image_shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Proven Lipschitz constants of z_i - z_j for all pairs of classes, (k, k), float64; 0 on the diagonal.

    Raises UnprovenError for a net with an unknown layer, OptionError for one that does not end in a dense layer.
    """
    features = lipschitz_bound(nn.Sequential(*list(module)[:-1]), image_shape)
    bounds: NDArray[np.float64] = features * _last_row_distances(module)
    return bounds


def _last_row_distances(module: nn.Sequential) -> NDArray[np.float64]:
    """||a_i - a_j|| of the rows of the last layer, rounded up, (k, k)."""
    last = module[-1]
    if not isinstance(last, OrthogonalLinear | nn.Linear):
        raise OptionError(f"the net ends in {type(last).__name__}; class pairs need a dense last layer")
    rows = last.weight.detach().double().cpu().numpy()
    distances: NDArray[np.float64] = np.linalg.norm(rows[:, None] - rows[None], axis=2)
    distances *= 1 + rows.shape[1] * np.finfo(np.float64).eps
    return distances


def certified_radii(module: nn.Sequential, images: Rows, labels: Labels) -> NDArray[np.float64]:
    """Euclidean distance within which each prediction is proven not to change, (n,); negative where none is proven.

    It holds for predictions from logits as `logits_of` computes them, in float64, and for those of exact arithmetic:
    rounding at the image and anywhere within the radius is subtracted. No radius is above 10^6.

    images (n, c, h, w) float32, labels (n,) from 0. Raises SampleError for shapes that differ, UnprovenError for a net
    with a layer without bounds, OptionError for one that does not end in a dense layer.
    """
    return _certify(module, images, labels).radii


@dataclass(frozen=True)
class _Certified:
    """L of the features; for each image, whether it is proven to be classified correctly, and its certified radius."""

    lipschitz_bound: float
    correct: NDArray[np.bool_]
    radii: NDArray[np.float64]


@own_torch_state()
def _certify(module: nn.Sequential, images: Rows, labels: Labels) -> _Certified:
    check_labelled(images, labels)
    distances = _last_row_distances(module)
    analysis = RoundingAnalysis(converted(module), images.shape[1:])
    features = composed(analysis.steps[:-1])
    parts = [torch.from_numpy(images[i : i + _BLOCK]).double() for i in range(0, len(images), _BLOCK)]
    with torch.inference_mode():
        results = [analysis.forward(part) for part in parts]
    logits, rounding = (torch.cat(each) for each in zip(*results, strict=True))
    if labels.max() >= logits.shape[1]:
        raise SampleError(f"label {labels.max()} is none of the net's classes 0 to {logits.shape[1] - 1}")
    # Without rounding within the radius, each radius can only be too large.
    largest = _radii(logits.numpy(), labels, features * distances, rounding.numpy())
    sizes = torch.cat([norms(part) for part in parts])
    with torch.inference_mode():
        within = analysis.over_balls(sizes + torch.from_numpy(largest.clip(0)))
    radii = _radii(logits.numpy(), labels, features * distances, (rounding + within).numpy())
    return _Certified(features, largest > 0, radii)


def _radii(
    logits: NDArray[np.float64], labels: Labels, bounds: NDArray[np.float64], rounding: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The smallest (margin - lost) / bound over the wrong classes, (n,), at most `_FARTHEST`.

    logits (n, k), labels (n,), bounds (k, k) as from `pair_bounds`. A pair with bound 0 has constant z_i - z_j.
    rounding (n,) bounds the error of logits in Euclidean norm; a difference of two loses at most sqrt(2) of it.
    """
    rows = np.arange(len(labels))
    margins = logits[rows, labels][:, None] - logits
    margins -= _UP * (math.sqrt(2) * rounding[:, None] + np.finfo(np.float64).eps * np.abs(margins))
    with np.errstate(divide="ignore", invalid="ignore"):
        radii = margins / (_UP * bounds[labels])
    radii[rows, labels] = np.inf
    nearest: NDArray[np.float64] = np.where(np.isnan(radii), -np.inf, radii).min(axis=1)
    return np.minimum(nearest, _FARTHEST)


@own_torch_state()
def logits_of(module: nn.Sequential, images: Rows) -> NDArray[np.float64]:
    """Logits (n, k) computed in float64 on the CPU from the stored weights."""
    exact = converted(module)
    with torch.inference_mode():
        parts = [exact(torch.from_numpy(images[i : i + _BLOCK]).double()) for i in range(0, len(images), _BLOCK)]
    values: NDArray[np.float64] = torch.cat(parts).numpy()
    return values


@dataclass(frozen=True)
class Robustness:
    """Shares of the images: classified correctly, and proven to stay so within `radius`; L of the net's features."""

    images: int
    radius: float
    clean: float
    certified: float
    lipschitz_bound: float


def certified_accuracy(module: nn.Sequential, images: Rows, labels: Labels, radius: float) -> Robustness:
    """Clean accuracy and certified accuracy at a Euclidean radius, both proven from the weights in float64.

    Both hold for logits as computed in float64 and in exact arithmetic, as `certified_radii` says. An image counts as
    clean if its rounding cannot change the prediction.

    images (n, c, h, w) float32 with pixels in [0, 1], labels (n,) from 0. Raises as `certified_radii`.
    """
    found = _certify(module, images, labels)
    certified = float((found.radii > radius).mean())
    return Robustness(len(images), radius, float(found.correct.mean()), certified, found.lipschitz_bound)


def check_labelled(images: Rows, labels: Labels) -> None:
    """Raises SampleError for shapes that do not fit, values that are not finite, labels that are no classes."""
    if images.ndim != 4 or labels.shape != (len(images),) or len(images) == 0:
        raise SampleError(f"need images (n, c, h, w) and labels (n,), not {images.shape} and {labels.shape}")
    if not np.isfinite(images).all():
        raise SampleError("images hold values that are not finite")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise SampleError("labels must be integers, the classes from 0 on")


@dataclass(frozen=True)
class RobustTraining:
    """How a robust classifier is trained: loss with its margin in logits, rates (Stiefel, Adam), batch, augmentation.

    loss: 'hinge' (`margin_loss`, as in the paper) or 'cross-entropy' (`soft_margin_loss`, at `temperature`).
    device: 'cpu', 'cuda', ...; what is proven about the net is computed on the CPU all the same.
    """

    steps: int
    margin: float
    learning_rate: float = 0.02
    euclidean_learning_rate: float = 1e-3
    batch: int = 128
    augment: bool = False
    seed: int = 0
    device: str = "cpu"
    loss: str = "hinge"
    temperature: float = 0.25

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise OptionError(f"loss {self.loss!r} is unknown; choose one of {', '.join(LOSSES)}")
        if min(self.steps, self.batch) < 1 or min(self.margin, self.temperature) <= 0:
            raise OptionError("steps and batch must be at least 1, margin and temperature above 0")
        rates = (self.margin, self.temperature, self.learning_rate, self.euclidean_learning_rate)
        if not all(math.isfinite(value) for value in rates):
            raise OptionError("margin, temperature and learning rates must be finite")


@own_torch_state()
def train_robust_classifier(
    config: ClassifierConfig,
    images: Rows,
    labels: Labels,
    validation: tuple[Rows, Labels],
    training: RobustTraining,
    radius: float,
    *,
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 30,
    progress: Callable[[int, float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> tuple[nn.Sequential, Record]:
    """Train a net; the weights with the best certified accuracy at `radius` on the validation images are returned.

    images, validation[0]: (n, c, h, w) float32 in [0, 1]; labels from 0. With a checkpoint file, a stopped or killed
    run goes on from it and ends as an uninterrupted one; with more steps it trains on, at the rates that the longer
    schedule has there (`Record.schedules` lists them). progress: called with (steps done, certified accuracy).

    Raises:
        SampleError: shapes or labels that do not fit. OptionError: the checkpoint is damaged, of other options or of
        more steps. Stopped: should_stop() turned true (the checkpoint is written first).
    """
    for rows, classes in ((images, labels), validation):
        check_labelled(rows, classes)
        if classes.max() >= config.classes:
            raise SampleError(f"label {classes.max()} is none of the classes 0 to {config.classes - 1}")
    shape: Any = images.shape[1:]
    module = build_classifier(config, shape, training.seed).to(training.device)

    def loss_at(net: nn.Module, step: int) -> Tensor:
        x, y = _batch(images, labels, training, step)
        return _loss(net(x.to(training.device)), y.to(training.device), training)

    def value(_: nn.Module) -> float:
        return certified_accuracy(module, *validation, radius).certified

    schedule = Schedule(
        training.steps, training.learning_rate, training.euclidean_learning_rate, evaluations=40, patience=10_000
    )
    trainer = Trainer(module, loss_at, value, schedule)
    identity = _identity(config, training, images)
    if checkpoint is not None and (found := checkpoint_to_go_on_from(checkpoint)) is not None:
        if found[1].get("identity") != identity:
            raise OptionError(f"{checkpoint} is a checkpoint of other options: remove it or name another folder")
        trainer.load_state(*found)
        if (done := trainer.record.step) > training.steps:
            raise OptionError(
                f"{checkpoint} has {done:,} steps behind it, more than {training.steps:,}: name another folder"
            )
    saved = time.monotonic()

    def save() -> None:
        nonlocal saved
        if checkpoint is not None:
            tensors, document = trainer.state()
            write_checkpoint(checkpoint, tensors, document | {"identity": identity})
        saved = time.monotonic()

    def on_step(step: int) -> None:
        clip_singular_values(module, step)
        if trainer.finished or time.monotonic() - saved > checkpoint_seconds:
            save()

    try:
        record = trainer.run(on_step=on_step, on_evaluation=progress, should_stop=should_stop)
    except Stopped:
        save()
        raise
    polish(module)
    return module.eval(), record


def _identity(config: ClassifierConfig, training: RobustTraining, images: Rows) -> dict[str, Any]:
    """What a checkpoint must match to be of this training; only the number of steps may grow."""
    recipe = {key: value for key, value in asdict(training).items() if key not in ("steps", "device")}
    return {"config": asdict(config), "training": recipe, "images": list(images.shape)}


def _loss(logits: Tensor, labels: Tensor, training: RobustTraining) -> Tensor:
    if training.loss == "hinge":
        return margin_loss(logits, labels, training.margin)
    return soft_margin_loss(logits, labels, training.margin, training.temperature)


def _batch(images: Rows, labels: Labels, training: RobustTraining, step: int) -> tuple[Tensor, Tensor]:
    """Rows of a step, a pure function of (seed, step); augmented: a crop after 4 black pixels on each side, a flip."""
    size = min(training.batch, len(images))
    epoch, k = divmod(step, len(images) // size)
    order = np.random.default_rng([training.seed, epoch]).permutation(len(images))[k * size : (k + 1) * size]
    x, y = images[order], torch.from_numpy(labels[order])
    if training.augment:
        generator = np.random.default_rng([training.seed, step, 1])
        x = _augmented(x, generator)
    return torch.from_numpy(np.ascontiguousarray(x)), y


def _augmented(x: Rows, generator: np.random.Generator) -> Rows:
    n, _, h, w = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (4, 4), (4, 4)))
    corners = generator.integers(0, 9, (n, 2)).tolist()
    out: Rows = np.stack([padded[i, :, top : top + h, left : left + w] for i, (top, left) in enumerate(corners)])
    flipped = generator.random(n) < 0.5
    out[flipped] = out[flipped, :, :, ::-1]
    return out
