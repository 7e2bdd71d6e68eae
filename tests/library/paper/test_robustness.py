"""Robust classifiers: proven radii are never broken, training resumes, the attack finds what is not robust."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from wdist.errors import OptionError, SampleError, Stopped
from wdist.paper.attack import attack
from wdist.paper.robustness import (
    ClassifierConfig,
    RobustTraining,
    build_classifier,
    certified_accuracy,
    certified_radii,
    logits_of,
    margin_loss,
    pair_bounds,
    soft_margin_loss,
    train_robust_classifier,
)


def quadrants(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """8 x 8 images with one bright quadrant under noise; the label is its number."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 4, n)
    images = generator.uniform(0, 0.3, (n, 1, 8, 8)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        image[0, 4 * (label // 2) :, 4 * (label % 2) :][:4, :4] += 0.35
    return images, labels


TRAIN, VALIDATION, TEST = quadrants(600, 0), quadrants(200, 1), quadrants(200, 2)
RADIUS = 0.5
RECIPE = RobustTraining(steps=120, margin=1.0, learning_rate=0.05, batch=64)


SLOW = [pytest.param(layers, marks=pytest.mark.slow) for layers in ("ossn", "svcm")]  # projections: 7 and 10 s


@pytest.mark.parametrize("layers", ["bcop", "rko", *SLOW])
def test_no_certified_image_is_broken(layers: str) -> None:
    config = ClassifierConfig("small", layers, classes=4)
    module, record = train_robust_classifier(config, *TRAIN, VALIDATION, RECIPE, RADIUS)
    found = certified_accuracy(module, *TEST, RADIUS)
    assert found.clean > 0.95
    assert found.certified > 0.3  # of 16 pixels moved by 0.35: the classes are 2 x 1.4 / sqrt(2) apart
    assert found.lipschitz_bound <= 1 + 1e-5
    assert record.value > 0.3
    radii = certified_radii(module, *TEST)
    told: list[tuple[int, int]] = []
    broken = attack(module, *TEST, RADIUS, steps=20, restarts=2, progress=lambda *now: told.append(now))
    assert told == [(200, broken.sum())]
    assert not np.any(broken & (radii > RADIUS))
    # and the attack is not a blunt one: at three times the median radius it breaks most
    assert attack(module, *TEST, 3 * float(np.median(radii)), steps=20, restarts=1).mean() > 0.5


def test_pair_bounds_hold_between_any_two_images() -> None:
    module = build_classifier(ClassifierConfig("small", "rko", "relu", classes=5), (3, 8, 8), seed=3)
    bounds = pair_bounds(module, (3, 8, 8))
    assert bounds.max() <= np.sqrt(2) * (1 + 1e-5)  # orthonormal rows behind features of norm 1
    generator = np.random.default_rng(0)
    a = generator.normal(size=(100, 3, 8, 8)).astype(np.float32)
    b = a + 0.1 * generator.normal(size=a.shape).astype(np.float32)
    change = logits_of(module, a) - logits_of(module, b)
    moved = np.linalg.norm((a - b).reshape(100, -1).astype(np.float64), axis=1)
    differences = np.abs(change[:, :, None] - change[:, None, :]) / moved[:, None, None]
    assert np.all(differences <= bounds + 1e-12)


def linear_net(weight: list[list[float]], *biases: list[float]) -> nn.Sequential:
    """Images (1, 1, 1) of one pixel: a dense layer with these weights, then identities with the other biases."""
    layers = [nn.Linear(1, len(weight)), *(nn.Linear(len(weight), len(weight)) for _ in biases[1:])]
    net = nn.Sequential(nn.Flatten(), *layers).double()
    with torch.no_grad():
        layers[0].weight.copy_(torch.tensor(weight))
        for layer, bias in zip(layers, biases, strict=True):
            layer.bias.copy_(torch.tensor(bias))
        for layer in layers[1:]:
            layer.weight.copy_(torch.eye(len(weight)))
    return net


def pixels(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32).reshape(-1, 1, 1, 1)


def test_radii_of_a_linear_net_are_distances_to_its_boundaries() -> None:
    """Two classes, z = (x, -x): the boundary is at 0 and z_0 - z_1 has slope 2."""
    net = linear_net([[1.0], [-1.0]], [0.0, 0.0])
    radii = certified_radii(net, pixels(3.0, -1.0), np.array([0, 0]))
    assert radii == pytest.approx([3.0, -1.0], rel=1e-13)
    assert radii[0] < 3
    same = linear_net([[1.0], [1.0]], [1.0, 0.0])  # the margin is constant, so that the radius is the limit
    assert certified_radii(same, pixels(3.0), np.array([0])).tolist() == [1e6]


def test_a_staircase_certifies_nothing() -> None:
    """On paper z = (x, .1); in float64, biases of 2^53 leave even numbers of x, and .002 changes the class."""
    net = linear_net([[1.0], [0.0]], [0.0, 0.1], [2.0**53, 0.0], [-(2.0**53), 0.0])
    with torch.no_grad():
        flat, up = net(torch.from_numpy(pixels(0.999, 1.001)).double())
    assert flat[0] < flat[1]
    assert up[0] > up[1]
    images, labels = pixels(1.001), np.array([0])
    exact = (1.001 - 0.1) / pair_bounds(net, (1, 1, 1))[0, 1]
    assert exact > 0.6  # which the Lipschitz bound alone would certify
    assert certified_radii(net, images, labels)[0] < 0
    found = certified_accuracy(net, images, labels, 0.0)
    assert (found.clean, found.certified) == (0, 0)
    without = linear_net([[1.0], [0.0]], [0.0, 0.1])
    assert certified_radii(without, images, labels)[0] == pytest.approx(1.001 - 0.1, rel=1e-6)


def test_rounding_anywhere_within_the_radius_counts() -> None:
    """Exact at the image, which is 0; at 1 and beyond a large slope makes logits that rounding moves."""
    net = linear_net([[2.0**60], [2.0**60]], [0.25, 0.0])
    assert net(torch.zeros(1, 1, 1, 1, dtype=torch.float64))[0].tolist() == [0.25, 0.0]
    assert certified_radii(net, pixels(0.0), np.array([0]))[0] < 1e-3


def test_rounding_costs_an_honest_net_nothing() -> None:
    module, _ = train_robust_classifier(ClassifierConfig("small", classes=4), *TRAIN, VALIDATION, RECIPE, RADIUS)
    logits, bounds = logits_of(module, TEST[0]), pair_bounds(module, (1, 8, 8))
    margins = logits[np.arange(200), TEST[1]][:, None] - logits
    with np.errstate(divide="ignore", invalid="ignore"):
        exact = margins / bounds[TEST[1]]
    exact[np.arange(200), TEST[1]] = np.inf
    lost = exact.min(axis=1) - certified_radii(module, *TEST)
    assert np.all((lost > 0) & (lost < 1e-11))


@pytest.mark.parametrize(
    ("net", "shape"), [("small", (1, 28, 28)), ("large", (3, 32, 32)), ("fc3", (1, 28, 28)), ("deep", (1, 28, 28))]
)
def test_nets_are_proven(net: str, shape: tuple[int, int, int]) -> None:
    module = build_classifier(ClassifierConfig(net), shape)
    assert module(torch.zeros(2, *shape)).shape == (2, 10)
    assert pair_bounds(module, shape).max() <= np.sqrt(2) * (1 + 1e-5)


def test_an_interrupted_training_ends_as_a_whole_one(tmp_path: Path) -> None:
    config, recipe = ClassifierConfig("small", classes=4), RobustTraining(steps=30, margin=1.0, batch=64, augment=True)
    whole, _ = train_robust_classifier(config, *TRAIN, VALIDATION, recipe, RADIUS)
    left = iter([False] * 17 + [True] * 5)
    file = tmp_path / "robust.checkpoint"
    with pytest.raises(Stopped):
        train_robust_classifier(
            config, *TRAIN, VALIDATION, recipe, RADIUS, checkpoint=file, should_stop=lambda: next(left)
        )
    resumed, record = train_robust_classifier(config, *TRAIN, VALIDATION, recipe, RADIUS, checkpoint=file)
    assert record.step == 30
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)
    assert record.schedules == [30]
    longer = replace(recipe, steps=33)
    record = train_robust_classifier(config, *TRAIN, VALIDATION, longer, RADIUS, checkpoint=file)[1]
    assert (record.step, record.schedules) == (33, [30, 33])
    with pytest.raises(OptionError, match="has 33 steps behind it, more than 30"):
        train_robust_classifier(config, *TRAIN, VALIDATION, recipe, RADIUS, checkpoint=file)
    with pytest.raises(OptionError, match="a checkpoint of other options"):
        train_robust_classifier(config, *TRAIN, VALIDATION, replace(recipe, margin=2.0), RADIUS, checkpoint=file)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(OptionError, match="is damaged or of another version: remove it to begin again"):
        train_robust_classifier(config, *TRAIN, VALIDATION, longer, RADIUS, checkpoint=file)


def test_the_soft_margin_is_the_hinge_of_the_nearest_wrong_class_up_to_its_temperature() -> None:
    logits, labels = torch.randn(200, 10, generator=torch.Generator().manual_seed(0)), torch.arange(200) % 10
    own = logits.gather(1, labels[:, None])
    nearest = (own - logits.scatter(1, labels[:, None], -torch.inf).amax(1, keepdim=True))[:, 0]
    hinge = (1.5 - nearest).clamp_min(0).mean()
    for temperature in (1.0, 0.1, 0.01):
        excess = soft_margin_loss(logits, labels, 1.5, temperature) - hinge
        assert -1e-6 <= excess <= temperature * np.log(10)  # log of a sum of 10 terms of at most 1, one of which is 1
    two = soft_margin_loss(logits[:, :2], labels % 2, 1.5, 1e-3)  # one wrong class: both hinges are the same
    assert two == pytest.approx(2 * margin_loss(logits[:, :2], labels % 2, 1.5).item(), abs=1e-3)


def test_another_loss_reaches_the_same_places() -> None:
    config, recipe = ClassifierConfig("small", classes=4), replace(RECIPE, loss="cross-entropy")
    module, _ = train_robust_classifier(config, *TRAIN, VALIDATION, recipe, RADIUS)
    found = certified_accuracy(module, *TEST, RADIUS)
    assert found.clean > 0.95
    assert found.certified > 0.3


def test_bad_input_is_named() -> None:
    with pytest.raises(OptionError, match="layers 'conv' is unknown; choose one of bcop"):
        ClassifierConfig(layers="conv")
    with pytest.raises(OptionError, match="loss 'square' is unknown; choose one of hinge, cross-entropy"):
        replace(RECIPE, loss="square")
    with pytest.raises(OptionError, match="steps and batch must be at least 1"):
        replace(RECIPE, steps=0)
    with pytest.raises(OptionError, match="not divisible by 4"):
        build_classifier(ClassifierConfig("small"), (1, 10, 10))
    module = build_classifier(ClassifierConfig("small", classes=4), (1, 8, 8))
    with pytest.raises(SampleError, match=r"need images \(n, c, h, w\)"):
        certified_accuracy(module, TEST[0][:, 0], TEST[1], RADIUS)
    with pytest.raises(SampleError, match="not finite"):
        certified_accuracy(module, np.full((2, 1, 8, 8), np.nan, dtype=np.float32), np.array([0, 1]), RADIUS)
    for labels, message in (([-1, 0], "integers, the classes from 0"), ([0.0, 1.0], "integers"), ([0, 7], "label 7")):
        with pytest.raises(SampleError, match=message):
            certified_accuracy(module, TEST[0][:2], np.array(labels), RADIUS)
    with pytest.raises(SampleError, match="label 3 is none of the classes 0 to 2"):
        train_robust_classifier(ClassifierConfig(classes=3), *TRAIN, VALIDATION, RECIPE, RADIUS)
    with pytest.raises(SampleError, match=r"outside \[0, 1\]"):
        attack(module, TEST[0] - 0.5, TEST[1], RADIUS)
    with pytest.raises(OptionError, match="must be finite"):
        replace(RECIPE, margin=np.nan)


def test_an_image_counts_as_broken_only_in_float64() -> None:
    """Both classes score the same up to float32: the attack sees ties everywhere, of which none is one in float64."""
    module = build_classifier(ClassifierConfig("small", classes=2), (1, 8, 8))
    with torch.no_grad():
        module[-1].weight[:] = 50 * module[-1].weight[0]
        module[-1].bias.copy_(torch.tensor([1.0, 1.0 - 2**-24]))
    labels = np.zeros(20, dtype=np.int64)
    assert not attack(module, TEST[0][:20], labels, RADIUS, steps=2, restarts=1).any()
    assert attack(module, TEST[0][:20], labels + 1, RADIUS, steps=2, restarts=1).all()
