"""The nets that the benchmarks share, and the classic parametrisation written from its description."""

import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from wdist.device import finish_work
from wdist.nn.convolutions import BCOP
from wdist.nn.layers import InvertibleDownsampling, MaxMin, OrthogonalLinear
from wdist.nn.permutations import circular_pad
from wdist.stiefel.optimizer import StiefelOptimizer, parameter_groups
from wdist.training.stacked import StackedModule


def block_convolution(X: Tensor, Y: Tensor) -> Tensor:
    """[X box Y]_i = sum_j X_j Y_(i-j) of matrix-valued kernels (a, b, *k) and (b, c, *l): (a, c, *(k + l - 1)).

    It is the kernel of the composed map "Y, then X". One or two spatial axes. Source: Li et al. (2019), section 3.
    """
    axes = X.dim() - 2
    kernel, other = X.shape[2:], Y.shape[2:]
    result = X.new_zeros(X.shape[0], Y.shape[1], *(k + o - 1 for k, o in zip(kernel, other, strict=True)))
    for index in torch.cartesian_prod(*(torch.arange(o) for o in other)).reshape(-1, axes).tolist():
        window = tuple(slice(i, i + k) for i, k in zip(index, kernel, strict=True))
        result[(slice(None), slice(None), *window)] += torch.einsum("ab...,bc->ac...", X, Y[(..., *index)])
    return result


def machine() -> str:
    """What the figures were measured on."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        cpu = next((line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line), cpu)
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{torch.get_num_threads()} cores of {cpu}"
    return f"{where}, torch {torch.__version__}"


class FreeConvolution(nn.Conv2d):
    """An unconstrained convolution with circular padding."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(circular_pad(x, self.kernel_size), self.weight, self.bias)


class ClassicLinear(nn.Module):
    """A free matrix, orthogonalised in each forward by 20 Björck iterations that are differentiated through."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.free = nn.Parameter(nn.init.orthogonal_(torch.empty(outer, inner)))
        self.bias = nn.Parameter(torch.zeros(outer))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, classic_orthogonal(self.free), self.bias)


def classic_orthogonal(W: Tensor, iterations: int = 20) -> Tensor:
    """First-order Björck iterations on the matrix itself, after division by a bound of its norm."""
    W = W / (W.abs().sum(-1).amax(-1) * W.abs().sum(-2).amax(-1)).sqrt()[..., None, None]
    for _ in range(iterations):
        W = 1.5 * W - 0.5 * ((W @ W.mT) @ W if W.shape[-2] <= W.shape[-1] else W @ (W.mT @ W))
    return W


class ClassicBCOP(nn.Module):
    """BCOP as described by Li et al.: c x c free matrices, half of each one's columns masked away.

    c = max(in, out); the kernel of c x c blocks is assembled block by block and cut to out x in.
    """

    def __init__(self, inner: int, outer: int, kernel: int) -> None:
        super().__init__()
        c = max(inner, outer)
        self.inner, self.outer, self.kernel = inner, outer, kernel
        self.free = nn.Parameter(torch.stack([nn.init.orthogonal_(torch.empty(c, c)) for _ in range(2 * kernel - 1)]))
        mask = torch.ones(2 * kernel - 1, 1, c)
        mask[1:, :, c // 2 :] = 0
        self.register_buffer("mask", mask)
        self.bias = nn.Parameter(torch.zeros(outer))

    def forward(self, x: Tensor) -> Tensor:
        orthogonal = classic_orthogonal(self.free) * self.mask
        K = orthogonal[0][:, :, None, None]
        eye = torch.eye(K.shape[0], device=K.device)
        for V, U in zip(orthogonal[1::2], orthogonal[2::2], strict=True):
            P, Q = V @ V.mT, U @ U.mT
            block = torch.stack(
                (torch.stack((P @ Q, P @ (eye - Q)), -1), torch.stack(((eye - P) @ Q, (eye - P) @ (eye - Q)), -1)), -2
            )
            K = block_convolution(K, block)
        return nn.functional.conv2d(
            circular_pad(x, (self.kernel, self.kernel)), K[: self.outer, : self.inner], self.bias
        )


Convolution = Callable[[int, int, int], nn.Module]
Dense = Callable[[int, int], nn.Module]
KINDS: dict[str, tuple[Convolution, Dense]] = {
    "unconstrained": (FreeConvolution, nn.Linear),
    "manifold": (BCOP, OrthogonalLinear),
    "classic": (ClassicBCOP, ClassicLinear),
}


def large(kind: str) -> nn.Sequential:
    """The paper's Large net for 3 x 32 x 32: conv 32 3x3, 32 4x4 s2, 64 3x3, 64 4x4 s2, dense 512, 512, 1."""
    conv, dense = KINDS[kind]
    # A 4 x 4 convolution of stride 2 is a downsampling by 2 and a 2 x 2 convolution.
    body = [conv(3, 32, 3), MaxMin(), InvertibleDownsampling(2), conv(128, 32, 2), MaxMin()]
    body += [conv(32, 64, 3), MaxMin(), InvertibleDownsampling(2), conv(256, 64, 2), MaxMin(), nn.Flatten()]
    return nn.Sequential(*body, dense(4096, 512), MaxMin(), dense(512, 512), MaxMin(), dense(512, 1))


