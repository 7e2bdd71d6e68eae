"""The frozen form of a critic, which is certified and stored: how it is made from a trained net, written and read.

A critic is trained in units in which the data has size about 1, and stored in the data's own units. All activations
used here are positively homogeneous, sigma(s z) = s sigma(z). So f(x) = s g((x - c) / s) is the same net with its
biases multiplied by s. The stored net needs no rescaling layer, and its Lipschitz constant is that of g.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from wdist.nn.contract import from_entry, frozen, to_entry
from wdist.nn.frozen import Columns, Shift


def freeze(
    module: nn.Sequential, shift: Tensor | None, unit: float, columns: Sequence[int] | None = None
) -> nn.Sequential:
    """Convert a trained net g to plain float32 layers in the data's own units: f(x) = unit g((x - shift) / unit).

    columns: the ones that g takes, if it does not take all; shift has as many numbers.
    """
    layers: list[nn.Module] = [] if columns is None else [Columns(columns)]
    layers += [] if shift is None else [Shift(shift)]
    for layer in module:
        layers += frozen(layer, unit)
    return nn.Sequential(*layers).eval().requires_grad_(False)


def describe(module: nn.Sequential) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """The architecture of a frozen critic as plain JSON types, and its tensors, named layers.<i>.<name>."""
    tensors = {
        f"layers.{i}.{name}": tensor.detach().contiguous().cpu()
        for i, layer in enumerate(module)
        for name, tensor in layer.state_dict().items()
    }
    return [to_entry(layer) for layer in module], tensors


def restore(layers: list[dict[str, Any]], tensors: Mapping[str, Tensor]) -> nn.Sequential:
    """Rebuild a frozen critic from what `describe` returned."""
    modules = []
    for i, entry in enumerate(layers):
        own = {name.split(".", 2)[2]: t for name, t in tensors.items() if name.startswith(f"layers.{i}.")}
        modules.append(from_entry(entry, own))
    return nn.Sequential(*modules).eval().requires_grad_(False)
