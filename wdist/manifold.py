"""Optimisation on the Stiefel manifold: weights stay semi-orthogonal while they are trained.

One step for a wide W (p x n, W W^T = I) with Euclidean gradient G:

1. momentum              M <- beta M + G
2. tangent projection    T  = M - sym(M W^T) W
3. direction             D  = (T T^T)^(-1/2) T, by quintic Newton-Schulz iterations: all its singular values are near 1
4. step and retraction   W <- (V V^T)^(-1/2) V,  V = W - lr D

Everything but two products with M and W happens in the p x p Gram space: T = M - S W and V = a W - b M for p x p matrices
S, a, b, hence their Gram matrices follow from M W^T and M M^T alone.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from wdist.layers import stiefel_names
from wdist.orthogonal import QUINTIC, inverse_square_root, polar, symmetric


def parameter_groups(module: nn.Module, lr: float = 0.02, euclidean_lr: float = 1e-3) -> list[dict[str, Any]]:
    """Two groups for StiefelOptimizer: the parameters of `module` on the manifold, and all others (Adam)."""
    stiefel: dict[int, nn.Parameter] = {}
    for child in module.modules():
        for name in stiefel_names(child):
            parameter = getattr(child, name)
            if parameter is not None:
                stiefel[id(parameter)] = parameter
    euclidean = [p for p in module.parameters() if id(p) not in stiefel]
    groups = [
        {"params": list(stiefel.values()), "manifold": "stiefel", "lr": lr},
        {"params": euclidean, "manifold": "euclidean", "lr": euclidean_lr},
    ]
    return [group for group in groups if group["params"]]


@torch.no_grad()
def polish(module: nn.Module) -> nn.Module:
    """Moves every manifold parameter of `module` to its nearest semi-orthogonal matrix, found in float64.

    What remains is the rounding to the parameter's dtype: about 1e-7 in float32, 1e-15 in float64.
    """
    for child in module.modules():
        for name in stiefel_names(child):
            parameter = getattr(child, name)
            if parameter is not None and parameter.numel():
                parameter.copy_(polar(parameter))
    return module


def stiefel_step(W: Tensor, M: Tensor, lr: float, direction_iterations: int, retraction_iterations: int) -> Tensor:
    """The next point on the manifold from W (b, p, n), wide, and momentum M (b, p, n)."""
    identity = torch.eye(W.shape[-2], dtype=W.dtype, device=W.device)
    C = M @ W.mT
    S = symmetric(C)
    SC = S @ C.mT
    A = M @ M.mT - SC - SC.mT + S @ S
    # Frobenius normalisation brings all eigenvalues of A below 1, as the quintic needs.
    scale = A.diagonal(dim1=-2, dim2=-1).sum(-1).clamp_min(1e-30)[..., None, None]
    A = A / scale
    a, b, c = QUINTIC
    Q = identity
    for i in range(direction_iterations):
        q = a * identity + b * A + c * (A @ A)
        Q = q if i == 0 else q @ Q
        if i + 1 < direction_iterations:
            A = symmetric(q @ A @ q)
    Q = Q * (lr * scale.rsqrt())
    D = Q @ (M - S @ W)
    V = W - D
    return inverse_square_root(V @ V.mT, retraction_iterations) @ V


class StiefelOptimizer(Optimizer):
    """Momentum descent on the Stiefel manifold with orthogonalised directions; Adam for Euclidean parameters.

    `params` as from `parameter_groups`: groups with "manifold": "stiefel" hold (..., m, n) matrices, each of which stays
    semi-orthogonal along its smaller side; groups with "manifold": "euclidean" are trained by Adam. Schedulers, parameter
    groups and state_dict work as for every torch optimiser. Equal shapes are stepped as one batch.

    lr is the largest change of a weight per step, in spectral norm.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.02,
        momentum: float = 0.9,
        *,
        betas: tuple[float, float] = (0.9, 0.99),
        direction_iterations: int = 3,
        retraction_iterations: int = 1,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "betas": betas,
            "eps": 1e-8,
            "direction_iterations": direction_iterations,
            "retraction_iterations": retraction_iterations,
            "manifold": "stiefel",
        }
        super().__init__(params, defaults)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step of every group."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None and p.numel()]
            if group["manifold"] == "stiefel":
                self._stiefel(parameters, group)
            elif parameters:
                self._adam(parameters, group)
        return loss

    def _stiefel(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        shapes: dict[tuple[Any, ...], list[Tensor]] = defaultdict(list)
        for p in parameters:
            shapes[(min(p.shape[-2:]), max(p.shape[-2:]), p.dtype, p.device)].append(p)
        for same in shapes.values():
            self._stiefel_batch(same, group)

    def _stiefel_batch(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        for p in parameters:
            state = self.state[p]
            if not state:
                state["momentum"] = torch.zeros_like(p)
            state["momentum"].mul_(group["momentum"]).add_(p.grad)
        W = torch.cat([_stack(p) for p in parameters])
        M = torch.cat([_stack(self.state[p]["momentum"]) for p in parameters])
        W = stiefel_step(W, M, group["lr"], group["direction_iterations"], group["retraction_iterations"])
        start = 0
        for p in parameters:
            view = _stack(p)
            view.copy_(W[start : start + len(view)])
            start += len(view)

    def _adam(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        (beta1, beta2), eps = group["betas"], group["eps"]
        for p in parameters:
            state = self.state[p]
            if not state:
                state["step"] = 0
                state["mean"], state["square"] = torch.zeros_like(p), torch.zeros_like(p)
            state["step"] += 1
        gradients: list[Tensor] = [p.grad for p in parameters]  # type: ignore[misc]
        means = [self.state[p]["mean"] for p in parameters]
        squares = [self.state[p]["square"] for p in parameters]
        torch._foreach_lerp_(means, gradients, 1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
        step = self.state[parameters[0]]["step"]
        roots = torch._foreach_sqrt(squares)
        torch._foreach_mul_(roots, (1 - beta2**step) ** -0.5)
        torch._foreach_add_(roots, eps)
        torch._foreach_addcdiv_(parameters, means, roots, -group["lr"] / (1 - beta1**step))


def _stack(matrix: Tensor) -> Tensor:
    """(b, p, n) view of (..., m, n), wide."""
    view = matrix.detach().reshape(-1, *matrix.shape[-2:])
    return view if matrix.shape[-2] <= matrix.shape[-1] else view.mT
