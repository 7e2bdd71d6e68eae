"""Critics, certificates, checkpoints and results of the library 0.1 (run by make_fixtures.py with the code of 0.1)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from archives import pack
from striped_images import VALIDATION, small_classes, write_mnist
from torch import nn
from wdist.checkpoint import read_checkpoint
from wdist.plain import Clip
from wdist.robustness import ClassifierConfig, RobustTraining, certified_accuracy, train_robust_classifier

from wdist import estimate_w1
from wdist.critics import BCOPConfig, Critic, CriticInput, build, freeze
from wdist.errors import Stopped

TRAIN, TEST = VALIDATION + 256, 200  # images of the classifier's data
STOP_AT = 150
ESTIMATE = {"critic": "cone", "steps": 400, "seed": 3}
ROBUST = {"config": {"net": "small", "classes": 10}, "radius": 0.1}
ROBUST |= {"training": {"steps": 40, "margin": 0.3, "batch": 32}, "images": [320, 100]}


def make(folder: Path, fixtures: Path) -> dict[str, Any]:
    """library.tar.xz, and what the tests expect of what is inside."""
    torch.set_num_threads(1)
    packed = folder / "library"
    (packed / "rows").mkdir(parents=True)
    generator = np.random.default_rng(11)
    x = generator.normal(size=(300, 3)).astype(np.float32)
    y = (1.4 * generator.normal(size=(300, 3)) + 0.3).astype(np.float32)
    images = generator.integers(0, 256, (120, 8, 8)).astype(np.uint8)
    for name, array in (("x", x), ("y", y), ("images", images)):
        np.save(packed / "rows" / f"{name}.npy", array)
    manifest = {
        "critics": _critics(packed, x, y, images),
        "certificates": _certificates(packed, x, y),
        "checkpoint": _checkpoint(packed, x, y),
        "robust": _robust(packed),
        "classifier": _classifier(folder, packed),
    }
    pack(fixtures / "library.tar.xz", packed)
    return manifest


def _critics(packed: Path, x: np.ndarray, y: np.ndarray, images: np.ndarray) -> dict[str, Any]:
    """A critic of each family, as `Critic.save` writes it, with its scores, slopes and bound."""
    found: dict[str, Any] = {}
    for family in ("affine", "sliced", "groupsort", "cone"):
        critic = estimate_w1(x, y, critic=family, steps=20, baseline_rows=0).critic
        found[family] = _described(critic, packed / "critics" / family, x)
    scaled = estimate_w1(x, y, critic="cone", steps=20, baseline_rows=0, scale="standardize").critic
    found["cone, standardized"] = _described(scaled, packed / "critics" / "cone, standardized", x)
    found["bcop"] = _described(_small_bcop(), packed / "critics" / "bcop", images)
    return found


def _small_bcop() -> Critic:
    """The estimator's own would take most of the archive."""
    takes = CriticInput((1, 8, 8), None, True, {"kind": "none", "divisor": 1.0, "center": 0.0, "data_divisor": 255.0})
    config = BCOPConfig(channels=(4, 8), kernel_size=2, width=10, depth=1)
    net = build(config, takes.row_shape, seed=3)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("bias"):
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    module = freeze(net, torch.full(takes.row_shape, 0.5), 5.0)
    return Critic(config, nn.Sequential(*module, Clip(-3.0, 3.0)), takes)


def _described(critic: Critic, directory: Path, rows: np.ndarray) -> dict[str, Any]:
    critic.save(directory)
    return {
        "family": critic.family, "lipschitz_bound": critic.lipschitz_bound, "scores": critic.evaluate(rows).tolist(),
        "slopes": critic.gradient(rows[:5]).tolist(),
    }  # fmt: skip


def _certificates(packed: Path, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Of independent rows and of rows in groups."""
    (packed / "certificates").mkdir()
    groups = (np.repeat(np.arange(150), 2), np.repeat(np.arange(500, 650), 2))
    found = {}
    for name, options in (("plain", {}), ("grouped", {"groups": groups})):
        result = estimate_w1(x, y, critic="cone", steps=60, baseline_rows=50, **options)
        digest = result.certificate.save(packed / "certificates" / name)
        found[name] = {
            "sha256": digest,
            "value": result.value,
            "lower_bound": result.lower_bound,
            "p_value": result.p_value,
        }
    return found


def _checkpoint(packed: Path, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """An estimate that was stopped half-way, and the result that 0.1 gets when it goes on."""
    path = packed / "estimate.checkpoint"
    polled = 0

    def should_stop() -> bool:
        nonlocal polled
        polled += 1
        return polled > STOP_AT

    try:
        estimate_w1(x, y, **ESTIMATE, should_stop=should_stop, checkpoint=path)
        raise AssertionError("it was not stopped")
    except Stopped:
        stopped = path.read_bytes()
    held = read_checkpoint(path)
    assert held is not None
    first: list[int] = []
    result = estimate_w1(x, y, **ESTIMATE, checkpoint=path, progress=lambda told: first.append(told.step))
    path.write_bytes(stopped)
    assert first[0] > STOP_AT / 2, first
    return {
        "options": ESTIMATE, "first_step": first[0], "result": result.to_dict(),
        "stopped_curve": held[1]["current"]["record"]["curve"],
    }  # fmt: skip


def _robust(packed: Path) -> dict[str, Any]:
    """A robust classifier whose training was stopped half-way, and what 0.1 makes of it when it goes on."""
    path = packed / "robust.checkpoint"
    sizes = ROBUST["images"]
    data = (*small_classes(sizes[0]), small_classes(sizes[1], sizes[0]))
    config, training = ClassifierConfig(**ROBUST["config"]), RobustTraining(**ROBUST["training"])
    looks: list[int] = []

    def train(should_stop: Any) -> Any:
        return train_robust_classifier(
            config, *data, training, ROBUST["radius"], checkpoint=path,
            progress=lambda step, _: looks.append(step), should_stop=should_stop,
        )  # fmt: skip

    try:
        train(lambda: looks[-1:] == [training.steps // 2])
        raise AssertionError("it was not stopped")
    except Stopped:
        stopped, before = path.read_bytes(), len(looks)
    module, record = train(None)
    path.write_bytes(stopped)
    figures = certified_accuracy(module, *data[2], ROBUST["radius"])
    return ROBUST | {
        "first_step": looks[before], "stopped_curve": record.curve[: before + 1], "value": record.value,
        "clean": figures.clean, "lipschitz_bound": figures.lipschitz_bound,
    }  # fmt: skip


def _classifier(folder: Path, packed: Path) -> dict[str, Any]:
    """A result file of `wdist reproduce robustness` and its weights."""
    data = write_mnist(folder / "images", TRAIN, TEST)
    out = folder / "results"
    command = [sys.executable, "-m", "wdist_service", "reproduce", "robustness", "mnist", "--attack-images", "0"]
    command += ["--data", str(data), "--out", str(out), "--epochs", "2.5", "--batch", "32"]
    command += ["--learning-rate", "0.05"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    (result,) = out.glob("*.json")
    for path in (result, result.with_suffix(".safetensors")):
        (packed / path.name).write_bytes(path.read_bytes())
    figures = json.loads(result.read_text())
    assert figures["test"]["clean"] > figures["test"]["certified"] > 0, figures["test"]
    return {"result": result.name, "images": [TRAIN, TEST], "test": figures["test"]}
