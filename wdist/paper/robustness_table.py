"""The paper's experiments as commands: each writes one result file with its configuration, seed, machine and time."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from wdist.device import chosen_device
from wdist.errors import OptionError, SampleError
from wdist.files.durable import replace_file
from wdist.paper.attack import attack
from wdist.paper.datasets import load_images, unpublished_files
from wdist.paper.result_files import make_folder, provenance, write_figures
from wdist.paper.robustness import (
    ClassifierConfig,
    Labels,
    RobustTraining,
    Rows,
    build_classifier,
    certified_accuracy,
    certified_radii,
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
        if not 0 < self.epochs < math.inf or self.batch < 1 or min(self.attack_images, self.attack_certified or 0) < 0:
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
    options = replace(options, device=str(chosen_device(options.device)))
    setting = SETTINGS[dataset]
    images, labels = images_of(dataset, data, test=False)
    order = np.random.default_rng([options.seed, 11]).permutation(len(images))
    held, rest = order[:VALIDATION_IMAGES], order[VALIDATION_IMAGES:]
    recipe = options.recipe(setting, len(rest))
    make_folder(out)
    named = [options.loss] if options.loss != "hinge" else []
    path = out / "-".join([dataset, config.net, config.layers, config.activation, *named, str(options.seed)])

    def told(step: int, value: float) -> None:
        if progress is not None:
            progress(step, recipe.steps, value)

    checkpoint = path.with_suffix(".checkpoint")
    _refuse_to_replace(path.with_suffix(".json"), recipe, checkpoint)
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
        "steps_done": record.step,
        "schedules": record.schedules,
        "warnings": record.warnings,
        "unpublished_files": unpublished_files(dataset, data),
        "validation": {"images": len(held), "certified": record.value, "curve": record.curve},
        "test": asdict(certified_accuracy(module, *test, setting.radius)),
        "attack": None,
        "training_seconds": record.curve[-1]["seconds"],
        **provenance(options.device),
    }
    weights = {key: value.contiguous().cpu() for key, value in module.state_dict().items()}
    replace_file(path.with_suffix(".safetensors"), save(weights))
    write_figures(path.with_suffix(".json"), figures)
    if options.attack_images > 0:
        figures["attack"] = _attacked(module, *test, setting.radius, options, attack_progress)
        write_figures(path.with_suffix(".json"), figures)
        checkpoint.unlink(missing_ok=True)
    return figures


def _refuse_to_replace(path: Path, recipe: RobustTraining, checkpoint: Path) -> None:
    """Refuse to overwrite the result of another training, unless this run continues it. Raises OptionError."""
    if not path.exists():
        return
    _, _, stored = read_result(path)
    fields = asdict(recipe)
    others = [name for name, value in asdict(stored).items() if name != "device" and fields[name] != value]
    if others and (others != ["steps"] or not checkpoint.exists()):
        told = ", ".join(f"{name} {getattr(stored, name)} there, {fields[name]} now" for name in others)
        raise OptionError(f"{path} is the result of another training ({told}): name another folder")


def read_result(path: Path) -> tuple[dict[str, Any], ClassifierConfig, RobustTraining]:
    """A result file of `robustness`, with the net and its training. Raises SampleError for any other."""
    try:
        figures = json.loads(path.read_text())
        if figures["dataset"] not in SETTINGS or not {"clean", "certified"} <= figures["test"].keys():
            raise KeyError("dataset, test")
        return figures, ClassifierConfig(**figures["config"]), RobustTraining(**figures["training"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or "its content is another"
        raise SampleError(f"{path} is not a result file of `wdist reproduce robustness`: {reason}") from error


def check_classifier(
    result: Path,
    data: Path,
    options: RobustnessOptions,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Certify the classifier of a result file again, from the weights beside it, and attack what is certified.

    Nothing is trained, and no file is written. Returns `test` and `attack` as a result file holds them (`attack` is
    None if nothing was attacked), code, machine and date. `confirmed` says whether the image counts are those of the
    file, the Lipschitz bound agrees up to 1e-7 (versions and LAPACKs round differently), and no certified image broke.
    Only the options of the attack matter. progress: called with (images attacked, broken so far).

    Raises:
        SampleError: the published files, the result file or its weights are missing or damaged. OptionError: no such
        device.
    """
    options = replace(options, device=str(chosen_device(options.device)))
    figures, config, _ = read_result(result)
    radius = SETTINGS[figures["dataset"]].radius
    weights = result.with_suffix(".safetensors")
    images, labels = images_of(figures["dataset"], data, test=True)
    shape: Any = images.shape[1:]
    module = build_classifier(config, shape)
    try:
        module.load_state_dict(load_file(weights))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise SampleError(f"{weights} does not hold the weights of {result}: {error}") from error
    module.eval()
    test = asdict(certified_accuracy(module, images, labels, radius))
    found = _attacked(module, images, labels, radius, options, progress) if options.attack_images > 0 else None
    claimed = dict(figures["test"])
    bound, claimed_bound = test["lipschitz_bound"], claimed.pop("lipschitz_bound")
    same = claimed.items() <= test.items() and math.isclose(bound, claimed_bound, rel_tol=1e-7)
    broken = found is not None and found["certified_and_broken"] > 0
    return {"test": test, "attack": found, "confirmed": same and not broken} | provenance(options.device)


def _attacked(
    module: torch.nn.Sequential,
    images: Rows,
    labels: Labels,
    radius: float,
    options: RobustnessOptions,
    progress: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    """Accuracy on the first images under projected gradient ascent, and how many certified images it broke.

    Certified images are attacked wherever they are in the set, up to a limit; none of them can be broken.
    """
    certified = certified_radii(module, images, labels) > radius
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
        "seed": options.seed,
        "images": len(broken[:first]),
        "accuracy": float((~broken[:first]).mean()),
        "certified": float(certified[:first].mean()),
        "certified_images": int((certified & attacked).sum()),
        "certified_and_broken": int((certified & broken).sum()),
        "seconds": time.perf_counter() - began,
    }
