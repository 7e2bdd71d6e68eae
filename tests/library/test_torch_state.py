"""A caller's torch state neither changes a result nor is changed, to the bit."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from idx_files import idx
from torch import nn

import wdist
from wdist.critics.critic import Critic, load_critic
from wdist.critics.registry import FAMILIES
from wdist.nn.layers import MaxMin, OrthogonalLinear
from wdist.paper import w1_table
from wdist.paper.attack import attack
from wdist.paper.generator import GanOptions, train_generator
from wdist.paper.robustness import ClassifierConfig, RobustTraining, logits_of, train_robust_classifier
from wdist.paper.robustness_table import images_of

SEED, STEPS = 3, 3


@contextmanager
def default_dtype() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def seeded() -> Iterator[None]:
    torch.manual_seed(11)
    np.random.seed(11)
    random.seed(11)
    yield


STATES: dict[str, Callable[[], Any]] = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "default dtype float64": default_dtype,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "default device meta": lambda: torch.device("meta"),
    "two threads": two_threads,
    "seeded generators": seeded,
    "deterministic algorithms": deterministic,
}


def state() -> dict[str, Any]:
    """Everything of torch, numpy and random that a caller may have set."""
    return {
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "torch": torch.get_rng_state().tolist(),
        "numpy": [np.asarray(part).tolist() for part in np.random.get_state()],
        "random": random.getstate(),
    }


def rows_of(family: str) -> tuple[Any, Any]:
    generator = np.random.default_rng(0)
    shape = (1, 8, 8) if FAMILIES[family].needs_images else (3,)
    x, y = generator.normal(size=(2, 240, *shape)).astype(np.float32)
    return x, y + np.float32(0.5)


def estimated(family: str) -> wdist.Result:
    x, y = rows_of(family)
    return wdist.estimate_w1(
        x, y, critic=family, steps=STEPS, seed=SEED, layout="nchw" if x.ndim == 4 else None, baseline_rows=20
    )


def figures(result: wdist.Result) -> dict[str, Any]:
    """All figures but the times, and the weights of the critic."""
    weights = {name: tensor.tolist() for name, tensor in result.critic.module.state_dict().items()}
    found = {k: v for k, v in result.to_dict().items() if k not in ("seconds", "curve")}
    return found | {"weights": weights}


def scored(critic: Critic, family: str) -> tuple[Any, ...]:
    x, _ = rows_of(family)
    return critic.evaluate(x).tolist(), critic.gradient(x).tolist(), critic.lipschitz_bound


def used(family: str, folder: Path) -> tuple[Any, ...]:
    """What all uses of a family give: an estimate, its critic's scores, and those of the critic that was stored."""
    result = estimated(family)
    result.critic.save(folder)
    return figures(result), scored(result.critic, family), scored(load_critic(folder), family)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, ...]]:
    """What a caller who has set nothing gets from each family."""
    return {family: used(family, tmp_path_factory.mktemp("plain")) for family in FAMILIES}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", STATES)
def test_the_callers_state_is_neither_used_nor_changed(
    name: str, family: str, plain: dict[str, tuple[Any, ...]], tmp_path: Path
) -> None:
    with STATES[name]():
        before = state()
        found = used(family, tmp_path)
        assert state() == before
    assert found == plain[family]


@pytest.mark.parametrize("family", FAMILIES)
def test_four_threads_at_once_get_what_one_gets(family: str, plain: dict[str, tuple[Any, ...]], tmp_path: Path) -> None:
    folders = [tmp_path / str(k) for k in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert all(found == plain[family] for found in pool.map(lambda folder: used(family, folder), folders))


def test_a_critic_that_was_trained_in_inference_mode_is_used_outside_of_it() -> None:
    with torch.inference_mode():
        result = estimated("groupsort")
        scored(result.critic, "groupsort")
    assert not any(p.is_inference() for p in result.critic.module.parameters())
    rows = torch.zeros(2, 3, requires_grad=True)
    result.critic.module(rows).sum().backward()
    assert rows.grad is not None


FORKED = """
import os, signal, sys
import numpy as np, torch, wdist

torch.set_num_threads(2)
x, y = np.random.default_rng(0).normal(size=(2, 300, 3))

def value():
    return wdist.estimate_w1(x, y + 0.5, critic="groupsort", steps=2, seed=3, baseline_rows=0).value

expected, child = value(), os.fork()
if child == 0:
    signal.alarm(60)  # ends a process that hangs
    os._exit(0 if (value(), torch.get_num_threads()) == (expected, 2) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_process_gets_the_same_result() -> None:
    subprocess.run([sys.executable, "-c", FORKED], check=True)


def test_an_error_leaves_the_callers_state() -> None:
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        before = state()
        with pytest.raises(wdist.OptionError):
            wdist.estimate_w1(*rows_of("affine"), critic="bcop")
        assert state() == before


def test_layers_compute_in_float32_whatever_the_default_dtype() -> None:
    with default_dtype():
        net = nn.Sequential(OrthogonalLinear(3, 4), MaxMin())
        assert net(torch.zeros(2, 3, dtype=torch.float32)).dtype == torch.float32


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files of MNIST's form."""
    folder = tmp_path_factory.mktemp("published")
    (folder / "mnist").mkdir()
    generator = np.random.default_rng(0)
    for part, n in (("train", 200), ("t10k", 60)):
        images, labels = generator.integers(0, 256, (n, 28, 28), np.uint8), generator.integers(0, 3, n, np.uint8)
        (folder / "mnist" / f"{part}-images-idx3-ubyte.gz").write_bytes(idx(images))
        (folder / "mnist" / f"{part}-labels-idx1-ubyte.gz").write_bytes(idx(labels))
    return folder


def experiments(data: Path, out: Path) -> list[Any]:
    """What small runs of the experiments give: weights, an attack, generated images, and their table."""
    images, labels = images_of("mnist", data, test=True)
    shown, held = (images[:40], labels[:40]), (images[40:], labels[40:])
    recipe = RobustTraining(steps=2, margin=1.0, batch=8)
    net, record = train_robust_classifier(ClassifierConfig(classes=3), *shown, held, recipe, 0.5)
    found: list[Any] = [record.value, *(p.tolist() for p in net.parameters())]
    found += [logits_of(net, images).tolist(), attack(net, *held, 0.5, steps=2, restarts=2).tolist()]
    train_generator("mnist", data, out, GanOptions(steps=1, batch=4, critic_steps=1, samples=200))
    generated = out / "generated-mnist-small-0.npy"
    options = w1_table.TableOptions(steps=2, batch=16, seeds=1)
    figures = w1_table.w1_table("mnist", generated, data, out, options, cells=["svcm-relu"])["table"]["svcm-relu"]
    return [*found, np.load(generated).tolist(), figures["value"], figures["lower_bound"]]


@pytest.fixture(scope="module")
def plain_experiments(published: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return experiments(published, tmp_path_factory.mktemp("plain"))


# With more threads, torch sums the large nets of the experiments in another order; their results name the number.
@pytest.mark.parametrize("name", sorted(STATES.keys() - {"two threads"}))
def test_experiments_neither_use_nor_change_the_callers_state(
    name: str, plain_experiments: list[Any], published: Path, tmp_path: Path
) -> None:
    with STATES[name]():
        before = state()
        found = experiments(published, tmp_path)
        assert state() == before
    assert found == plain_experiments
