"""Trains B independent modules of one architecture as one problem: parameters get a leading axis, products become bmm.

Used for the pairs of a matrix of sample sets, and for restarts. One Python call, one optimiser step and one product
serve all B modules; small critics spend most of their time on these.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from wdist.errors import OptionError
from wdist.nn.layers import stiefel_names


class StackedModule(nn.Module):
    """Maps (B, n, ...) to (B, n, ...), applying module b to x[b]; its parameters are the modules', stacked to (B, ...).

    Train it with `StiefelOptimizer(parameter_groups(stacked))`: manifold parameters stay manifold parameters, and every
    critic takes the steps that it would take alone, up to the rounding of the matrix products (relative 2^-24 sqrt(n)
    per product and step in float32). Sum the B losses; their gradients do not mix. Raises OptionError unless all
    modules have the same parameters and equal buffers.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        if not modules:
            raise OptionError("no modules to train together")
        shapes = [{name: p.shape for name, p in module.named_parameters()} for module in modules]
        if any(other != shapes[0] for other in shapes[1:]):
            raise OptionError("modules that are trained together need the same architecture")
        buffers = [dict(module.named_buffers()) for module in modules]
        for name, first in buffers[0].items():
            if any(not torch.equal(first, other[name]) for other in buffers[1:]):
                raise OptionError(f"modules that are trained together need equal buffers, {name!r} differs")
        # The tuple hides the template from nn.Module, which would otherwise register its parameters.
        self._template = (copy.deepcopy(modules[0]).requires_grad_(False),)
        self._names = list(shapes[0])
        self.size = len(modules)
        for name in self._names:
            stacked = torch.stack([module.get_parameter(name).detach() for module in modules])
            self.register_parameter(flat_name(name), nn.Parameter(stacked))

    @property
    def stiefel_parameters(self) -> tuple[str, ...]:
        """Names of the stacked parameters whose matrices live on the Stiefel manifold."""
        prefixes = {id(child): prefix for prefix, child in self._template[0].named_modules()}
        names = []
        for child in self._template[0].modules():
            prefix = prefixes[id(child)]
            dotted = (f"{prefix}.{name}" if prefix else name for name in stiefel_names(child))
            names += [flat_name(name) for name in dotted if name in self._names]
        return tuple(names)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[0] != self.size:
            raise OptionError(
                f"{self.size} modules need input with a leading axis of {self.size}, got {tuple(x.shape)}"
            )
        parameters = {name: getattr(self, flat_name(name)) for name in self._names}

        def apply(own: dict[str, Tensor], rows: Tensor) -> Any:
            return torch.func.functional_call(self._template[0], own, (rows,))

        result: Tensor = torch.func.vmap(apply)(parameters, x)
        return result


def flat_name(name: str) -> str:
    """The name in the stacked module of a parameter of one module."""
    return name.replace(".", "__")
