"""Piecewise permutations with cheap derivatives: sorting of pairs, and wrapping around a torus.

Autograd's derivative of maximum / minimum splits ties between both inputs (six passes over memory), and that of
circular padding clones the gradient once per slice. Together they took a third of a training step of a convolutional
critic. Here each derivative takes one pass. The functions can be differentiated any number of times and work under
torch.func.vmap.
"""

import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor

from wdist.errors import OptionError


def sort_pairs(x: Tensor, *, neighbours: bool, descending: bool) -> Tensor:
    """Sorts pairs of channels (axis 1): channels (2i, 2i + 1) if `neighbours`, else (i, i + c // 2).

    (n, c, ...) -> (n, c, ...); an odd last channel passes unchanged. At a tie the derivative is that of the identity.
    """
    first, second = _pairs(x, 1, neighbours)
    keep = first.detach() >= second.detach() if descending else first.detach() <= second.detach()
    result: Tensor = _exchange(x, keep, 1, neighbours)
    return result


def _pairs(x: Tensor, axis: int, neighbours: bool) -> tuple[Tensor, Tensor]:
    half = x.shape[axis] // 2
    if not neighbours:
        return x.narrow(axis, 0, half), x.narrow(axis, half, half)
    before = (slice(None),) * axis
    return x[(*before, slice(0, 2 * half, 2))], x[(*before, slice(1, 2 * half, 2))]


class _Exchange(torch.autograd.Function):
    """(a, b) -> (a, b) where `keep`, else (b, a): a symmetric permutation, hence its own adjoint."""

    @staticmethod
    def forward(x: Tensor, keep: Tensor, axis: int, neighbours: bool) -> Tensor:
        out = torch.empty_like(x, memory_format=torch.contiguous_format)
        (first, second), (top, bottom) = _pairs(x, axis, neighbours), _pairs(out, axis, neighbours)
        torch.where(keep, first, second, out=top)
        torch.where(keep, second, first, out=bottom)
        if x.shape[axis] % 2:
            out.narrow(axis, -1, 1).copy_(x.narrow(axis, -1, 1))
        return out

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, keep, ctx.axis, ctx.neighbours = inputs
        ctx.save_for_backward(keep)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (keep,) = ctx.saved_tensors
        return _exchange(gradient, keep, ctx.axis, ctx.neighbours), None, None, None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], x: Tensor, keep: Tensor, axis: int, neighbours: bool
    ) -> tuple[Tensor, int]:
        # A gradient lacks the mapped axis when the output did not depend on it; a mask always has it.
        x = x.expand(info.batch_size, *x.shape) if in_dims[0] is None else x.movedim(in_dims[0], 0)
        keep = keep.expand(info.batch_size, *keep.shape) if in_dims[1] is None else keep.movedim(in_dims[1], 0)
        return _exchange(x, keep, axis + 1, neighbours), 0


def wrap(x: Tensor, axis: int, front: int, back: int) -> Tensor:
    """Wraps an axis: prepends its last `front` entries and appends its first `back` entries."""
    if front == 0 and back == 0:
        return x
    result: Tensor = _wrap(x, axis % x.dim() - x.dim(), front, back)
    return result


class _Wrap(torch.autograd.Function):
    """Circular padding of one axis (counted from the end)."""

    @staticmethod
    def forward(x: Tensor, axis: int, front: int, back: int) -> Tensor:
        size = x.shape[axis]
        return torch.cat((x.narrow(axis, size - front, front), x, x.narrow(axis, 0, back)), axis)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.arguments = inputs[1:]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return _unwrap(gradient, *ctx.arguments), None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int, ...], x: Tensor, axis: int, front: int, back: int) -> tuple[Tensor, int]:
        return _wrap(x.movedim(in_dims[0], 0), axis, front, back), 0


class _Unwrap(torch.autograd.Function):
    """Adjoint of _Wrap: adds the wrapped entries to those they were copied from."""

    @staticmethod
    def forward(y: Tensor, axis: int, front: int, back: int) -> Tensor:
        size = y.shape[axis] - front - back
        x = y.narrow(axis, front, size).clone(memory_format=torch.contiguous_format)
        x.narrow(axis, size - front, front).add_(y.narrow(axis, 0, front))
        x.narrow(axis, 0, back).add_(y.narrow(axis, front + size, back))
        return x

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.arguments = inputs[1:]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return _wrap(gradient, *ctx.arguments), None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int, ...], y: Tensor, axis: int, front: int, back: int) -> tuple[Tensor, int]:
        return _unwrap(y.movedim(in_dims[0], 0), axis, front, back), 0


class _ByPosition(inspect.Signature):
    """A signature whose arguments are all given, and by position."""

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """All that torch asks for: the arguments, and no defaults."""
        return SimpleNamespace(args=args, kwargs=kwargs, apply_defaults=lambda: None)


# torch binds the arguments of `forward` to its signature in each call: half of what a call for a small net costs.
for _function in (_Exchange, _Wrap, _Unwrap):
    vars(_function.forward)["__signature__"] = _ByPosition()
# torch declares Function.apply without types.
_exchange = cast(Callable[..., Tensor], _Exchange.apply)
_wrap = cast(Callable[..., Tensor], _Wrap.apply)
_unwrap = cast(Callable[..., Tensor], _Unwrap.apply)


def circular_pad(x: Tensor, kernel: tuple[int, ...]) -> Tensor:
    """Wraps each spatial axis by k - 1 entries, (k - 1) // 2 of them in front, so that the output keeps the grid.

    Raises OptionError when the kernel is larger than the grid: the wrapped kernel would overlap itself.
    """
    grid = x.shape[2:]
    if any(k > n for k, n in zip(kernel, grid, strict=True)):
        raise OptionError(
            f"kernel {kernel} is larger than the image grid {tuple(grid)}: use a smaller kernel or less stride"
        )
    for axis, k in enumerate(kernel, 2):
        front = (k - 1) // 2
        x = wrap(x, axis, front, k - 1 - front)
    return x
