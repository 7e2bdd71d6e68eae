"""The columns of encoded rows: what each may hold, and the divisors that put levels at their distance."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..container import CertificateError, shown

LARGEST = float(np.finfo(np.float32).max)  # of the values of rows
MOST_COLUMNS = 1 << 20  # of encoded rows
WIDTHS = {"number": 1, "optional": 2, "indicator": 1}


@dataclass(frozen=True)
class Columns:
    """The columns of encoded rows: numbers, some of which may be missing, indicators, and the levels of categories.

    is_number, is_optional: (d,); an optional number is NaN where it is missing, and an indicator follows it. levels:
    where those of each category are.
    """

    is_number: NDArray[np.bool_]
    is_optional: NDArray[np.bool_]
    levels: list[slice]

    @classmethod
    def from_json(cls, stored: Any) -> "Columns":
        """Read and check the field "kinds". Raises CertificateError."""
        if not isinstance(stored, list) or not stored:
            raise CertificateError(f"kinds of columns are a list of pairs, not {shown(stored)}")
        kinds: list[str] = []
        levels = []
        for pair in stored:
            if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and type(pair[1]) is int):
                raise CertificateError(f"{shown(pair)} is no kind of a column, and how many there are of it")
            kind, width = pair
            if not (1 <= width <= MOST_COLUMNS and (kind == "levels" or WIDTHS.get(kind) == width)):
                raise CertificateError(f"{shown(pair)} is no kind of a column, or has another width")
            if kind == "levels":
                levels.append(slice(len(kinds), len(kinds) + width))
            kinds += [kind, "indicator"] if kind == "optional" else [kind] * width
            if len(kinds) > MOST_COLUMNS:
                raise CertificateError(f"rows have more than {MOST_COLUMNS} columns")
        names = np.array(kinds)
        return cls(np.isin(names, ["number", "optional"]), names == "optional", levels)

    @property
    def costly(self) -> int:
        """How many columns of the table have levels, a level of missing values included."""
        flags, one_hot = np.count_nonzero(~self.is_number), sum(int(each.stop - each.start) for each in self.levels)
        return int(flags) - one_hot + len(self.levels)

    def divisors(self, cost: float) -> NDArray[np.float64]:
        """Of indicators and levels: two levels are then at distance `cost`. 1 for numbers."""
        divisors = np.where(self.is_number, 1.0, 1.0 / cost)
        for each in self.levels:
            divisors[each] = math.sqrt(2.0) / cost
        return divisors

    def fits(self, block: NDArray[np.float64], *, every_level_is_known: bool) -> NDArray[np.bool_]:
        """(n,): which rows are encoded ones. Of a category one column is 1; unknown levels have none."""
        missing = np.isnan(block)
        fits: Any = ((np.abs(block) <= LARGEST) | (missing & self.is_optional)).all(axis=1)
        flags = block[:, ~self.is_number]
        fits &= ((flags == 0) | (flags == 1)).all(axis=1)
        places = np.flatnonzero(self.is_optional)
        fits &= ((block[:, places + 1] == 1) == missing[:, places]).all(axis=1)
        for each in self.levels:
            known = block[:, each].sum(axis=1)
            fits &= (known == 1) if every_level_is_known else (known <= 1)
        return np.asarray(fits)
