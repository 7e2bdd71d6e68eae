"""What runs on the simulated accelerator, each in words that the test reads; started as a process of its own.

    python scenarios.py NAME...

Prints one JSON object: for each scenario what it found, with and without the accelerator where both can be had.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import simulated_device

sys.modules["wdist.device"] = simulated_device  # before anything of the library is imported

import numpy as np  # noqa: E402
import torch  # noqa: E402
from accelerator import KIND, OnDevice, Work  # noqa: E402

import wdist.data.batches  # noqa: E402
from wdist import Monitor, Result, estimate_w1, matrix_w1, verify_certificate  # noqa: E402
from wdist.errors import Stopped  # noqa: E402
from wdist.paper.attack import attack  # noqa: E402
from wdist.paper.generator import GanOptions, GanTraining  # noqa: E402
from wdist.paper.robustness import ClassifierConfig, RobustTraining, train_robust_classifier  # noqa: E402

CPU, DEVICE = "cpu", "auto"
OWN = ("device", "seconds", "trained_seconds", "warnings")  # what may differ between two runs of one estimate


def rows(seed: int, shift: float = 0.0, n: int = 400) -> Any:
    return np.random.default_rng(seed).normal(shift, size=(n, 3)).astype(np.float32)


def images(seed: int, n: int = 120) -> Any:
    return np.random.default_rng(seed).random((n, 1, 8, 8), dtype=np.float32)


def figures(result: Result) -> dict[str, Any]:
    """All that was found, with the critic's weights."""
    told = {name: value for name, value in result.to_dict().items() if name not in OWN}
    told["weights"] = {name: tensor.tolist() for name, tensor in result.critic.module.state_dict().items()}
    told["curve"] = [point["value"] for point in result.curve]
    return told


def both(run: Callable[[str], Any]) -> dict[str, Any]:
    """The same on the accelerator and on the processor; what the accelerator had to do."""
    before = Work.operations
    found = run(DEVICE)
    operations = Work.operations - before
    expected = run(CPU)
    return {"operations": operations, "on_processor": Work.operations - before - operations, "same": found == expected}


def estimates() -> dict[str, Any]:
    def run(critic: str) -> dict[str, Any]:
        def one(device: str) -> Any:
            if critic == "bcop":
                return figures(
                    estimate_w1(images(1), 0.7 * images(2), critic=critic, steps=6, device=device, layout="nchw")
                )
            return figures(estimate_w1(rows(1), rows(2, 0.3), critic=critic, steps=12, device=device))

        return both(one)

    return {critic: run(critic) for critic in ("affine", "sliced", "groupsort", "cone", "bcop", "auto")}


def seconds() -> dict[str, Any]:
    """With a budget of seconds, steps are timed once the device has done them."""
    simulated_device.calls.clear()
    result = estimate_w1(rows(1), rows(2, 0.3), critic="groupsort", max_seconds=1.0, device=DEVICE)
    return {"device": result.device, "waited": simulated_device.calls.count("finish_work"), "steps": result.steps}


def read_ahead() -> dict[str, Any]:
    """Rows that do not stay in memory are read a batch ahead."""
    wdist.data.batches.PRELOAD_BYTES = 0
    simulated_device.calls.clear()
    try:
        found = both(
            lambda device: figures(estimate_w1(rows(1), rows(2, 0.3), critic="groupsort", steps=12, device=device))
        )
    finally:
        wdist.data.batches.PRELOAD_BYTES = 1 << 28
    return found | {"moved_ahead": simulated_device.calls.count("moved ahead")}


def lockstep() -> dict[str, Any]:
    """The pairs of a matrix train together; on an accelerator from two on."""
    sets = [rows(seed, 0.3 * seed, 200) for seed in range(3)]

    def run(device: str) -> Any:
        made = matrix_w1(sets, critic="groupsort", steps=8, device=device)
        return [[pair.value, pair.lower_bound, pair.upper_bound] for pair in made.results]

    return both(run)


def stopped() -> dict[str, Any]:
    """A stopped estimate goes on from its checkpoint, on the other device as well."""
    with tempfile.TemporaryDirectory() as folder:
        path, asked = Path(folder) / "checkpoint", iter([False] * 6 + [True])
        given = {"critic": "groupsort", "steps": 12, "checkpoint": path}
        before = Work.operations
        try:
            estimate_w1(rows(1), rows(2, 0.3), device=DEVICE, should_stop=lambda: next(asked), **given)
        except Stopped:
            is_kept = path.exists()
        else:
            is_kept = False
        operations = Work.operations - before
        found = figures(estimate_w1(rows(1), rows(2, 0.3), device=DEVICE, **given))
    whole = figures(estimate_w1(rows(1), rows(2, 0.3), critic="groupsort", steps=12, device=CPU))
    return {"is_kept": is_kept, "operations": operations, "same": found == whole}


