"""Held-out value against time on MNIST digits and WGAN-GP digits: this optimiser beside four others, same net, same
data.

    OMP_NUM_THREADS=2 python benchmarks/value_per_second.py [--seconds 15] [--methods manifold,bjorck,...]

GroupSort 256 x 5, 12,000 training and 8,000 held-out rows a side, batch 256 + 256. Each method gets the number of steps
that fit into the time (measured first) with warm-up over 5 % and a cosine to 0. geotorch is compared where it is
installed.
"""

import argparse
import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from nets import data_folder, machine
from torch import Tensor, nn

from wdist.nn.layers import BjorckLinear, MaxMin, OrthogonalLinear
from wdist.nn.lipschitz import lipschitz_bound
from wdist.nn.orthogonal import newton_schulz, tangent
from wdist.stiefel.optimizer import StiefelOptimizer, manifold_parameters, parameter_groups, polish

WIDTH, DEPTH, BATCH = 256, 5, 256


@dataclass
class Data:
    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


def mnist(seed: int) -> Data:
    """Digits (x) and WGAN-GP digits (y), pixels in [0, 1]."""
    import load

    rng = np.random.default_rng(seed)
    sets = []
    for images in (load.mnist()[0], load.mnist_generated()):
        chosen = images[rng.permutation(len(images))[:20000]].reshape(20000, -1)
        sets.append(torch.from_numpy(chosen.astype(np.float32) / 255))
    return Data((sets[0][:12000], sets[1][:12000]), (sets[0][12000:], sets[1][12000:]))


def net(dense: Callable[..., nn.Module], seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    features = 784
    for _ in range(DEPTH):
        layers += [dense(features, WIDTH), MaxMin()]
        features = WIDTH
    return nn.Sequential(*layers, dense(features, 1, bias=False))


class TangentSteps(torch.optim.Optimizer):
    """Momentum, tangent projection, a step normalised by the gradient's norm, polar retraction: no orthogonalised
    direction."""

    landing = False

    def __init__(self, params: list[nn.Parameter], lr: float) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                momentum.mul_(0.9).add_(p.grad)
                direction = tangent(p, momentum)
                direction *= min(p.shape) ** 0.5 / direction.norm().clamp_min(1e-12)
                if self.landing:
                    error = p @ p.mT - torch.eye(p.shape[0])
                    p.sub_(group["lr"] * direction + 0.5 * error @ p)
                else:
                    p.copy_(newton_schulz(p - group["lr"] * direction, 2))


class Landing(TangentSteps):
    """The same without a retraction: W <- W - lr D - (W W^T - I) W / 2. Source: Ablin and Peyré (2022)."""

    landing = True


class Together:
    """A manifold optimiser and Adam for the biases as one."""

    def __init__(self, module: nn.Module, kind: type[TangentSteps], lr: float) -> None:
        groups = {group["manifold"]: group["params"] for group in parameter_groups(module)}
        self.parts = [kind(groups["stiefel"], lr), torch.optim.Adam(groups["euclidean"], 1e-2)]
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    def zero_grad(self) -> None:
        for part in self.parts:
            part.zero_grad()

    def step(self) -> None:
        for part in self.parts:
            part.step()


def geotorch_net(seed: int) -> nn.Sequential:
    import geotorch

    model = net(nn.Linear, seed)
    for layer in model:
        if isinstance(layer, nn.Linear):
            geotorch.orthogonal(layer, "weight")
    return model


# Rates: the best of 0.002, 0.005, 0.01 (Adam) and of 0.025, 0.05, 0.1 (the last two), after 15 s on another seed.
METHODS: dict[str, tuple[Callable[[int], nn.Sequential], Callable[[nn.Module], object]]] = {
    "manifold": (
        lambda s: net(OrthogonalLinear, s),
        lambda m: StiefelOptimizer(parameter_groups(m, lr=0.08, euclidean_lr=1e-2)),
    ),
    "bjorck": (lambda s: net(BjorckLinear, s), lambda m: torch.optim.Adam(m.parameters(), 1e-2)),
    "geotorch": (geotorch_net, lambda m: torch.optim.Adam(m.parameters(), 1e-2)),
    "tangent": (lambda s: net(OrthogonalLinear, s), lambda m: Together(m, TangentSteps, 0.025)),
    "landing": (lambda s: net(OrthogonalLinear, s), lambda m: Together(m, Landing, 0.025)),
}


def train(
    method: str, data: Data, steps: int, seed: int, looks: int = 10
) -> tuple[nn.Module, list[tuple[float, float]]]:
    """The trained net and (seconds of training, held-out value) at each evaluation, excluding evaluation time."""
    build, optimise = METHODS[method]
    model = build(seed)
    optimizer = optimise(model)
    base = [group["lr"] for group in optimizer.param_groups]
    generator = torch.Generator().manual_seed(seed)
    warm, per_epoch = max(1, round(0.05 * steps)), len(data.train[0]) // BATCH
    curve, seconds = [], 0.0
    for step in range(steps):
        started = time.perf_counter()
        factor = (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))
        for group, lr in zip(optimizer.param_groups, base, strict=True):
            group["lr"] = lr * factor
        if step % per_epoch == 0:
            orders = [torch.randperm(len(side), generator=generator) for side in data.train]
        at = step % per_epoch * BATCH
        rows = torch.cat([side[order[at : at + BATCH]] for side, order in zip(data.train, orders, strict=True)])
        optimizer.zero_grad()
        scores = model(rows)
        (scores[:BATCH].mean() - scores[BATCH:].mean()).backward()
        optimizer.step()
        seconds += time.perf_counter() - started
        if (step + 1) % max(1, steps // looks) == 0:
            curve.append((seconds, held_out(model, data)))
    return model, curve


@torch.no_grad()
def held_out(model: nn.Module, data: Data) -> float:
    x, y = data.test
    return float(model(y).mean() - model(x).mean())


def proven_value(model: nn.Module, data: Data, method: str) -> tuple[float, float]:
    """(held-out value / L in float64, L) after the last polish; geotorch's parametrisation is read out first."""
    if method == "geotorch":
        plain = net(nn.Linear, 0)
        with torch.no_grad():
            for layer, source in zip(plain, model, strict=True):
                if isinstance(layer, nn.Linear):
                    layer.weight.copy_(source.weight)
                    if layer.bias is not None:
                        layer.bias.copy_(source.bias)
        model = plain
    model = copy.deepcopy(polish(model) if manifold_parameters(model) else model)
    L = lipschitz_bound(model, (784,))
    double = Data(data.train, tuple(side.double() for side in data.test))
    return held_out(model.double(), double) / L, L


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--methods", default=",".join(METHODS))
    options = parser.parse_args()
    if data_folder() is None:
        raise SystemExit("set WDIST_BENCH_DATA to the folder that holds load.py and the MNIST files")
    print(machine())
    for method in options.methods.split(","):
        for seed in range(options.seeds):
            data = mnist(seed)
            try:
                _, timing = train(method, data, 30, seed, looks=3)
            except ModuleNotFoundError as missing:
                print(f"{method}: {missing.name} is not installed")
                break
            per_step = (timing[-1][0] - timing[0][0]) / 20
            steps = options.steps or int(options.seconds / per_step)
            model, curve = train(method, data, steps, seed)
            value, L = proven_value(model, data, method)
            line = "  ".join(f"{seconds:.1f} s {look:.3f}" for seconds, look in curve)
            print(
                f"{method} seed {seed}: {steps} steps, {value:.3f} (L = {L:.7f}) in {curve[-1][0]:.1f} s | {line}",
                flush=True,
            )


if __name__ == "__main__":
    main()
