"""Optional rescaling of the columns. It changes the ground metric, so the result records it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wdist.data.splits import Split
from wdist.errors import OptionError, SampleError
from wdist.rounding import UNIT_ROUNDOFF

if TYPE_CHECKING:
    from wdist.data.samples import SampleSet


@dataclass(frozen=True)
class Scaling:
    """x -> (x - center) / divisor for each value of a row: the metric becomes ||(x - y) / divisor||_2.

    kind: "none", "number", "vector", "standardize" (fitted on both sets) or "reference" (fitted on the first set of a
    matrix, the same for all its pairs); divisor and center: float64, shape () or row_shape; data_divisor: 255 if uint8
    images were already divided by it, else 1; fitted_on: what the sets are called whose select rows fixed divisor and
    center; is_constant: (d,), columns that were constant in these rows and keep their own unit.
    """

    kind: str
    divisor: NDArray[np.float64]
    center: NDArray[np.float64]
    data_divisor: float = 1.0
    fitted_on: str = ""
    is_constant: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))

    @property
    def is_fitted(self) -> bool:
        """Whether rows of sets decided divisor and center."""
        return self.kind in ("standardize", "reference")

    @classmethod
    def fit(
        cls,
        option: float | str | Sequence[float] | NDArray[Any] | None,
        source: "SampleSet",
        target: "SampleSet",
        source_split: Split,
        target_split: Split,
        reference: "tuple[SampleSet, Split] | None" = None,
    ) -> "Scaling":
        """Build the scaling that `option` asks for. "standardize" is fitted on the select rows of both sets.

        In a matrix it is fitted on those of `reference` alone, the first set: cells can be compared only if all pairs
        have one unit. An upper bound is false if its own rows decide the unit, and it needs the train rows: so it is
        select rows.

        Raises OptionError for an unknown name, a number that is not positive, or a vector of the wrong length;
        SampleError if the select rows hold values that are not finite.
        """
        zero, one, data_divisor = np.zeros(()), np.ones(()), source.divisor
        if option is None or (isinstance(option, str) and option == "none"):
            return cls("none", one, zero, data_divisor)
        if isinstance(option, str):
            if option != "standardize":
                raise OptionError(f"scale {option!r} is unknown; choose none, 'standardize', a number or a vector")
            fitted_on = [(source, source_split), (target, target_split)] if reference is None else [reference]
            center, deviation = _select_moments(fitted_on)
            name = " and ".join(samples.name for samples, _ in fitted_on)
            if not np.isfinite(deviation).all():
                raise SampleError(f"{name}: select rows, which fix the scale, hold values that are not finite")
            is_constant = deviation == 0
            deviation[is_constant] = 1.0  # a column that is constant in these rows keeps its own unit
            kind = "standardize" if reference is None else "reference"
            return cls(kind, deviation, center, data_divisor, name, is_constant.reshape(-1))
        divisor = np.asarray(option, dtype=np.float64)
        if not np.all(np.isfinite(divisor)) or not np.all(divisor > 0):
            raise OptionError("scale: every divisor must be a finite number above 0")
        if divisor.ndim == 0:
            return cls("number", divisor, zero, data_divisor)
        if divisor.size != source.dimension:
            raise OptionError(f"scale: {divisor.size} divisors were given for {source.dimension} numbers a row")
        return cls("vector", divisor.reshape(source.row_shape), zero, data_divisor)

    def apply(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rescale rows (len, *row_shape), as `SampleSet.rows` returns them."""
        return rows if self.kind == "none" else (rows - self.center) / self.divisor

    def apply_with_rounding(
        self, rows: NDArray[np.float64], relative: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """`apply(rows)`, and a bound (len,) on the Euclidean distance of each of its rows from the exact one.

        relative: largest relative error of a value of `rows`, see `SampleSet.rounding`.
        """
        rescaled, error = self.apply(rows), np.zeros(len(rows))
        if relative:
            error += relative * _norms(rows / self.divisor)
        if self.kind != "none":  # the difference and the quotient are each rounded once
            error += 2 * UNIT_ROUNDOFF * _norms(rescaled)
        return rescaled, error * (1 + 1e-6)  # for the rounding of this bound itself

    def to_json(self) -> dict[str, Any]:
        """The exact scaling as plain JSON: {"kind", "divisor", "center", "data_divisor"}."""
        return {
            "kind": self.kind,
            "divisor": self.divisor.tolist(),
            "center": self.center.tolist(),
            "data_divisor": self.data_divisor,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Scaling":
        """The inverse of `to_json`."""
        return cls(
            str(stored["kind"]),
            np.asarray(stored["divisor"], dtype=np.float64),
            np.asarray(stored["center"], dtype=np.float64),
            float(stored["data_divisor"]),
        )


def _norms(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    norms: NDArray[np.float64] = np.linalg.norm(rows.reshape(len(rows), -1), axis=1)
    return norms


def _select_moments(sets: "list[tuple[SampleSet, Split]]") -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation, each of row_shape, of the pooled select rows of the sets, streamed.

    The deviation is exactly 0 where all values are equal, although the mean of equal numbers may be rounded. It is
    computed from differences to one row, so that an offset costs it no digit: `wdist.verify` derives it to 1e-9.
    """
    samples, split = sets[0]
    first, shape = samples.rows(np.sort(split.select)[:1])[0], samples.row_shape
    count, mean, squares = 0, np.zeros(shape), np.zeros(shape)
    lowest, highest = np.full(shape, np.inf), np.full(shape, -np.inf)
    for samples, split in sets:
        for block in samples.blocks(np.sort(split.select)):  # in file order: one sweep over the mapped pages
            np.minimum(lowest, block.min(axis=0), out=lowest)
            np.maximum(highest, block.max(axis=0), out=highest)
            block -= first
            block_mean = block.mean(axis=0)
            shift = block_mean - mean
            share = len(block) / (count + len(block))
            squares += np.square(block - block_mean).sum(axis=0) + shift**2 * count * share
            mean = mean + shift * share
            count += len(block)
    return first + mean, np.where(lowest == highest, 0.0, np.sqrt(squares / count))
