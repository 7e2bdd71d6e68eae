"""A cell of the study: a kind of data, and the statements that are made about it in every run."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from wdist.errors import SampleError

ALPHA = 0.05
REFUSED = "refused"
ABOVE = ", above its value"

Layer = Literal["statement", "whole", "control"]
Wrong = Mapping[str, bool]


@dataclass(frozen=True)
class Cell:
    """A kind of data with a known W1.

    Attributes:
        name: seeds come from it, so that a cell's runs do not depend on the other cells.
        about: the data in a few words, for the tables.
        allowed: for each statement, the probability with which it may be wrong. None: it promises nothing, and is only
            counted.
        run: makes the statements about one fresh sample, drawn with the generator, and tells which are wrong. The
            number is that of the run, and seeds the split and the tests.
        layer: "statement" has critics that are known to be optimal, "whole" trains them, and "control" makes mistakes
            on purpose.
        most: runs at most, where one takes too long for as many as the layer asks for.
    """

    name: str
    about: str
    allowed: Mapping[str, float | None]
    run: Callable[[np.random.Generator, int], Wrong]
    layer: Layer = "statement"
    most: int | None = None

    def wanted(self, runs: Mapping[str, int]) -> int:
        """How many runs a complete study makes, if its layers ask for `runs`."""
        asked = runs[self.layer]
        return asked if self.most is None else min(asked, self.most)

    def count(self, first: int, runs: int) -> dict[str, int]:
        """How often each statement was wrong in the runs from number `first` on, and how often there was none.

        The library refuses samples such as two sets of one and the same value.
        """
        total = dict.fromkeys((*self.allowed, REFUSED), 0)
        for number in range(first, first + runs):
            try:
                for statement, is_wrong in self.run(self._generator(number), number).items():
                    total[statement] += bool(is_wrong)
            except SampleError:
                total[REFUSED] += 1
        return total

    def _generator(self, number: int) -> np.random.Generator:
        return np.random.default_rng([zlib.crc32(self.name.encode()), number])


def several(*cells: Iterator[Cell]) -> dict[str, Cell]:
    """Cells by name. Raises ValueError for two of one name, which would draw the same samples."""
    found: dict[str, Cell] = {}
    for cell in (each for group in cells for each in group):
        if cell.name in found:
            raise ValueError(f"two cells are named {cell.name!r}")
        found[cell.name] = cell
    return found