def monitor() -> dict[str, Any]:
    def run(device: str) -> Any:
        made = Monitor(rows(0), critic="groupsort", steps=8, update_steps=4, device=device)
        updates = [made.update(rows(seed, 0.2 * seed)) for seed in (1, 2)]
        return [{k: v for k, v in each.to_dict().items() if k != "seconds"} for each in updates]

    return both(run)


def kept() -> dict[str, Any]:
    """What is kept of a result lies in the processor's memory, and is what was found."""
    result = estimate_w1(rows(1), rows(2, 0.3), critic="groupsort", steps=8, device=DEVICE)
    with tempfile.TemporaryDirectory() as folder:
        _ = result.certificate, result.witness
        result.save(Path(folder) / "r.wdist")
        loaded = Result.load(Path(folder) / "r.wdist")
        digest = result.certificate.save(Path(folder) / "r.cert")
        verified = verify_certificate(Path(folder) / "r.cert", rows(1), rows(2, 0.3), digest).valid
    scores = loaded.critic.evaluate(rows(3))
    on_device = [name for name, t in result.critic.module.state_dict().items() if isinstance(t, OnDevice)]
    return {
        "on_device": on_device,
        "same": figures(loaded) == figures(result) and bool((scores == result.critic.evaluate(rows(3))).all()),
        "verified": verified,
        "device": result.device,
    }


def robustness() -> dict[str, Any]:
    """A classifier of the paper is trained, certified and attacked."""
    labels = np.arange(120) % 3

    def run(device: str) -> Any:
        name = KIND if device == DEVICE else device
        training = RobustTraining(steps=6, margin=1.0, batch=40, device=name)
        config = ClassifierConfig(classes=3)
        net, record = train_robust_classifier(config, images(1), labels, (images(2), labels), training, 0.1)
        broken = attack(net, images(2), labels, 0.5, steps=4, restarts=1, device=name)
        weights = {key: tensor.cpu().tolist() for key, tensor in net.state_dict().items()}
        return [weights, record.value, np.asarray(broken).tolist()]

    return both(run)


def generator() -> dict[str, Any]:
    def run(device: str) -> Any:
        options = GanOptions(steps=2, batch=8, samples=10, critic_steps=2, device=KIND if device == DEVICE else device)
        with tempfile.TemporaryDirectory() as folder:
            first = GanTraining(options, images(1))
            first.step()
            first.save(Path(folder) / "c")
            training = GanTraining(options, images(1))
            training.load(Path(folder) / "c")
        training.step()
        return training.draw(10, 0).tolist()

    return both(run)


def mixed() -> dict[str, Any]:
    """What a real accelerator refuses is refused: the other scenarios would fail of it."""
    here, there = torch.ones(3), torch.ones(3).to(KIND)
    told = {}
    for name, wrong in {
        "sum": lambda: here + there,
        "product": lambda: torch.ones(3, 3) @ there,
        "index": lambda: there[torch.tensor([0])],
        "in place": lambda: there.add_(here),
        "numpy": lambda: there.numpy(),
        "concatenation": lambda: torch.cat([here, there]),
    }.items():
        try:
            wrong()
        except (RuntimeError, TypeError) as error:
            told[name] = type(error).__name__
    # A mistake in the library: rows that nobody moves to the device.
    moved, simulated_device.moved = wdist.data.batches.moved, lambda rows, device, *, is_ahead: rows
    wdist.data.batches.moved = simulated_device.moved
    try:
        estimate_w1(rows(1), rows(2, 0.3), critic="groupsort", steps=2, device=DEVICE)
        told["rows left behind"] = ""
    except RuntimeError as error:
        told["rows left behind"] = str(error)
    finally:
        wdist.data.batches.moved = moved
    return told


SCENARIOS = {
    each.__name__: each
    for each in (estimates, seconds, read_ahead, lockstep, stopped, monitor, kept, robustness, generator, mixed)
}

if __name__ == "__main__":
    json.dump({name: SCENARIOS[name]() for name in sys.argv[1:] or SCENARIOS}, sys.stdout)
