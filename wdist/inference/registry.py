"""The methods of the lower bound, and what can be known of each without loading it.

A new method is one class and one entry here. To verify its certificates, `wdist.verify` needs a copy of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from wdist.errors import OptionError

if TYPE_CHECKING:
    from wdist.inference.base import BoundMethod


@dataclass(frozen=True)
class Method:
    """One method of bounding a difference of means.

    Attributes:
        implementation: 'module:class', a `wdist.inference.base.BoundMethod`; imported by `load`.
        help: one sentence for users.
        needs_independent_sets: whether the two sets must be independent of each other, so that no group may be in both.
    """

    name: str
    implementation: str
    help: str
    needs_independent_sets: bool = False

    def load(self) -> BoundMethod:
        """The method itself."""
        module, name = self.implementation.split(":")
        method: BoundMethod = getattr(import_module(module), name)()
        return method


METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method(
            "betting",
            "wdist.inference.betting:Betting",
            "A bet on each mean (Waudby-Smith and Ramdas), for sets that are not independent of each other.",
        ),
        Method(
            "empirical_bernstein",
            "wdist.inference.empirical_bernstein:EmpiricalBernstein",
            "A closed form for each mean, from its variance (Maurer and Pontil).",
        ),
        Method(
            "paired_betting",
            "wdist.inference.betting:PairedBetting",
            "A bet on differences of rows, whose margin is about a third smaller; it needs independent sets.",
            needs_independent_sets=True,
        ),
        Method(
            "target_stakes",
            "wdist.inference.target_stakes:TargetStakes",
            "A bet on differences of rows whose stakes aim at the threshold, with the smallest margin; it needs "
            "independent sets, except for groups.",
        ),
    )
}


def find_method(name: str) -> Method:
    """The method of this name. Raises OptionError if there is none."""
    if name not in METHODS:
        raise OptionError(f"method {name!r} is unknown; choose one of {', '.join(METHODS)}")
    return METHODS[name]
