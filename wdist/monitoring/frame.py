"""How rows are measured when many sets, which come one after another, are compared with one reference.

Encoding and ruler come from the reference alone, so that all figures are in one unit and a critic that was trained once
can score every later set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from wdist.data.pair import TrainingUnits, training_units
from wdist.data.samples import SampleSet, encode_together
from wdist.data.scaling import Scaling
from wdist.data.splits import Split
from wdist.data.tables.encoding import Encoding
from wdist.data.tables.schema import TableSchema
from wdist.errors import SampleError

OTHERS = "any other level"
_BLOCK_ROWS = 1 << 16


@dataclass(frozen=True)
class Frame:
    """What the reference fixes for all sets that are compared with it.

    The map from rows as transport measures them to rows of the frame is 1-Lipschitz, so that a bound on the distance
    of framed rows is one on the distance of rows.

    Attributes:
        encoding: of tables with categories, dates, booleans or missing values; else None. Its levels are those of the
            reference's train rows, and one for all others.
        scaling: of framed rows, fitted on the reference's select rows.
        training: the units of training, from the reference's train rows.
    """

    encoding: Encoding | None
    scaling: Scaling
    training: TrainingUnits

    @classmethod
    def of(cls, reference: SampleSet, split: Split, scale: Any, category_cost: float) -> Self:
        """The frame of a reference and its split; scale, category_cost: as in `wdist.options.Options`."""
        encoding = None if reference.table is None else Encoding.of([_seen(reference, reference.table, split)])
        framed = reference if encoding is None else _with_others(reference, encoding).encoded(encoding)
        scaling = Scaling.fit(scale, framed, framed, split, split, (framed, split), category_cost)
        return cls(encoding, scaling, training_units(scaling, [(framed, split)]))

    def framed(self, samples: SampleSet) -> SampleSet:
        """The rows of a set as critics see them. Raises SampleError for other columns or kinds of columns."""
        has_missing = self.encoding is not None and self.encoding.schema.has_levels_of_missing
        if samples.table is not None and samples.table.has_levels_of_missing and not has_missing:
            raise SampleError(
                f"{samples.name} has missing values as levels, and the reference has none: create the monitor anew "
                "with a reference that is read with missing='level', too"
            )
        return samples if self.encoding is None else _with_others(samples, self.encoding).encoded(self.encoding)

    def together(self, reference: SampleSet, samples: SampleSet) -> tuple[SampleSet, SampleSet, Scaling]:
        """Reference and set as transport measures them, and their scaling: levels that the frame lacks are apart."""
        if self.encoding is None:
            return reference, samples, self.scaling
        first, second = encode_together(reference, samples)
        assert first.encoding is not None  # noqa: S101 - the reference is a table of codes
        return first, second, self._scaling_of(self.encoding, first.encoding)

    def _scaling_of(self, own: Encoding, other: Encoding) -> Scaling:
        """This scaling for rows of another encoding of the same columns of a table."""
        places = {int(own.table_columns[at]): int(at) for at in np.flatnonzero(own.is_number)}
        of_levels = {kind: self.scaling.divisor[at] for at, kind in enumerate(own.kinds) if not own.is_number[at]}
        at = [places.get(int(k), -1) for k in other.table_columns]
        is_number = other.is_number
        divisor = np.array(
            [
                self.scaling.divisor[place] if number else of_levels[kind]
                for place, number, kind in zip(at, is_number, other.kinds, strict=True)
            ]
        )

        def carried(values: Any) -> Any:
            return values if values is None or not values.ndim else np.where(is_number, values[at], 0.0)

        scaling = self.scaling
        return replace(scaling, divisor=divisor, center=carried(scaling.center), missing=carried(scaling.missing))

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types, exact to the bit."""
        return {
            "encoding": None if self.encoding is None else self.encoding.to_json(),
            "scaling": self.scaling.to_json(),
            "is_constant": self.scaling.is_constant.tolist(),
            "fitted_on": self.scaling.fitted_on,
            "shift": self.training.shift.tolist(),
            "unit": self.training.unit,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        encoding = stored["encoding"]
        return cls(
            None if encoding is None else Encoding.from_json(encoding),
            replace(
                Scaling.from_json(stored["scaling"]),
                is_constant=np.array(stored["is_constant"], dtype=np.bool_),
                fitted_on=str(stored["fitted_on"]),
            ),
            TrainingUnits(np.array(stored["shift"], dtype=np.float64), float(stored["unit"])),
        )


def with_table(samples: SampleSet) -> SampleSet:
    """The same set with a schema, if missing values are levels: later sets may have some, even if this one has none."""
    if samples.take.missing != "level" or samples.array.ndim != 2:
        return samples
    table = samples.table or TableSchema.of_numbers(samples.columns)
    return _of_schema(samples, replace(table, has_levels_of_missing=True))


def _seen(samples: SampleSet, table: TableSchema, split: Split) -> TableSchema:
    """The schema with the levels of train rows, and one for all others: no critic may know those of test rows."""
    categories = [k for k, column in enumerate(table.columns) if column.kind == "category"]
    if not categories:
        return table
    seen: dict[int, set[int]] = {k: set() for k in categories}
    train = np.sort(split.train)
    for start in range(0, len(train), _BLOCK_ROWS):
        codes = np.asarray(samples.array[train[start : start + _BLOCK_ROWS]])
        for k in categories:
            seen[k].update(np.unique(codes[~np.isnan(codes[:, k]), k]).astype(int).tolist())
    columns = list(table.columns)
    for k, places in seen.items():
        columns[k] = replace(columns[k], levels=(*(columns[k].levels[place] for place in sorted(places)), OTHERS))
    return replace(table, columns=tuple(columns))


def _with_others(samples: SampleSet, encoding: Encoding) -> SampleSet:
    """The same set, with one name for all levels that the encoding lacks."""
    if samples.table is None:
        return samples
    columns = list(samples.table.columns)
    for k, known in enumerate(encoding.schema.columns[: len(columns)]):
        if columns[k].kind == known.kind == "category":
            levels = tuple(level if level in known.levels else OTHERS for level in columns[k].levels)
            columns[k] = replace(columns[k], levels=levels)
    return _of_schema(samples, replace(samples.table, columns=tuple(columns)))


def _of_schema(samples: SampleSet, table: TableSchema) -> SampleSet:
    return SampleSet(
        samples.array, samples.name, None, samples.names, table=table, notes=samples.notes, take=samples.take,
        file=samples.file, kept=samples.kept,
    )  # fmt: skip
