"""The families of critics, and what can be known of each without torch. A new family is one file and one entry here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from wdist.errors import OptionError

if TYPE_CHECKING:
    from wdist.critics.base import CriticConfig


@dataclass(frozen=True)
class Family:
    """One family of critics.

    Attributes:
        config: 'module:class' of its configuration, a `wdist.critics.base.CriticConfig`; imported by `load`.
        help: one sentence for users.
        in_auto: whether critic='auto' tries it.
        needs_images: whether rows must have three axes, (channels, height, width).
        is_fitted: whether it is fitted in closed form, so that it takes no training steps.
        step_cost: cost of a training step relative to GroupSort's on the same rows.
    """

    name: str
    config: str
    help: str
    in_auto: bool = False
    needs_images: bool = False
    is_fitted: bool = False
    step_cost: float = 1.0

    def load(self) -> type[CriticConfig]:
        """The class of its configurations; this imports torch."""
        module, name = self.config.split(":")
        found: type[CriticConfig] = getattr(import_module(module), name)
        return found

    def fits(self, row_shape: tuple[int, ...]) -> bool:
        """Whether the family takes rows of this shape, (d,) or (channels, height, width)."""
        return len(row_shape) == 3 or not self.needs_images

    def check_fits(self, row_shape: tuple[int, ...]) -> None:
        """Raise OptionError unless the family takes rows of this shape."""
        if not self.fits(row_shape):
            raise OptionError(f"critic {self.name!r} needs images, the rows have shape {row_shape}; use 'auto'")


FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family(
            "affine",
            "wdist.critics.affine:AffineConfig",
            "The best linear function: the difference of the means.",
            in_auto=True,
            is_fitted=True,
        ),
        Family(
            "sliced",
            "wdist.critics.sliced:SlicedConfig",
            "A piecewise linear function of the best one-dimensional projection.",
            in_auto=True,
            is_fitted=True,
        ),
        Family(
            "groupsort",
            "wdist.critics.groupsort:GroupSortConfig",
            "A dense net with orthogonal weights and sorted activations.",
            in_auto=True,
        ),
        Family(
            "cone",
            "wdist.critics.cone:ConeConfig",
            "The lowest of many cones, each at an anchor among the rows.",
            in_auto=True,
        ),
        Family(
            "bcop",
            "wdist.critics.bcop:BCOPConfig",
            "A convolutional net with orthogonal kernels, for images.",
            needs_images=True,
            step_cost=8.0,
        ),
    )
}


def find_family(name: str) -> Family:
    """The family of this name. Raises OptionError if there is none."""
    if name not in FAMILIES:
        raise OptionError(f"critic {name!r} is unknown; choose one of {', '.join(['auto', *FAMILIES])}")
    return FAMILIES[name]