def dcgan(kind: str, size: int) -> nn.Sequential:
    """A critic of the size of DCGAN's: 64, 128, 256, 512 channels at halving resolutions from size x size x 3."""
    conv, dense = KINDS[kind]
    layers: list[nn.Module] = []
    channels, grid = 3, size
    for outer in (64, 128, 256, 512):
        if grid <= 4:
            break
        layers += [InvertibleDownsampling(2), conv(4 * channels, outer, 2), MaxMin()]
        channels, grid = outer, grid // 2
    return nn.Sequential(*layers, nn.Flatten(), dense(channels * grid * grid, 1))


def mlp(kind: str, features: int = 784, width: int = 128, depth: int = 3) -> nn.Sequential:
    """`depth` dense layers with MaxMin, then one unit row."""
    dense = KINDS[kind][1]
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [dense(features, width), MaxMin()]
        features = width
    return nn.Sequential(*layers, dense(features, 1))


def training_step(net: nn.Module, x: torch.Tensor, kind: str) -> Callable[[], None]:
    """One step of a critic on two halves of a batch; Adam unless the net lives on the manifold."""
    manifold = kind == "manifold"
    optimizer = StiefelOptimizer(parameter_groups(net)) if manifold else torch.optim.Adam(net.parameters(), 1e-4)
    half = x.shape[-2] // 2 if isinstance(net, StackedModule) else x.shape[0] // 2

    def step() -> None:
        optimizer.zero_grad()
        scores = net(x)
        if isinstance(net, StackedModule):
            loss = (scores[:, :half] - scores[:, half:]).mean((1, 2)).sum()
        else:
            loss = (scores[:half] - scores[half:]).mean()
        loss.backward()
        optimizer.step()

    return step


def milliseconds(step: Callable[[], object], repeats: int = 12, warm: int = 3) -> tuple[float, float]:
    """(smallest, median) time of a step: the best the machine can do, and what is typical.

    Measures wall time, or the process's CPU time with WDIST_BENCH_CLOCK=cpu. Ratios of CPU times are meaningful on a
    busy machine too; use OMP_NUM_THREADS=1 with it, because waiting threads burn CPU time.
    """
    clock = time.process_time if os.environ.get("WDIST_BENCH_CLOCK") == "cpu" else time.perf_counter
    times = []
    for i in range(repeats + warm):
        finish_work()
        started = clock()
        step()
        finish_work()
        if i >= warm:
            times.append(1e3 * (clock() - started))
    return min(times), median(times)


def data_folder() -> Path | None:
    """The folder whose load.py reads the data sets: WDIST_BENCH_DATA, or ../shared/data beside the repository."""
    folder = Path(os.environ.get("WDIST_BENCH_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not (folder / "load.py").exists():
        return None
    sys.path.insert(0, str(folder))
    return folder
