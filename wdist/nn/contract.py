"""The contract of a layer: its Lipschitz bound, the bound on its rounding and its stored form, beside the class itself.

A new layer subclasses `Layer` and is declared with `@layer`. What is declared holds for exactly that class and not for
its subclasses, whose forward pass may be another one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from torch import Tensor, nn

from wdist.errors import UnprovenError, WdistError
from wdist.nn.standard_model import Application, Shape

Rule = Callable[[Any, Shape], tuple[float, Shape]]
RoundingRule = Callable[[Any, Application], Tensor]
Freeze = Callable[[Any, float], list[nn.Module]]


class Layer(nn.Module):
    """A layer with its own proof."""

    def bound(self, shape: Shape) -> tuple[float, Shape]:
        """A proven Lipschitz bound on inputs of `shape`, and the shape of the output. Shapes have no batch axis.

        Raises UnprovenError for inputs or settings for which no bound is known.
        """
        raise NotImplementedError

    def rounding(self, at: Application) -> Tensor:
        """A bound on the Euclidean distance between the computed output and the exact one at the computed input, (n,).

        It must not fall when a norm in `at` rises, and may rise with that of the output by at most half as much. The
        caller enlarges it by 1 %, for the rounding of the norms and of the bound itself. A layer that leaves this
        method out has no rounding bound.
        """
        raise NotImplementedError

    def frozen(self, unit: float) -> list[nn.Module]:
        """Layers with a stored form that map x to unit g(x / unit), where g is this layer.

        A positively homogeneous layer without biases is its own frozen form.
        """
        return [self]


def _unchanged(module: nn.Module, unit: float) -> list[nn.Module]:
    return [module]


@dataclass(frozen=True)
class _Declaration:
    """What is known of one class of layers. A layer without a `kind` has no stored form."""

    bound: Rule
    rounding: RoundingRule | None
    frozen: Freeze
    kind: str | None
    fields: tuple[str, ...]
    make: Callable[..., nn.Module]


_BY_CLASS: dict[type[nn.Module], _Declaration] = {}
_BY_KIND: dict[str, _Declaration] = {}

SomeLayer = TypeVar("SomeLayer", bound=Layer)


def layer(kind: str | None = None, *fields: str) -> Callable[[type[SomeLayer]], type[SomeLayer]]:
    """Declares exactly this class of layers.

    kind: its name in stored critics, if it can be stored. fields: the attributes that are stored with it, beside its
    tensors. All of them must be arguments of the constructor under the same names.
    """

    def add(cls: type[SomeLayer]) -> type[SomeLayer]:
        rounding = None if cls.rounding is Layer.rounding else cls.rounding
        declare(cls, cls.bound, cls.frozen, kind, fields, rounding=rounding)
        return cls

    return add


def declare(
    cls: type[nn.Module],
    bound: Rule,
    frozen: Freeze = _unchanged,
    kind: str | None = None,
    fields: tuple[str, ...] = (),
    make: Callable[..., nn.Module] | None = None,
    *,
    rounding: RoundingRule | None = None,
) -> None:
    """Declares exactly this class, which may come from another library.

    bound, frozen and rounding: as the methods of `Layer`. kind and fields: as of `layer`. make: makes a layer from its
    stored fields and tensors, given by name; default: the class. Without `rounding` there is no rounding bound.
    """
    _BY_CLASS[cls] = known = _Declaration(bound, rounding, frozen, kind, fields, make or cls)
    if kind is not None:
        _BY_KIND[kind] = known


def set_rule(cls: type[nn.Module], rule: Rule, rounding: RoundingRule | None = None) -> None:
    """Sets the rules of exactly this class. Its stored form stays, and so does its rounding if none is given."""
    known = _BY_CLASS.get(cls)
    if known is None:
        declare(cls, rule, rounding=rounding)
    else:
        _BY_CLASS[cls] = replace(known, bound=rule, rounding=rounding or known.rounding)


def rule_of(module: nn.Module) -> Rule | None:
    """The rule that bounds modules of exactly this class, or None."""
    known = _BY_CLASS.get(type(module))
    return None if known is None else known.bound


def rounding_rule_of(module: nn.Module) -> RoundingRule | None:
    """The rule that bounds the rounding of modules of exactly this class, or None."""
    known = _BY_CLASS.get(type(module))
    return None if known is None else known.rounding


def frozen(module: nn.Module, unit: float) -> list[nn.Module]:
    """The frozen form of a layer, as `Layer.frozen` describes it; a module of unknown class stays as it is."""
    known = _BY_CLASS.get(type(module))
    return [module] if known is None else known.frozen(module, unit)


def to_entry(module: nn.Module) -> dict[str, Any]:
    """The stored form of a layer without its tensors, as plain JSON types. Raises WdistError if it has none."""
    known = _BY_CLASS.get(type(module))
    if known is None or known.kind is None:
        raise WdistError(f"{type(module).__name__} has no stored form: freeze the critic first")
    return {"kind": known.kind} | {name: getattr(module, name) for name in known.fields}


def from_entry(entry: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> nn.Module:
    """The layer that `to_entry` described, with these tensors. Raises WdistError if they do not make a layer."""
    kind = entry["kind"]
    known = _BY_KIND.get(kind)
    if known is None:
        raise WdistError(f"unknown layer kind {kind!r}: the critic was written by another version of wdist")
    try:
        return known.make(**{name: entry[name] for name in known.fields}, **tensors)
    except (KeyError, TypeError) as error:
        raise WdistError(f"a stored layer of kind {kind!r} is incomplete: {error}") from error


def expect_size(shape: Shape, axis: int, size: int, module: nn.Module) -> None:
    """Raise UnprovenError unless inputs of this shape have `size` entries along the axis."""
    if len(shape) <= (axis if axis >= 0 else 0) or shape[axis] != size:
        raise UnprovenError(f"{type(module).__name__} expects {size} channels, its input has shape {shape}")


def scaled(bias: Tensor | None, unit: float) -> Tensor | None:
    """The bias of a layer in units of the data: unit * bias, rounded once to float32 on the CPU."""
    return None if bias is None else (bias.detach().double() * unit).float().cpu()
