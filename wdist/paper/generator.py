"""A WGAN-GP (Gulrajani et al., 2017) on the published images, whose samples the W1 table compares with them.

Generator and critic are the convolutional nets of Radford et al. (2016), without batch normalisation: each generated
image is an independent draw, whatever else is in its batch.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wdist.device import chosen_device
from wdist.errors import OptionError, Stopped
from wdist.files.durable import replace_file
from wdist.nn.torch_state import own_torch_state
from wdist.paper.result_files import checkpoint_to_go_on_from, make_folder, provenance, write_figures
from wdist.paper.robustness_table import images_of
from wdist.training.checkpoint import write_checkpoint

SIZES = {"small": 16, "full": 64}  # channels at the finest grid; they double as it is halved
NOISE = 128
CHECKPOINT_STEPS = 50
_BLOCK = 500  # images generated at once


@dataclass(frozen=True)
class GanOptions:
    """size: of `SIZES`; steps of the generator, each after critic_steps of the critic; penalty: lambda of the paper."""

    size: str = "small"
    steps: int = 10_000
    batch: int = 64
    critic_steps: int = 5
    penalty: float = 10.0
    learning_rate: float = 2e-4
    samples: int = 20_000
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise OptionError(f"size {self.size!r} is unknown; choose one of {', '.join(SIZES)}")
        if min(self.steps, self.batch, self.critic_steps, self.samples) < 1:
            raise OptionError("steps, batch, critic steps and samples must be at least 1")


def build_generator(channels: int, image_shape: tuple[int, int, int]) -> nn.Sequential:
    """Noise (n, 128) -> images (n, c, h, w) in [-1, 1]: a coarse grid, doubled as often as the sides allow."""
    depth, grid = _doublings(image_shape)
    width = channels << (depth - 1)
    layers: list[nn.Module] = [nn.Linear(NOISE, width * grid[0] * grid[1]), nn.Unflatten(1, (width, *grid))]
    for level in range(depth):
        out = image_shape[0] if level == depth - 1 else width // 2
        layers += [nn.GroupNorm(1, width), nn.ReLU(), nn.ConvTranspose2d(width, out, 4, stride=2, padding=1)]
        width = out
    return nn.Sequential(*layers, nn.Tanh())


def build_gan_critic(channels: int, image_shape: tuple[int, int, int]) -> nn.Sequential:
    """Images (n, c, h, w) -> (n, 1); only a penalty holds its slope near 1, so it proves nothing about W1."""
    depth, grid = _doublings(image_shape)
    layers: list[nn.Module] = []
    width = image_shape[0]
    for level in range(depth):
        out = channels << level
        layers += [nn.Conv2d(width, out, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        width = out
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * grid[0] * grid[1], 1))


def with_weights(
    build: Callable[[int, tuple[int, int, int]], nn.Sequential],
    channels: int,
    image_shape: tuple[int, int, int],
    generator: torch.Generator,
) -> nn.Sequential:
    """A net with the initial weights that torch draws by default, in float32, from `generator` alone."""
    with torch.device("meta"):  # where nothing is drawn
        net = build(channels, image_shape).float()
    net.to_empty(device="cpu")
    for layer in net:
        if isinstance(layer, nn.GroupNorm):
            layer.reset_parameters()
        elif parameters := dict(layer.named_parameters()):  # linear layers and convolutions, as their constructors do
            nn.init.kaiming_uniform_(parameters["weight"], a=math.sqrt(5), generator=generator)
            bound = 1 / math.sqrt(parameters["weight"][0].numel())
            nn.init.uniform_(parameters["bias"], -bound, bound, generator=generator)
    return net


def _doublings(image_shape: tuple[int, int, int]) -> tuple[int, tuple[int, int]]:
    """How many times the coarsest grid, of sides at least 4, is doubled, and that grid."""
    _, height, width = image_shape
    depth = 0
    while height % 2 == 0 and width % 2 == 0 and min(height, width) >= 8:
        depth, height, width = depth + 1, height // 2, width // 2
    if depth == 0:
        raise OptionError(
            f"images of {image_shape[1]} x {image_shape[2]} cannot be halved: a generator needs even sides"
        )
    return depth, (height, width)


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor, mixture: Tensor) -> Tensor:
    """Mean of (||grad f|| - 1)^2 at points between real and fake images; mixture (n, 1, 1, 1) in [0, 1]."""
    points = (mixture * real + (1 - mixture) * fake).requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    penalty: Tensor = (gradient.flatten(1).norm(dim=1) - 1).square().mean()
    return penalty


class GanTraining:
    """Both nets and their optimisers; a step is a pure function of the weights, the images and (seed, step)."""

    def __init__(self, options: GanOptions, images: NDArray[np.float32]) -> None:
        self.options, self.images = options, images
        shape: Any = images.shape[1:]
        channels = SIZES[options.size]
        draws = torch.Generator().manual_seed(options.seed)
        self.generator, self.critic = (
            with_weights(build, channels, shape, draws).to(options.device)
            for build in (build_generator, build_gan_critic)
        )
        self.parts: dict[str, tuple[nn.Module, torch.optim.Adam]] = {
            name: (net, torch.optim.Adam(net.parameters(), lr=options.learning_rate, betas=(0.0, 0.9)))
            for name, net in (("generator", self.generator), ("critic", self.critic))
        }
        self.done = 0
        self.seconds = 0.0
        self.curve: list[dict[str, float]] = []

    def step(self) -> float:
        """Critic steps, then one of the generator; returns the critic's mean difference, which bounds nothing."""
        began, options = time.perf_counter(), self.options
        random = np.random.default_rng([options.seed, self.done])
        difference = 0.0
        for _ in range(options.critic_steps):
            rows = random.integers(0, len(self.images), options.batch)
            real = torch.from_numpy(2 * self.images[rows] - 1).to(options.device)
            with torch.no_grad():
                fake = self.generator(self._noise(random))
            mixture = torch.from_numpy(random.random((options.batch, 1, 1, 1), dtype=np.float32)).to(options.device)
            gain = self.critic(real).mean() - self.critic(fake).mean()
            self._descend("critic", options.penalty * gradient_penalty(self.critic, real, fake, mixture) - gain)
            difference = float(gain.detach())
        self._descend("generator", -self.critic(self.generator(self._noise(random))).mean())
        self.done += 1
        self.seconds += time.perf_counter() - began
        return difference

    def _noise(self, random: np.random.Generator) -> Tensor:
        values = random.standard_normal((self.options.batch, NOISE), dtype=np.float32)
        return torch.from_numpy(values).to(self.options.device)

    def _descend(self, part: str, loss: Tensor) -> None:
        _, optimizer = self.parts[part]
        optimizer.zero_grad()
        torch.autograd.backward(loss, inputs=[p for group in optimizer.param_groups for p in group["params"]])
        optimizer.step()

    def draw(self, samples: int, seed: int) -> NDArray[np.uint8]:
        """Independent images, uint8 (n, h, w) or (n, h, w, 3)."""
        random = np.random.default_rng([seed, 31])
        parts = []
        with torch.inference_mode():
            for start in range(0, samples, _BLOCK):
                noise = random.standard_normal((min(_BLOCK, samples - start), NOISE), dtype=np.float32)
                images = self.generator(torch.from_numpy(noise).to(self.options.device))
                parts.append(((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu().numpy())
        drawn = np.concatenate(parts)
        return drawn[:, 0] if drawn.shape[1] == 1 else np.ascontiguousarray(drawn.transpose(0, 2, 3, 1))

    def save(self, path: Path) -> None:
        """Write everything that `load` needs to continue."""
        tensors: dict[str, Tensor] = {}
        for name, (net, optimizer) in self.parts.items():
            tensors |= {f"{name}.net.{key}": value for key, value in net.state_dict().items()}
            for index, entries in optimizer.state_dict()["state"].items():
                tensors |= {f"{name}.adam.{index}.{key}": value for key, value in entries.items()}
        document = {"identity": self.identity, "done": self.done, "seconds": self.seconds, "curve": self.curve}
        write_checkpoint(path, tensors, document)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint, if there is one. Raises OptionError if it is damaged or has other options."""
        if (found := checkpoint_to_go_on_from(path)) is None:
            return
        tensors, document = found
        if document["identity"] != self.identity:
            raise OptionError(f"{path} is a checkpoint of other options: remove it or name another folder")
        for name, (net, optimizer) in self.parts.items():
            own = {k.removeprefix(f"{name}.net."): v for k, v in tensors.items() if k.startswith(f"{name}.net.")}
            net.load_state_dict(own)
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in tensors.items():
                if key.startswith(f"{name}.adam."):
                    _, _, index, entry = key.split(".")
                    state.setdefault(int(index), {})[entry] = value
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.done, self.seconds, self.curve = document["done"], document["seconds"], document["curve"]

    @property
    def identity(self) -> dict[str, Any]:
        """What a checkpoint must match to be of this training; steps, samples and device may differ."""
        free = ("steps", "samples", "device")
        return {k: v for k, v in asdict(self.options).items() if k not in free} | {"shape": list(self.images.shape)}


@own_torch_state()
def train_generator(
    dataset: str,
    data: Path,
    out: Path,
    options: GanOptions,
    *,
    progress: Callable[[int, float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Train on the published training images and draw samples: out/NAME.npy, with NAME.json beside it.

    The checkpoint out/NAME.checkpoint stays: the same command with more steps trains on. progress: called every 50
    steps with (steps done, mean difference of the critic).

    Raises:
        SampleError: the published files are missing or damaged. OptionError: options that are out of range, or a
        checkpoint of others. Stopped (the checkpoint is written first).
    """
    options = replace(options, device=str(chosen_device(options.device)))
    images, _ = images_of(dataset, data, test=False)
    training = GanTraining(options, images)
    make_folder(out)
    path = out / f"generated-{dataset}-{options.size}-{options.seed}.npy"
    checkpoint = path.with_suffix(".checkpoint")
    training.load(checkpoint)
    while training.done < options.steps:
        if should_stop is not None and should_stop():
            training.save(checkpoint)
            raise Stopped(f"stopped after {training.done} of {options.steps} steps")
        difference = training.step()
        if training.done % CHECKPOINT_STEPS == 0 or training.done == options.steps:
            training.curve.append({"step": training.done, "seconds": training.seconds, "difference": difference})
            training.save(checkpoint)
            if progress is not None:
                progress(training.done, difference)
    drawn = io.BytesIO()
    np.save(drawn, training.draw(options.samples, options.seed))
    replace_file(path, drawn.getvalue())
    figures = {
        "experiment": "train-gan",
        "dataset": dataset,
        "options": asdict(options) | {"steps": training.done},
        "images": options.samples,
        "training_seconds": training.seconds,
        "curve": training.curve,
        **provenance(options.device),
    }
    write_figures(path.with_suffix(".json"), figures)
    return figures
