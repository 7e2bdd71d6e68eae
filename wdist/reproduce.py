"""The paper's experiments as commands: each writes one result file with its configuration, seed, machine and time."""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from wdist.datasets import load_images
from wdist.errors import OptionError
from wdist.robustness import (
    ClassifierConfig,
    Labels,
    RobustTraining,
    Rows,
    attack,
    certified_accuracy,
    certified_radii,
    logits_of,
    pair_bounds,
    train_robust_classifier,
)

VALIDATION_IMAGES = 5_000  # held out of the training images: nothing is chosen on test images
ATTACK_STEPS, ATTACK_RESTARTS = 100, 10


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


def robustness(
    dataset: str,
    config: ClassifierConfig,
    data: Path,
    out: Path,
    *,
    epochs: float,
    seed: int = 0,
    learning_rate: float = 0.02,
    attack_images: int = 1_000,
    progress: Callable[[int, int, float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Train one classifier of the paper, certify it on the test images once, and attack what was certified.

    Writes out/NAME.json, out/NAME.safetensors (weights) and, while it runs, out/NAME.checkpoint, from which a stopped
    run goes on. progress: called with (steps done, steps, certified accuracy on validation images).

    Raises:
        SampleError: the published files are missing or damaged. OptionError: a data set or option is unknown. Stopped.
    """
    if dataset not in SETTINGS:
        raise OptionError(f"data set {dataset!r} is unknown; choose one of {', '.join(SETTINGS)}")
    setting = SETTINGS[dataset]
    images, labels = images_of(dataset, data, test=False)
    order = np.random.default_rng([seed, 11]).permutation(len(images))
    held, rest = order[:VALIDATION_IMAGES], order[VALIDATION_IMAGES:]
    steps = max(1, round(epochs * len(rest) / 128))
    recipe = RobustTraining(steps, setting.margin, learning_rate, augment=setting.augment, seed=seed)
    out.mkdir(parents=True, exist_ok=True)
    name = f"{dataset}-{config.net}-{config.layers}-{config.activation}-{seed}"
    checkpoint = out / f"{name}.checkpoint"
    curve: list[tuple[int, float]] = []

    def told(step: int, value: float) -> None:
        curve.append((step, value))
        if progress is not None:
            progress(step, steps, value)

    began = time.perf_counter()
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
    trained = time.perf_counter() - began
    test, test_labels = images_of(dataset, data, test=True)
    found = certified_accuracy(module, test, test_labels, setting.radius)
    figures = {
        "experiment": "robustness",
        "dataset": dataset,
        "config": asdict(config),
        "training": asdict(recipe),
        "epochs": epochs,
        "validation": {"images": len(held), "certified": record.value, "curve": curve},
        "test": asdict(found),
        "attack": _attacked(module, test[:attack_images], test_labels[:attack_images], setting.radius, seed),
        "training_seconds": trained,
        "machine": _machine(),
    }
    save_file({key: value.contiguous() for key, value in module.state_dict().items()}, out / f"{name}.safetensors")
    (out / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n")
    checkpoint.unlink(missing_ok=True)
    return figures


def _attacked(module: torch.nn.Sequential, images: Rows, labels: Labels, radius: float, seed: int) -> dict[str, Any]:
    """Accuracy that projected gradient ascent leaves, and how many certified images it broke: there can be none."""
    if len(images) == 0:
        return {"images": 0}
    broken: NDArray[np.bool_] = attack(
        module, images, labels, radius, steps=ATTACK_STEPS, restarts=ATTACK_RESTARTS, seed=seed
    )
    certified = certified_radii(logits_of(module, images), labels, pair_bounds(module, images.shape[1:])) > radius
    return {
        "images": len(images),
        "steps": ATTACK_STEPS,
        "restarts": ATTACK_RESTARTS,
        "accuracy": float((~broken).mean()),
        "certified": float(certified.mean()),
        "certified_and_broken": int((certified & broken).sum()),
    }


def _machine() -> str:
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()
    return f"{where}, {torch.get_num_threads()} threads, Python {platform.python_version()}, torch {torch.__version__}"
