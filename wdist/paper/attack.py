"""Projected gradient ascent within a ball: an attempt to refute what `wdist.paper.robustness` has proven.

It evaluates the net and its gradients, and uses nothing from the proof: no bound, and no radius but the given one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wdist.errors import SampleError
from wdist.nn.convolutions import LipschitzConvolution
from wdist.nn.rounding import converted
from wdist.nn.torch_state import own_torch_state
from wdist.paper.robustness import Labels, Rows, check_labelled

_BLOCK = 250  # images attacked at once: 105 us per step and image on one core, against 115 with 1,000


@own_torch_state()
def attack(
    module: nn.Sequential, images: Rows, labels: Labels, radius: float, *, steps: int = 100, restarts: int = 10,
    seed: int = 0, device: str = "cpu", progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.bool_]:  # fmt: skip
    """Which images projected gradient ascent makes the net misclassify within a Euclidean radius, (n,).

    Madry et al. (2018): normalised gradient steps of 2.5 radius / steps on the smallest margin, projected onto the ball
    and onto pixels in [0, 1]. The first start is the image itself; the others are drawn in the ball. The search runs in
    float32, and a point counts only if it lies in the ball and is misclassified in float64 too. An image that survives
    may still be breakable. progress: called with (images done, broken so far).

    Raises SampleError for shapes and labels that do not fit the net, and for pixels outside [0, 1].
    """
    check_labelled(images, labels)
    if images.min() < 0 or images.max() > 1:
        raise SampleError("images have pixels outside [0, 1], where the attack would end: rescale them")
    net = copy.deepcopy(module).to(device).float().eval().requires_grad_(False)
    exact = converted(module).requires_grad_(False)
    for layer in (*net.modules(), *exact.modules()):
        if isinstance(layer, LipschitzConvolution):
            layer.freeze()
    generator = torch.Generator().manual_seed(seed)
    broken = np.zeros(len(images), dtype=bool)
    for start in range(0, len(images), _BLOCK):
        x, y = (torch.from_numpy(array[start : start + _BLOCK]).to(device) for array in (images, labels))
        found = torch.zeros(len(x), dtype=torch.bool, device=device)
        for restart in range(restarts):
            left = ~found
            if not left.any():
                break
            # TF32, the default of NVIDIA's convolutions, would break images by its rounding.
            with torch.backends.cudnn.flags(allow_tf32=False):
                hit, points = _ascend(net, x[left], y[left], radius, steps, generator if restart else None)
            if hit.any():
                hit[hit.clone()] = _is_broken(exact, x[left][hit], points[hit], y[left][hit], radius).to(device)
            found[left] = hit
        broken[start : start + len(x)] = found.cpu().numpy()
        if progress is not None:
            progress(start + len(x), int(broken.sum()))
    return broken


def _ascend(
    net: nn.Sequential, x: Tensor, y: Tensor, radius: float, steps: int, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """One restart: whether each image was misclassified on the way, and the point with the worst margin."""
    delta = torch.zeros_like(x)
    if generator is not None:
        delta = torch.randn(x.shape, generator=generator, dtype=torch.float32).to(x.device)
        shares = torch.rand(len(x), generator=generator, dtype=torch.float32).to(x.device)
        lengths = radius * shares ** (1 / x[0].numel())
        delta *= (lengths / delta.flatten(1).norm(dim=1)).reshape(-1, 1, 1, 1)
    best, furthest = torch.full_like(x[:, 0, 0, 0], -torch.inf), x.clone()

    def keep(point: Tensor, excess: Tensor) -> None:
        better = excess > best
        best[better], furthest[better] = excess[better], point[better]

    for _ in range(steps):
        point = (x + delta).clamp(0, 1).requires_grad_(True)
        excess = _excess(net, point, y)
        keep(point.detach(), excess.detach())
        (gradient,) = torch.autograd.grad(excess.sum(), point)
        length = gradient.flatten(1).norm(dim=1).clamp_min(1e-30).reshape(-1, 1, 1, 1)
        delta = point.detach() - x + 2.5 * radius / steps * gradient / length
        delta = delta * (radius / delta.flatten(1).norm(dim=1).clamp_min(1e-30)).clamp_max(1).reshape(-1, 1, 1, 1)
    with torch.no_grad():
        point = (x + delta).clamp(0, 1)
        keep(point, _excess(net, point, y))
    return best >= 0, furthest


def _is_broken(exact: nn.Sequential, x: Tensor, points: Tensor, y: Tensor, radius: float) -> Tensor:
    """Whether the points are misclassified in float64, after moving those that rounding left outside into the ball."""
    x, y = x.cpu().double(), y.cpu()
    delta = points.cpu().double() - x
    delta = delta * (radius / delta.flatten(1).norm(dim=1).clamp_min(1e-30)).clamp_max(1).reshape(-1, 1, 1, 1)
    with torch.inference_mode():
        return _excess(exact, x + delta, y) >= 0


def _excess(net: nn.Sequential, x: Tensor, y: Tensor) -> Tensor:
    """By how much the best wrong logit exceeds the right one, (n,)."""
    logits = net(x)
    own = logits.gather(1, y[:, None])
    best: Tensor = (logits.scatter(1, y[:, None], -torch.inf).amax(1, keepdim=True) - own)[:, 0]
    return best
