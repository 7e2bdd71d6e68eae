"""How far trained layers are from orthogonal, after the final polish: kernels of 1 to 7, up to 256 channels.

    python benchmarks/orthogonality.py [--steps 30] [--kernels 1 2 3]

Each layer is trained alone to imitate random targets on a torus of 8 x 8, then polished; its singular values are those
of the whole layer, in float64, from the weights as stored. max |sigma - 1| for BCOP and dense layers, max sigma - 1 for
RKO, OSSN and SVCM, which may only shrink.
"""

import argparse
import copy
from collections.abc import Callable

import torch
from nets import machine
from torch import nn

from wdist.nn.convolutions import BCOP, OSSN, RKO, SVCM, LipschitzConvolution
from wdist.nn.layers import OrthogonalLinear
from wdist.nn.lipschitz import singular_values
from wdist.stiefel.optimizer import StiefelOptimizer, parameter_groups, polish

GRID = 8
KERNELS = [1, 2, 3, 4, 5, 6, 7]
CHANNELS = ((1, 1), (3, 16), (16, 3), (32, 32), (64, 128), (256, 256))
DENSE = ((10, 10), (128, 784), (784, 128), (256, 256), (512, 4096))


def train(layer: nn.Module, x: torch.Tensor, steps: int) -> nn.Module:
    """A few steps at the largest rate that estimates use, against fixed random targets."""
    with torch.no_grad():
        target = torch.randn_like(layer(x))
    optimizer = StiefelOptimizer(parameter_groups(layer, lr=0.1, euclidean_lr=1e-2))
    for step in range(steps):
        optimizer.zero_grad()
        (layer(x) - target).square().mean().backward()
        optimizer.step()
        if isinstance(layer, SVCM) and step % 10 == 0:
            layer.project()
    return layer


def deviations(layer: nn.Module, values: Callable[[nn.Module], torch.Tensor]) -> tuple[float, float]:
    """(max |sigma - 1|, max sigma - 1) of the polished layer."""
    sigma = values(polish(layer))
    return float((sigma - 1).abs().max()), float(sigma.max() - 1)


def convolution_values(layer: nn.Module) -> torch.Tensor:
    assert isinstance(layer, LipschitzConvolution)
    return singular_values(layer, (GRID, GRID))


def dense_values(layer: nn.Module) -> torch.Tensor:
    assert isinstance(layer, OrthogonalLinear)
    return torch.linalg.svdvals(layer.weight.detach().double())


def convolutions(steps: int, kernels: list[int]) -> None:
    print("| kernel | BCOP float32 | BCOP float64 | RKO | OSSN | SVCM |\n" + "| --- " * 6 + "|")
    for kernel in kernels:
        worst = [0.0] + 4 * [-1.0]
        for inner, outer in CHANNELS:
            torch.manual_seed(kernel)
            x = torch.randn(4, inner, GRID, GRID)
            bcop = train(BCOP(inner, outer, kernel), x, steps)
            double = copy.deepcopy(bcop).double()
            worst[0] = max(worst[0], deviations(bcop, convolution_values)[0])
            worst[1] = max(worst[1], deviations(double, convolution_values)[0])
            others = [RKO(inner, outer, kernel)]
            others += [kind(inner, outer, kernel, grid=(GRID, GRID)) for kind in (OSSN, SVCM)]
            for i, layer in enumerate(others, 2):
                # The exact norm costs a decomposition of 256 x 256 for each frequency, in each step.
                own = steps if isinstance(layer, RKO) or max(inner, outer) < 256 else min(steps, 3)
                worst[i] = max(worst[i], deviations(train(layer, x, own), convolution_values)[1])
        print(f"| {kernel} | " + " | ".join(f"{value:.1e}" for value in worst) + " |", flush=True)


def dense(steps: int) -> None:
    print("\n| dense | float32 | float64 |\n| --- | --- | --- |")
    for outer, inner in DENSE:
        torch.manual_seed(0)
        layer = train(OrthogonalLinear(inner, outer), torch.randn(64, inner), steps)
        double = copy.deepcopy(layer).double()
        figures = (deviations(layer, dense_values)[0], deviations(double, dense_values)[0])
        print(f"| {outer} x {inner} | {figures[0]:.1e} | {figures[1]:.1e} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--kernels", type=int, nargs="+", choices=KERNELS, default=KERNELS)
    given = parser.parse_args()
    print(machine())
    convolutions(given.steps, given.kernels)
    dense(given.steps)


if __name__ == "__main__":
    main()
