"""The paper's experiments as commands: each writes one result file with its configuration, seed, machine and time."""

from __future__ import annotations

import json
import math
import platform
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from wdist.attack import attack
from wdist.datasets import load_images
from wdist.errors import OptionError, SampleError
from wdist.robustness import (
    ClassifierConfig,
    Labels,
    RobustTraining,
    Rows,
    build_classifier,
    certified_accuracy,
    certified_radii,
    logits_of,
    pair_bounds,
    train_robust_classifier,
)

VALIDATION_IMAGES = 5_000  # held out of the training images: nothing is chosen on test images
ATTACK_STEPS, ATTACK_RESTARTS = 100, 10
BATCH = 128


@dataclass(frozen=True)
class Setting:
    """A data set as in the paper: certified at `radius`, hinge margin sqrt(2) times the radius trained for."""

    radius: float
    margin: float
    augment: bool


SETTINGS = {
    "mnist": Setting(1.58, math.sqrt(2) * 1.5, augment=False),
    "cifar10": Setting(36 / 255, math.sqrt(2) * 0.5, augment=True),
}


def images_of(dataset: str, data: Path, *, test: bool) -> tuple[Rows, Labels]:
    """Images (n, c, h, w) float32 with pixels in [0, 1] and labels (n,) int64."""
    images, labels = load_images(dataset, data, test=test)
    rows = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(rows, dtype=np.float32) / np.float32(255), labels.astype(np.int64)


@dataclass(frozen=True)
class RobustnessOptions:
    """How one classifier of the table is trained and attacked.

    Attributes:
        epochs: passes over the training images that are not held out, in batches of so many images.
        loss, margin: of `RobustTraining`; margin None: the paper's.
        attack_images: how many of the first test images are attacked besides those certified, for the accuracy under
            attack; 0: nothing is attacked, and the checkpoint stays, so that another call attacks or trains on.
        attack_certified: how many certified images are attacked, the first ones; None: all.
    """

    epochs: float = 30
    batch: int = BATCH
    learning_rate: float = 0.02
    loss: str = "hinge"
    margin: float | None = None
    seed: int = 0
    attack_images: int = 1_000
    attack_certified: int | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.epochs <= 0 or self.batch < 1 or min(self.attack_images, self.attack_certified or 0) < 0:
            raise OptionError("epochs must be above 0, batch at least 1, numbers of images to attack not below 0")

    def recipe(self, setting: Setting, images: int) -> RobustTraining:
        """The training of so many images."""
        return RobustTraining(
            steps=max(1, round(self.epochs * images / self.batch)),
            margin=setting.margin if self.margin is None else self.margin,
            learning_rate=self.learning_rate,
            batch=self.batch,
            augment=setting.augment,
            seed=self.seed,
            device=self.device,
            loss=self.loss,
        )


