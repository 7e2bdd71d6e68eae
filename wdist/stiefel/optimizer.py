"""Optimisation on the Stiefel manifold: weights stay semi-orthogonal while they are trained.

See `wdist.stiefel.step` for the mathematics of one step; this module wraps it as a torch.optim optimiser.
"""

import inspect
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from wdist.errors import OptionError, TrainingError
from wdist.nn.convolutions import SVCM
from wdist.nn.layers import stiefel_names
from wdist.nn.orthogonal import orthogonality_error, polar
from wdist.stiefel.step import LARGEST_RATE, Workspace, restore_orthogonality, stiefel_step

# torch wraps it for torch.compile and loads the whole compiler on the first call, which adds 1.4 s to a cold start.
_add_param_group = inspect.unwrap(Optimizer.add_param_group)
# Root mean square of sigma^2 - 1. Trained weights are within .04 before polishing (wdist.stiefel.step), and a fresh
# nn.Linear is .6 off. Corrections repair anything below this.
_FAR = 0.1
_DIRECTION_DTYPES = (None, torch.bfloat16, torch.float32, torch.float64)
# The comparisons are written so that NaN fails them.
_RANGES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "lr": ("a finite number, 0 or more", lambda lr: 0 <= lr < math.inf),
    "momentum": ("in [0, 1)", lambda momentum: 0 <= momentum < 1),
    "betas": ("two numbers in [0, 1)", lambda betas: len(betas) == 2 and all(0 <= beta < 1 for beta in betas)),
    "eps": ("a finite number, 0 or more", lambda eps: 0 <= eps < math.inf),
    "correct_every": ("a whole number, 1 or more", lambda every: every >= 1 and every == int(every)),
    "direction_dtype": (f"one of {_DIRECTION_DTYPES}", lambda dtype: dtype in _DIRECTION_DTYPES),
}


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
    """Move every manifold parameter of `module` to its nearest semi-orthogonal matrix, computed in float64.

    Only rounding to the parameter's dtype remains: about 1e-7 in float32, 1e-15 in float64. SVCM layers are clipped.
    Raises TrainingError when a weight is not finite.
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
    parameter groups, closures and state_dict work as in any torch optimiser. Matrices of equal shape are stepped as one
    batch.

    Args:
        lr: change of a weight per step, in spectral norm; 0.02 to 0.1 with warm-up and decay to 0. At most 0.15 on the
            manifold (`wdist.stiefel.step.LARGEST_RATE`): up to this rate weights stay on it for any gradients.
        momentum: decay of the Euclidean momentum M <- momentum M + G, projected at the current weight.
        nesterov: step along G + momentum M.
        betas, eps: of Adam, for Euclidean groups.
        correct_every: steps between two corrections. Between them square matrices drift by up to 1.4 lr^4 per step in
            sigma^2, and rounding adds 1e-7. Measured on 128 x 128, sigma is up to 3e-4 from 1 at lr = 0.1, 1e-5 at
            0.04, and 4e-7 right after a correction. Call `polish` before weights are used or certified.
        direction_dtype: precision of the orthogonalised directions. The default, None, means bfloat16 for matrices of
            at least 192 rows on devices that multiply it fast (held-out values agree within their noise), and the dtype
            of the weight otherwise. Products that keep weights on the manifold always use the dtype of the weight.

    Convergence: with direction D = polar(T) of the tangent gradient T, <G, D> is the nuclear norm of T, so a small step
    decreases the loss unless T = 0. With a rate decaying to 0 it is steepest descent in the spectral norm (Bernstein
    and Newhouse, "Old optimizer, new norm", 2024). Drift: see `wdist.stiefel.step`.

    Raises OptionError for groups that cannot be trained: an option out of range, an unknown manifold, weights that are
    neither float32 nor float64, or trainable weights on the manifold that are not semi-orthogonal matrices.
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

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters; raises OptionError, and adds nothing, for a group that cannot be trained."""
        _add_param_group(self, param_group)
        try:
            _check_group(self.param_groups[-1])
        except OptionError:
            self.param_groups.pop()
            raise

    # As `_add_param_group`.
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
        """Step every group. Raises OptionError when a rate on the manifold is NaN or above LARGEST_RATE."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None and p.numel()]
            if not parameters:
                continue
            if group["manifold"] == "stiefel":
                if not abs(group["lr"]) <= LARGEST_RATE:
                    raise OptionError(_rate_message(group["lr"]))
                self._stiefel(parameters, group)
            else:
                self._adam(parameters, group)
        return loss

    def _stiefel(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        momenta, is_due = [], False
        for p in parameters:
            state = self.state[p]
            if not state:
                state["step"] = 0
                state["momentum"] = torch.zeros_like(p, memory_format=torch.contiguous_format)
            state["step"] += 1
            is_due |= state["step"] % group["correct_every"] == 0
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
            if is_due:
                W = restore_orthogonality(W)
            torch._foreach_copy_(views, list(torch.split(W, [len(view) for view in views])))

    def _join(self, name: str, views: list[Tensor]) -> Tensor:
        if len(views) == 1:
            return views[0]
        shape = torch.Size((sum(len(view) for view in views), *views[0].shape[1:]))
        return torch.cat(views, out=self._space.shaped(name, views[0], shape))

    def _adam(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        steps = []
        for p in parameters:
            state = self.state[p]
            if not state:
                state["step"] = 0
                state["mean"], state["square"] = torch.zeros_like(p), torch.zeros_like(p)
            state["step"] += 1
            steps.append(state["step"])
        for step in set(steps):  # usually one; parameters that got their first gradient later are behind
            self._adam_step([p for p, own in zip(parameters, steps, strict=True) if own == step], group, step)

    def _adam_step(self, parameters: list[Tensor], group: dict[str, Any], step: int) -> None:
        """Take Adam's step number `step` for each parameter; all have received equally many gradients."""
        (beta1, beta2), eps = group["betas"], group["eps"]
        gradients = [p.grad for p in parameters if p.grad is not None]
        means = [self.state[p]["mean"] for p in parameters]
        squares = [self.state[p]["square"] for p in parameters]
        torch._foreach_lerp_(means, gradients, 1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_mul_(roots, (1 - beta2**step) ** -0.5)
        torch._foreach_add_(roots, eps)
        torch._foreach_addcdiv_(parameters, means, roots, -group["lr"] / (1 - beta1**step))


def _check_group(group: dict[str, Any]) -> None:
    """Raise OptionError, saying what to do, if a group of StiefelOptimizer cannot be trained."""
    _check_options(group)
    for i, p in enumerate(group["params"]):
        name = group["param_names"][i] if "param_names" in group else f"parameter {i} of the group"
        name = f"{name}, {tuple(p.shape)}"
        if p.dtype not in (torch.float32, torch.float64):
            raise OptionError(
                f"{name}, is {p.dtype}: weights have to be float32 or float64 (module.float()); for faster passes in "
                "bfloat16 use torch.autocast"
            )
        if group["manifold"] == "stiefel" and p.requires_grad and p.numel():
            _check_matrix(name, p)


def _check_options(group: dict[str, Any]) -> None:
    if group["manifold"] not in ("stiefel", "euclidean"):
        raise OptionError(f'a group\'s manifold is "stiefel" or "euclidean", not {group["manifold"]!r}')
    if group["manifold"] == "stiefel" and not 0 <= group["lr"] <= LARGEST_RATE:
        raise OptionError(_rate_message(group["lr"]))
    for name, (range_, is_in_range) in _RANGES.items():
        if not is_in_range(group[name]):
            raise OptionError(f"{name} has to be {range_}, got {group[name]}")


def _check_matrix(name: str, p: Tensor) -> None:
    everything_else = (
        "parameter_groups(module) tells what lives on the manifold from what does not; others belong to a group with "
        '"manifold": "euclidean"'
    )
    if p.dim() < 2:
        raise OptionError(f"{name}, is no matrix and cannot be on the Stiefel manifold: {everything_else}")
    error = orthogonality_error(p.detach()).max().item() / min(p.shape[-2:]) ** 0.5
    if not error <= _FAR:
        raise OptionError(
            f"{name}, is not semi-orthogonal: sigma^2 - 1 of its singular values is {error:.2g}, root mean square. "
            "Start from wdist.nn.orthogonal.random_orthogonal, or move it there by wdist.nn.orthogonal.polar; "
            f"{everything_else}"
        )


def _rate_message(lr: Any) -> str:
    return (
        f"the rate of a group on the Stiefel manifold has to be in [0, {LARGEST_RATE}], got {lr}: beyond it a step can "
        "leave the manifold; 0.02 to 0.1 are usual"
    )


def _wide_batch(matrix: Tensor) -> Tensor:
    """The wide (b, p, n) view of (..., m, n)."""
    view = matrix.detach().view(-1, *matrix.shape[-2:])
    return view if matrix.shape[-2] <= matrix.shape[-1] else view.mT
