"""Optional rescaling of the columns. It changes the ground metric, so the result records it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wdist.data.moments import RunningMoments
from wdist.data.splits import Split
from wdist.errors import OptionError, SampleError
from wdist.rounding import UNIT_ROUNDOFF

if TYPE_CHECKING:
    from wdist.data.samples import SampleSet
    from wdist.data.tables.encoding import Encoding

Values = NDArray[np.float64]
Fitted = Sequence[tuple["SampleSet", Split]]

QUARTILES_OF_ONE_DEVIATION = 1.349  # distance of the quartiles of a normal distribution, in its deviations
QUANTILE_NUMBERS = 1 << 24  # select values held at once for quantiles: 128 MB
OF_THE_FIRST_SET = {"standardize": "reference", "robust": "robust_reference"}  # kinds in a matrix


@dataclass(frozen=True)
class Scaling:
    """x -> (x - center) / divisor for each value of a row: the metric becomes ||(x - y) / divisor||_2.

    kind: "none", "number", "vector"; "standardize" or "robust", fitted on both sets; "reference" or "robust_reference",
    the same fitted on the first set of a matrix, for all its pairs. divisor and center: float64, shape () or row_shape;
    data_divisor: 255 if uint8 images were already divided by it, else 1; fitted_on: what the sets are called whose
    select rows fixed divisor and center; is_constant: (d,), columns that were constant in these rows and keep their own
    unit.

    Of encoded rows (`wdist.data.tables.encoding`), and only of these: category_cost: the distance of two levels, which
    their columns' divisors make. missing: (d,), where missing numbers are put, if there may be some; fitted on the same
    rows as a center would be. is_of_first: whether these were of the first set of a matrix alone.
    """

    kind: str
    divisor: Values
    center: Values
    data_divisor: float = 1.0
    fitted_on: str = ""
    is_constant: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    category_cost: float | None = None
    missing: Values | None = None
    is_of_first: bool = False

    @property
    def is_centred(self) -> bool:
        """Whether rows of sets decided divisor and center."""
        return self.kind in (*OF_THE_FIRST_SET, *OF_THE_FIRST_SET.values())

    @property
    def is_fitted(self) -> bool:
        """Whether rows of sets decided something of the distance: divisor and center, or where missing values are."""
        return self.is_centred or self.missing is not None

    @classmethod
    def fit(
        cls,
        option: float | str | Sequence[float] | NDArray[Any] | None,
        source: SampleSet,
        target: SampleSet,
        source_split: Split,
        target_split: Split,
        reference: tuple[SampleSet, Split] | None = None,
        category_cost: float = 1.0,
    ) -> Scaling:
        """Build the scaling that `option` asks for. What depends on rows is fitted on the select rows of both sets.

        In a matrix it is fitted on those of `reference` alone, the first set: cells can be compared only if all pairs
        have one unit. An upper bound is false if its own rows decide the unit, and it needs the train rows: so it is
        select rows. Of encoded rows only numbers and times are rescaled; the divisors of the others are such that two
        levels are `category_cost` apart.

        Raises OptionError for an unknown name, a number that is not positive, or a vector of the wrong length;
        SampleError if the select rows hold values that are not finite.
        """
        fitted_on = [(source, source_split), (target, target_split)] if reference is None else [reference]
        encoding = source.encoding
        scaling = cls._of_numbers(option, source, fitted_on, is_of_first=reference is not None)
        return scaling if encoding is None else scaling._with_levels(encoding, category_cost, fitted_on)

    @classmethod
    def _of_numbers(
        cls, option: float | str | Sequence[float] | NDArray[Any] | None, source: SampleSet, fitted_on: Fitted, *,
        is_of_first: bool,
    ) -> Scaling:  # fmt: skip
        zero, one, data_divisor = np.zeros(()), np.ones(()), source.divisor
        if option is None or (isinstance(option, str) and option == "none"):
            return cls("none", one, zero, data_divisor)
        if isinstance(option, str):
            if option not in OF_THE_FIRST_SET:
                known = ", ".join(map(repr, OF_THE_FIRST_SET))
                raise OptionError(f"scale {option!r} is unknown; choose none, {known}, a number or a vector")
            center, spread = _select_moments(fitted_on)
            name = " and ".join(samples.name for samples, _ in fitted_on)
            is_constant = spread == 0
            if option == "robust":
                center, spread = _median_and_quartiles(fitted_on, center, spread)
            spread[is_constant] = 1.0  # a column that is constant in these rows keeps its own unit
            kind = OF_THE_FIRST_SET[option] if is_of_first else option
            return cls(kind, spread, center, data_divisor, name, is_constant.reshape(-1))
        divisor = np.asarray(option, dtype=np.float64)
        if not np.all(np.isfinite(divisor)) or not np.all(divisor > 0):
            raise OptionError("scale: every divisor must be a finite number above 0")
        if divisor.ndim == 0:
            return cls("number", divisor, zero, data_divisor)
        return cls("vector", _divisor_of_each(divisor, source), zero, data_divisor)

    def _with_levels(self, encoding: Encoding, category_cost: float, fitted_on: Fitted) -> Scaling:
        """The same for numbers and times, and the distance of two levels for the rest."""
        is_number, kinds = encoding.is_number, encoding.kinds
        cost = {"level": math.sqrt(2) / category_cost, "indicator": 1 / category_cost}
        divisor = np.array([cost.get(kind, 1.0) for kind in kinds])
        divisor[is_number] = np.broadcast_to(self.divisor, len(kinds))[is_number]
        center = np.where(is_number, self.center, 0.0) if self.is_centred else self.center
        is_optional = np.array([kind == "optional" for kind in kinds])
        missing = None
        if is_optional.any():
            middle = self.center if self.is_centred else _select_moments(fitted_on)[0]
            missing = np.where(is_optional, middle, 0.0)
        constant = self.is_constant & is_number if len(self.is_constant) else self.is_constant
        return replace(
            self, divisor=divisor, center=center, is_constant=constant, category_cost=category_cost, missing=missing,
            is_of_first=len(fitted_on) == 1, fitted_on=" and ".join(samples.name for samples, _ in fitted_on),
        )  # fmt: skip

    def apply(self, rows: Values) -> Values:
        """Rescale rows (len, *row_shape), as `SampleSet.rows` returns them; missing values are put at their place."""
        if self.missing is not None:
            rows = np.where(np.isnan(rows), self.missing, rows)
        is_plain = self.kind == "none" and self.category_cost is None
        return rows if is_plain else (rows - self.center) / self.divisor

    def apply_with_rounding(self, rows: Values, relative: float) -> tuple[Values, Values]:
        """`apply(rows)`, and a bound (len,) on the Euclidean distance of each of its rows from the exact one.

        relative: largest relative error of a value of `rows`, see `SampleSet.rounding`.
        """
        rescaled, error = self.apply(rows), np.zeros(len(rows))
        if relative:
            error += relative * _norms(rows / self.divisor)
        if self.divisor.ndim or self.kind != "none":  # the difference and the quotient are each rounded once
            error += 2 * UNIT_ROUNDOFF * _norms(rescaled)
        return rescaled, error * (1 + 1e-6)  # for the rounding of this bound itself

    def to_json(self) -> dict[str, Any]:
        """The exact scaling as plain JSON: {"kind", "divisor", "center", "data_divisor"}.

        Of encoded rows also {"category_cost", "missing"}, the latter null or {"center", "is_of_first"}.
        """
        stored = {
            "kind": self.kind,
            "divisor": self.divisor.tolist(),
            "center": self.center.tolist(),
            "data_divisor": self.data_divisor,
        }
        if self.category_cost is None:
            return stored
        missing = None
        if self.missing is not None:
            missing = {"center": self.missing.tolist(), "is_of_first": self.is_of_first}
        return stored | {"category_cost": self.category_cost, "missing": missing}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Scaling:
        """The inverse of `to_json`."""
        missing = stored.get("missing")
        return cls(
            str(stored["kind"]),
            np.asarray(stored["divisor"], dtype=np.float64),
            np.asarray(stored["center"], dtype=np.float64),
            float(stored["data_divisor"]),
            category_cost=stored.get("category_cost"),
            missing=None if missing is None else np.asarray(missing["center"], dtype=np.float64),
            is_of_first=missing is not None and bool(missing["is_of_first"]),
        )


def _norms(rows: Values) -> Values:
    norms: Values = np.linalg.norm(rows.reshape(len(rows), -1), axis=1)
    return norms


def _divisor_of_each(divisor: Values, source: SampleSet) -> Values:
    """A divisor for each number of a row; those of tables are given for numbers and times alone."""
    if source.encoding is None:
        if divisor.size != source.dimension:
            raise OptionError(f"scale: {divisor.size} divisors were given for {source.dimension} numbers a row")
        return divisor.reshape(source.row_shape)
    is_number = source.encoding.is_number
    if divisor.size != is_number.sum():
        names = [name for name, each in zip(source.encoding.names, is_number, strict=True) if each]
        raise OptionError(
            f"scale: {divisor.size} divisors were given for {len(names)} columns of numbers and times "
            f"({', '.join(names)[:300]}); give one for each of these"
        )
    every = np.ones(source.row_shape)
    every[is_number] = divisor.ravel()
    return every


def _select_moments(sets: Fitted) -> tuple[Values, Values]:
    """Mean and standard deviation, each of row_shape, of the pooled select rows of the sets, streamed.

    They are those of the values that are not missing, and 0 where all are. Raises SampleError for values that are not
    finite.
    """
    moments, rows = RunningMoments(sets[0][0].row_shape), sum(len(split.select) for _, split in sets)
    for samples, split in sets:
        for block in samples.blocks(np.sort(split.select)):  # in file order: one sweep over the mapped pages
            moments.add(block)
    lost = (moments.count < rows).reshape(-1) & ~sets[0][0].may_be_missing
    if lost.any() or not np.isfinite(moments.deviation).all():
        name = " and ".join(samples.name for samples, _ in sets)
        raise SampleError(f"{name}: select rows, which fix the scale, hold values that are not finite")
    return moments.mean, moments.deviation


def _median_and_quartiles(sets: Fitted, mean: Values, deviation: Values) -> tuple[Values, Values]:
    """Median, and distance of the quartiles over 1.349, of the pooled select rows; quantiles interpolate linearly.

    Where the quartiles are equal, the deviation. Columns of levels are left as they are: nothing reads them.
    """
    samples = sets[0][0]
    wanted = np.ones(samples.dimension, dtype=bool) if samples.encoding is None else samples.encoding.is_number
    center, spread = mean.reshape(-1).copy(), deviation.reshape(-1).copy()
    rows = sum(len(split.select) for _, split in sets)
    columns = np.flatnonzero(wanted)
    step = max(1, QUANTILE_NUMBERS // rows)
    for part in (columns[start : start + step] for start in range(0, len(columns), step)):
        values = np.concatenate(list(_columns_of(sets, part)))
        for column, own in zip(part, values.T, strict=True):
            present = own[~np.isnan(own)]
            if len(present):
                low, center[column], high = np.quantile(present, (0.25, 0.5, 0.75))
                spread[column] = (high - low) / QUARTILES_OF_ONE_DEVIATION or spread[column]
    return center.reshape(mean.shape), spread.reshape(mean.shape)


def _columns_of(sets: Fitted, columns: NDArray[np.int64]) -> Iterator[Values]:
    for samples, split in sets:
        for block in samples.blocks(np.sort(split.select)):
            yield block.reshape(len(block), -1)[:, columns]


def unit_in_words(source: SampleSet, scale: Scaling) -> str:
    """The unit of the distance, in words."""
    of_columns = {
        "standardize": "standard deviations of each column",
        "robust": "quartile distances / 1.349 of each column",
        "reference": f"standard deviations of each column of {scale.fitted_on}",
        "robust_reference": f"quartile distances / 1.349 of each column of {scale.fitted_on}",
    }
    match scale.kind:
        case "none" if source.divisor != 1:
            unit = "Euclidean distance between images with pixels in [0, 1]"
        case "none":
            unit = "Euclidean distance in the data's own units"
        case kind if kind in of_columns:
            unit = f"Euclidean distance in {of_columns[kind]}"
        case _:
            unit = "Euclidean distance after division by the given scale"
    if source.encoding is not None and not scale.is_centred:
        times = sorted({column.unit for column in source.encoding.schema.columns if column.unit is not None})
        unit += f", times in {' and '.join(times)}" if times else ""
    if scale.category_cost is None or source.encoding is None or source.encoding.is_number.all():
        return unit
    return f"{unit}; two levels of a category are {scale.category_cost:g} apart"
