"""Optimisation on the Stiefel manifold: weights stay semi-orthogonal while they are trained.

See `wdist.stiefel` for the mathematics of one step; this module is the torch.optim side of it.
"""

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from wdist.convolutions import SVCM
from wdist.errors import OptionError, TrainingError
from wdist.layers import stiefel_names
from wdist.orthogonal import polar
from wdist.stiefel import Workspace, restore_orthogonality, stiefel_step


def parameter_groups(module: nn.Module, lr: float = 0.05, euclidean_lr: float = 1e-3) -> list[dict[str, Any]]:
    """Two groups for StiefelOptimizer: the parameters of `module` on the manifold, and all others (Adam)."""
    stiefel = {id(p): p for _, _, p in manifold_parameters(module)}
    euclidean = [p for p in module.parameters() if id(p) not in stiefel]
    groups = [
        {"params": list(stiefel.values()), "manifold": "stiefel", "lr": lr},
        {"params": euclidean, "manifold": "euclidean", "lr": euclidean_lr},
    ]
    return [group for group in groups if group["params"]]


def manifold_parameters(module: nn.Module) -> list[tuple[nn.Module, str, nn.Parameter]]:
    """(owner, name, parameter) of every parameter under `module` that lives on the Stiefel manifold."""
    found = []
    for child in module.modules():
        for name in stiefel_names(child):
            parameter = getattr(child, name)
            if parameter is not None and parameter.numel():
                found.append((child, name, parameter))
    return found


@torch.no_grad()
def polish(module: nn.Module) -> nn.Module:
    """Moves every manifold parameter of `module` to its nearest semi-orthogonal matrix, found in float64.

    What remains is the rounding to the parameter's dtype: about 1e-7 in float32, 1e-15 in float64. SVCM layers are
    clipped. Raises TrainingError when a weight is not finite.
    """
    for owner, name, parameter in manifold_parameters(module):
        if not bool(parameter.isfinite().all()):
            raise TrainingError(f"{type(owner).__name__}.{name} has non-finite values: restore earlier weights")
        parameter.copy_(polar(parameter))
    for child in module.modules():
        if isinstance(child, SVCM):
            child.project(rounds=5)
    return module


class StiefelOptimizer(Optimizer):
    """Momentum descent on the Stiefel manifold with orthogonalised directions; Adam for Euclidean parameters.

    `params` as from `parameter_groups`: groups with "manifold": "stiefel" hold (..., m, n) matrices, each of which
    stays semi-orthogonal along its smaller side; groups with "manifold": "euclidean" are trained by Adam. Schedulers,
    parameter groups, closures and state_dict work as for every torch optimiser. Equal shapes are stepped as one batch.

    Args:
        lr: change of a weight per step, in spectral norm; 0.02 to 0.1 with warm-up and decay to 0.
        momentum: decay of the Euclidean momentum M <- momentum M + G, projected at the current weight.
        nesterov: step along G + momentum M.
        betas, eps: of Adam, for Euclidean groups.
        correct_every: steps between two corrections of the accumulated rounding (1e-7 per step in float32).
        direction_dtype: precision of the orthogonalised directions; None: bfloat16 for matrices of at least 192 rows
            on devices that multiply it fast (held-out values are the same within their noise), otherwise the dtype of
            the weight. Products that keep weights on the manifold always have the dtype of the weight.

    Convergence: with direction D = polar(T) of the tangent gradient T, <G, D> is the nuclear norm of T, so that a small
    step decreases the loss unless T = 0; with a rate decaying to 0 it is steepest descent in the spectral norm
    (Bernstein and Newhouse, "Old optimizer, new norm", 2024). Drift: see `wdist.stiefel`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.05,
        momentum: float = 0.8,
        *,
        nesterov: bool = True,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
        correct_every: int = 10,
        direction_dtype: torch.dtype | None = None,
    ) -> None:
        if lr < 0 or not 0 <= momentum < 1 or correct_every < 1:
            raise OptionError(f"need lr >= 0, 0 <= momentum < 1, correct_every >= 1: {lr}, {momentum}, {correct_every}")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "nesterov": nesterov,
            "betas": betas,
            "eps": eps,
            "correct_every": correct_every,
            "direction_dtype": direction_dtype,
            "manifold": "stiefel",
        }
        super().__init__(params, defaults)
        self._space = Workspace()

    # torch wraps these for torch.compile, and loads the whole compiler on their first call: 1.4 s of a cold start.
    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._space = Workspace()

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
            if not parameters:
                continue
            if group["manifold"] == "stiefel":
                self._stiefel(parameters, group)
            else:
                self._adam(parameters, group)
        return loss

    def _stiefel(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        momenta = []
        for p in parameters:
            state = self.state[p]
            if not state:
                state["step"] = 0
                state["momentum"] = torch.zeros_like(p, memory_format=torch.contiguous_format)
            state["step"] += 1
            momenta.append(state["momentum"])
        gradients = [p.grad for p in parameters if p.grad is not None]
        torch._foreach_mul_(momenta, group["momentum"])
        torch._foreach_add_(momenta, gradients)
        if group["nesterov"]:
            momenta = list(torch._foreach_add(gradients, momenta, alpha=group["momentum"]))
        batches: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        for i, p in enumerate(parameters):
            batches[(min(p.shape[-2:]), max(p.shape[-2:]), p.dtype, p.device)].append(i)
        for index in batches.values():
            views = [_wide_batch(parameters[i]) for i in index]
            W = self._join("W", views)
            M = self._join("M", [_wide_batch(momenta[i]) for i in index])
            W = stiefel_step(W, M, float(group["lr"]), self._space, group["direction_dtype"])
            if self.state[parameters[index[0]]]["step"] % group["correct_every"] == 0:
                W = restore_orthogonality(W)
            torch._foreach_copy_(views, list(torch.split(W, [len(view) for view in views])))

    def _join(self, name: str, views: list[Tensor]) -> Tensor:
        if len(views) == 1:
            return views[0]
        shape = torch.Size((sum(len(view) for view in views), *views[0].shape[1:]))
        return torch.cat(views, out=self._space.shaped(name, views[0], shape))

    def _adam(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        (beta1, beta2), eps = group["betas"], group["eps"]
        for p in parameters:
            state = self.state[p]
            if not state:
                state["step"] = 0
                state["mean"], state["square"] = torch.zeros_like(p), torch.zeros_like(p)
            state["step"] += 1
        gradients = [p.grad for p in parameters if p.grad is not None]
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


def _wide_batch(matrix: Tensor) -> Tensor:
    """(b, p, n) view of (..., m, n), wide."""
    view = matrix.detach().view(-1, *matrix.shape[-2:])
    return view if matrix.shape[-2] <= matrix.shape[-1] else view.mT