def robustness(
    dataset: str,
    config: ClassifierConfig,
    data: Path,
    out: Path,
    options: RobustnessOptions,
    *,
    progress: Callable[[int, int, float], None] | None = None,
    attack_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Train one classifier of the paper, certify it on the test images once, and attack every image certified.

    Writes out/NAME.json, out/NAME.safetensors (weights) and, while it runs, out/NAME.checkpoint, from which a stopped
    run goes on; the two are there before the attack begins. progress: called with (steps done, steps, certified
    accuracy on validation images); attack_progress: with (images attacked, broken so far).

    Raises:
        SampleError: the published files are missing or damaged. OptionError: a data set or option is unknown or out of
        range, or a checkpoint is of others. Stopped.
    """
    if dataset not in SETTINGS:
        raise OptionError(f"data set {dataset!r} is unknown; choose one of {', '.join(SETTINGS)}")
    check_device(options.device)
    setting = SETTINGS[dataset]
    images, labels = images_of(dataset, data, test=False)
    order = np.random.default_rng([options.seed, 11]).permutation(len(images))
    held, rest = order[:VALIDATION_IMAGES], order[VALIDATION_IMAGES:]
    recipe = options.recipe(setting, len(rest))
    out.mkdir(parents=True, exist_ok=True)
    named = [options.loss] if options.loss != "hinge" else []
    path = out / "-".join([dataset, config.net, config.layers, config.activation, *named, str(options.seed)])

    def told(step: int, value: float) -> None:
        if progress is not None:
            progress(step, recipe.steps, value)

    checkpoint = path.with_suffix(".checkpoint")
    module, record = train_robust_classifier(
        config,
        images[rest],
        labels[rest],
        (images[held], labels[held]),
        recipe,
        setting.radius,
        checkpoint=checkpoint,
        progress=told,
        should_stop=should_stop,
    )
    test = images_of(dataset, data, test=True)
    figures: dict[str, Any] = {
        "experiment": "robustness",
        "dataset": dataset,
        "config": asdict(config),
        "training": asdict(recipe),
        "epochs": options.epochs,
        "validation": {"images": len(held), "certified": record.value, "curve": record.curve},
        "test": asdict(certified_accuracy(module, *test, setting.radius)),
        "attack": None,
        "training_seconds": record.curve[-1]["seconds"],
        "machine": machine(),
        "date": today(),
    }
    save_file({key: value.contiguous() for key, value in module.state_dict().items()}, path.with_suffix(".safetensors"))
    write_figures(path.with_suffix(".json"), figures)
    if options.attack_images > 0:
        figures["attack"] = _attacked(module, *test, setting.radius, options, attack_progress)
        write_figures(path.with_suffix(".json"), figures)
        checkpoint.unlink(missing_ok=True)
    return figures


def check_classifier(
    result: Path,
    data: Path,
    options: RobustnessOptions,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Certify the classifier of a result file again, from the weights beside it, and attack what is certified.

    Nothing is trained, and no file is written. Returns `test` and `attack` as such a file holds them (None where
    nothing was attacked), machine and date. Of the options those of the attack and the device count; the seed is the
    file's. progress: called with (images attacked, broken so far).

    Raises:
        SampleError: the published files, the result file or its weights are missing or damaged. OptionError: no such
        device.
    """
    check_device(options.device)
    weights = result.with_suffix(".safetensors")
    try:
        figures = json.loads(result.read_text())
        config, dataset, seed = ClassifierConfig(**figures["config"]), figures["dataset"], figures["training"]["seed"]
        radius = SETTINGS[dataset].radius
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = getattr(error, "strerror", None) or repr(error)
        raise SampleError(f"{result} is not a result file of `wdist reproduce robustness`: {reason}") from error
    images, labels = images_of(dataset, data, test=True)
    shape: Any = images.shape[1:]
    module = build_classifier(config, shape)
    try:
        module.load_state_dict(load_file(weights))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise SampleError(f"{weights} does not hold the weights of {result}: {error}") from error
    module.eval()
    found: dict[str, Any] = {"test": asdict(certified_accuracy(module, images, labels, radius)), "attack": None}
    if options.attack_images > 0:
        found["attack"] = _attacked(module, images, labels, radius, replace(options, seed=seed), progress)
    return found | {"machine": machine(), "date": today()}


def _attacked(
    module: torch.nn.Sequential,
    images: Rows,
    labels: Labels,
    radius: float,
    options: RobustnessOptions,
    progress: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    """Accuracy that projected gradient ascent leaves of the first images, and how many certified ones it broke.

    Certified images are attacked wherever they are, up to a limit; none of them can be broken.
    """
    certified = certified_radii(logits_of(module, images), labels, pair_bounds(module, images.shape[1:])) > radius
    first, limit = options.attack_images, options.attack_certified
    attacked = certified & (np.cumsum(certified) <= (len(images) if limit is None else limit))
    attacked[:first] = True
    began = time.perf_counter()
    broken = np.zeros(len(images), dtype=bool)
    broken[attacked] = attack(
        module, images[attacked], labels[attacked], radius,
        steps=ATTACK_STEPS, restarts=ATTACK_RESTARTS, seed=options.seed, device=options.device, progress=progress,
    )  # fmt: skip
    return {
        "steps": ATTACK_STEPS,
        "restarts": ATTACK_RESTARTS,
        "images": len(broken[:first]),
        "accuracy": float((~broken[:first]).mean()),
        "certified": float(certified[:first].mean()),
        "certified_images": int((certified & attacked).sum()),
        "certified_and_broken": int((certified & broken).sum()),
        "seconds": time.perf_counter() - began,
    }


def check_device(name: str) -> None:
    """Raises OptionError for a device that torch does not know or that is not at hand."""
    try:
        is_missing = torch.device(name).type == "cuda" and not torch.cuda.is_available()
    except RuntimeError:
        raise OptionError(f"device {name!r} is unknown; choose 'cpu' or 'cuda'") from None
    if is_missing:
        raise OptionError(f"device {name!r} was asked for, but no CUDA device is at hand; use 'cpu'")


def write_figures(path: Path, figures: dict[str, Any]) -> None:
    """One result file."""
    path.write_text(json.dumps(figures, indent=1) + "\n")


def today() -> str:
    """The date (UTC) as YYYY-MM-DD."""
    return datetime.now(UTC).date().isoformat()


def machine() -> str:
    """What a run was measured on: processor, threads, versions."""
    if torch.cuda.is_available():
        where = torch.cuda.get_device_name()
    else:
        cores = Path("/proc/cpuinfo")
        names = re.findall(r"model name\s*: (.+)", cores.read_text()) if cores.exists() else []
        where = names[0] if names else platform.processor() or platform.machine()
    return f"{where}, {torch.get_num_threads()} threads, Python {platform.python_version()}, torch {torch.__version__}"
