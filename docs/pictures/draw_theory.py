"""Draws singular-values.svg and components.svg: python docs/pictures/draw_theory.py (needs matplotlib).

The singular values are those of one convolution's Jacobian before and after training of a small critic (circles against
squares in noise), for each way of keeping it 1-Lipschitz.
"""

from pathlib import Path

import matplotlib as mpl
import torch
from torch import Tensor, nn

from wdist.nn.convolutions import BCOP, OSSN, RKO, SVCM
from wdist.nn.layers import MaxMin, OrthogonalLinear
from wdist.nn.lipschitz import singular_values
from wdist.nn.orthogonal import random_orthogonal
from wdist.paper.components import invariant, projector_kernel
from wdist.stiefel.optimizer import StiefelOptimizer, parameter_groups, polish

mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "wdist", "svg.fonttype": "none", "font.size": 9})

HERE = Path(__file__).parent
GRID = (16, 16)


def shapes(kind: str, count: int, generator: torch.Generator) -> Tensor:
    """(count, 1, 16, 16) discs or squares of random place and size, with noise."""
    centre = torch.rand(count, 2, 1, 1, generator=generator) * 8 + 4
    radius = torch.rand(count, 1, 1, generator=generator) * 2 + 2
    axis = torch.arange(16.0)
    across, down = (axis[None, None] - centre[:, 0]).abs(), (axis[None, :, None] - centre[:, 1]).abs()
    inside = (
        across.square() + down.square() < radius.square() if kind == "discs" else torch.maximum(across, down) < radius
    )
    return (inside + 0.1 * torch.randn(count, 16, 16, generator=generator))[:, None].float()


def train(kind: type[nn.Module], steps: int = 120) -> tuple[Tensor, Tensor]:
    """Singular values of the second convolution before and after training."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    options = {"grid": GRID} if issubclass(kind, OSSN) else {}
    second = kind(16, 16, 3, **options)
    net = nn.Sequential(
        kind(1, 16, 3, **options), MaxMin(), second, MaxMin(), nn.Flatten(), OrthogonalLinear(16 * 256, 1)
    )
    before = singular_values(second, GRID)
    optimizer = StiefelOptimizer(parameter_groups(net, lr=0.05, euclidean_lr=5e-3))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        optimizer.zero_grad()
        (net(shapes("discs", 32, generator)).mean() - net(shapes("squares", 32, generator)).mean()).backward()
        optimizer.step()
        schedule.step()
        if kind is SVCM and step % 20 == 19:
            second.project()
    polish(net)
    return before, singular_values(second, GRID)


def draw_singular_values() -> None:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 4, figsize=(9, 2.4), sharey=True)
    for axis, kind in zip(axes, (BCOP, RKO, OSSN, SVCM), strict=True):
        for values, label in zip(train(kind), ("before training", "after training"), strict=True):
            values = values[:: len(values) // 200]
            axis.plot(torch.linspace(0, 1, len(values)), values, label=label, lw=1.6)
        axis.set_title(kind.__name__)
        axis.set_ylim(0, 1.08)
        axis.set_xlabel("share of singular values")
    axes[0].set_ylabel("singular value")
    axes[0].legend(loc="lower left", frameon=False)
    figure.tight_layout()
    figure.savefig(HERE / "singular-values.svg", metadata={"Date": None})


def paths(target_shift: int, ranks: list[int], channels: int, steps: int = 150) -> tuple[list[float], int]:
    """Loss along the training of W(H, P) towards a delay of the first two channels, and the component it lives in."""
    generator = torch.Generator().manual_seed(3)
    H = random_orthogonal(channels, channels, generator=generator, dtype=torch.float64)
    H[0] *= torch.linalg.det(H).sign()  # the target's sign: what is left to differ is r
    R = [random_orthogonal(channels, k, generator=generator, dtype=torch.float64) for k in ranks]
    parameters = [nn.Parameter(each) for each in (H, *R) if each.numel()]
    target = torch.zeros(2, 2, 3, dtype=torch.float64)
    target[:, :, target_shift] = torch.eye(2)
    optimizer = StiefelOptimizer(parameters, lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        rest = iter(parameters[1:])
        kernel = projector_kernel(parameters[0], [next(rest) if each.numel() else each for each in R])
        loss = (kernel[:2, :2] - target).square().sum()
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
        schedule.step()
    return losses, invariant(kernel.detach())[1]


def draw_components() -> None:
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(6.4, 2.8))
    for ranks in ([2, 2], [2, 1], [1, 1], [1, 0], [0, 0]):
        losses, r = paths(2, ranks, 2)
        axis.plot(losses, label=f"2 channels, r = {r}", lw=1.2)
    losses, r = paths(2, [2, 2], 4)
    axis.plot(losses, label=f"4 channels, r = {r}", lw=2, color="black")
    axis.set_xlabel("step")
    axis.set_ylabel("squared distance to a delay by 2")
    axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    figure.savefig(HERE / "components.svg", metadata={"Date": None})


if __name__ == "__main__":
    draw_singular_values()
    draw_components()
