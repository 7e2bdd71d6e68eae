"""Mixed tables against exact transport under the same metric, which POT solves on distances of the raw values.

    .venv/bin/python benchmarks/mixed.py [--tables 20] [--rows 500] [--steps 400]

Random tables of numbers, booleans, categories and missing values, some with levels that only one set or only test rows
have. The distance of two raw rows is computed here as docs/guides/tables.md defines it, without the library. Printed of
each pair of tables:

- `error`: largest difference between the distances of the raw and of the encoded rows, over the largest distance.
- `value`: what the critic shows on held-out rows, and `exact`, W1 between these same rows by POT. A 1-Lipschitz critic
  never shows more. `share` is the one over the other; every other pair lies far apart in its numbers, where a critic
  can show nearly all of it. Elsewhere most of `exact` is its bias: 200 rows of one population are not those of another.
- `cost`: what the plan of the upper end costs, over W1 between the rows that it moves. A plan never costs less.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wdist import estimate_w1
from wdist.data.samples import encode_together, open_samples
from wdist.data.scaling import Scaling
from wdist.data.tables.encoding import Encoding
from wdist.definitions.reading import Selection
from wdist.result import Result
from wdist.transport.pot import load_emd2

Values = NDArray[np.float64]
SCALES = ("standardize", "robust", None, 2.5)


@dataclass(frozen=True)
class Tables:
    """A pair of raw tables and how they are compared."""

    source: pd.DataFrame
    target: pd.DataFrame
    numbers: list[str]
    categories: list[str]
    is_apart: bool
    options: Mapping[str, Any]


def random_tables(number: int, rows: int) -> Tables:
    """The pair of this number. Those of odd number lie far apart."""
    generator = np.random.default_rng([18, number])
    counts = {
        "number": generator.integers(1, 4),
        "category": generator.integers(1, 4),
        "boolean": generator.integers(3),
    }
    is_apart, has_missing = number % 2 == 1, number % 4 < 2
    shares = generator.uniform(0.02, 0.15, 8) if has_missing else np.zeros(8)
    sides: list[dict[str, Any]] = []
    for side in (0, 1):
        table: dict[str, Any] = {}
        for k in range(counts["number"]):
            table[f"number {k}"] = _numbers(generator, rows, k + number, 12.0 * side if is_apart else 0.5 * side)
        for k in range(counts["category"]):
            table[f"category {k}"] = _levels(generator, rows, 3 + k, side, is_apart=is_apart)
        for k in range(counts["boolean"]):
            table[f"boolean {k}"] = (generator.random(rows) < 0.3 + 0.2 * side).astype(object)
        for share, name in zip(shares, table, strict=False):
            table[name] = [
                None if lost else value for lost, value in zip(generator.random(rows) < share, table[name], strict=True)
            ]
        sides.append(table)
    numbers = [name for name in sides[0] if name.startswith("number")]
    categories = [name for name in sides[0] if name.startswith("category")]
    frames = [_frame(side) for side in sides]
    cost = float(generator.uniform(0.2, 0.6) if is_apart else generator.uniform(0.3, 3))
    options = {"scale": SCALES[number // 2 % len(SCALES)], "category_cost": cost}
    reading = {"categories": categories, "missing": "level" if has_missing else "error"}
    return Tables(frames[0], frames[1], numbers, categories, is_apart, options | reading)


def _numbers(generator: np.random.Generator, rows: int, kind: int, shift: float) -> Values:
    match kind % 3:
        case 0:
            return generator.normal(shift, 1, rows)
        case 1:
            return generator.lognormal(0, 0.7, rows) + shift
    return generator.poisson(2, rows) + np.round(shift)


def _levels(generator: np.random.Generator, rows: int, count: int, side: int, *, is_apart: bool) -> list[str]:
    """Levels of which the sides share some, and rare ones that few rows have, so that most are in no train row."""
    names = [f"level {k + (count if is_apart else 1) * side}" for k in range(count)]
    chosen = generator.choice(names, rows).tolist()
    for row in generator.choice(rows, 6, replace=False):
        chosen[row] = f"rare {side} {row}"
    return chosen


def _frame(table: Mapping[str, Any]) -> pd.DataFrame:
    columns = {
        name: pd.array(list(values), dtype="boolean" if name.startswith("boolean") else None)
        if not name.startswith("number")
        else pd.array([np.nan if value is None else value for value in values], dtype="float64")
        for name, values in table.items()
    }
    return pd.DataFrame(columns)


def raw_distances(x: pd.DataFrame, y: pd.DataFrame, tables: Tables, scale: Mapping[str, Any]) -> Values:
    """Distances of the raw rows, (n, m), from the divisors and centres of the numbers that the result states.

    sqrt of the sum over columns: ((a - b) / s)^2 of numbers, c^2 where levels differ, and of a number and a missing one
    c^2 + ((a - centre) / s)^2.
    """
    cost, total = tables.options["category_cost"], np.zeros((len(x), len(y)))
    for name in x.columns:
        lost = [np.asarray(each[name].isna()) for each in (x, y)]
        if name in tables.numbers:
            divisor, center = number_scale(scale, tables, name)
            one, other = (
                np.where(gone, center, each[name].to_numpy(dtype=np.float64, na_value=np.nan))
                for gone, each in zip(lost, (x, y), strict=True)
            )
            total += ((one[:, None] - other) / divisor) ** 2
            total += cost**2 * (lost[0][:, None] != lost[1])
        else:
            one, other = (
                np.where(gone, "(missing)", each[name].astype(str)) for gone, each in zip(lost, (x, y), strict=True)
            )
            total += cost**2 * (one[:, None] != other)
    return np.sqrt(total)


def number_scale(scale: Mapping[str, Any], tables: Tables, name: str) -> tuple[float, float]:
    """The divisor of a column of numbers, and where its missing values are."""
    places = encoding_of(tables).names
    place = places.index(name)
    missing = scale["missing"]
    center = missing["center"][place] if missing is not None else 0.0
    return float(np.broadcast_to(scale["divisor"], len(places))[place]), float(center)


def encoding_of(tables: Tables) -> Encoding:
    encoding = encoded(tables)[0].encoding
    assert encoding is not None
    return encoding


def encoded(tables: Tables) -> list[Any]:
    """Both sets as rows of the same columns."""
    take = Selection(categories=tables.categories, missing=tables.options["missing"])
    sides = {"source": tables.source, "target": tables.target}
    return encode_together(*(open_samples(frame, name, take=take) for name, frame in sides.items()))


def encoded_distances(tables: Tables, scale: Mapping[str, Any]) -> Values:
    """Euclidean distances of the encoded and rescaled rows, (n, m), each from the differences."""
    scaling = Scaling.from_json(dict(scale))
    x, y = (scaling.apply(samples.rows(slice(None))) for samples in encoded(tables))
    return np.stack([np.sqrt(np.square(y - row).sum(axis=1)) for row in x])


@dataclass(frozen=True)
class Compared:
    """Figures of one pair: see the head of this file."""

    error: float
    value: float
    exact: float
    cost: float
    result: Result

    @property
    def share(self) -> float:
        return self.value / self.exact


def compare(tables: Tables, steps: int) -> Compared:
    """Estimate, and solve transport between the same rows under the distances of the raw values."""
    result = estimate_w1(tables.source, tables.target, steps=steps, baseline_rows=0, empirical=False, **tables.options)
    distances = raw_distances(tables.source, tables.target, tables, result.scale)
    error = float(np.abs(distances - encoded_distances(tables, result.scale)).max() / distances.max())
    emd2 = load_emd2()
    held_out = distances[np.ix_(result.witness.source_rows, result.witness.target_rows)]
    return Compared(error, result.value, exact(held_out, emd2), moved_over_least(result, distances, emd2), result)


def exact(distances: Values, emd2: Any) -> float:
    """W1 between rows of equal weight, by POT."""
    n, m = distances.shape
    return float(emd2(np.full(n, 1 / n), np.full(m, 1 / m), distances, numItermax=10_000_000))


def moved_over_least(result: Result, distances: Values, emd2: Any) -> float:
    """The cost of the certified plan by the raw distances, over the least cost between the same rows."""
    tensors = result.certificate.tensors
    source, target, mass = (tensors[f"plan.{name}"] for name in ("source", "target", "mass"))
    cost = float(mass @ distances[source, target])
    return cost / exact(distances[np.ix_(np.unique(source), np.unique(target))], emd2)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tables", type=int, default=20)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--steps", type=int, default=400)
    given = parser.parse_args(arguments)
    print("| pair | columns | encoded | scale | cost c | missing | error | value | exact | share | plan |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for number in range(given.tables):
        tables = random_tables(number, given.rows)
        found = compare(tables, given.steps)
        told = [
            f"{number}{', apart' if tables.is_apart else ''}",
            len(tables.source.columns),
            len(encoding_of(tables).columns),
            tables.options["scale"],
            f"{tables.options['category_cost']:.2f}",
            tables.options["missing"],
            f"{found.error:.0e}",
            *(f"{figure:.4f}" for figure in (found.value, found.exact)),
            *(f"{figure:.3f}" for figure in (found.share, found.cost)),
        ]
        print("| " + " | ".join(map(str, told)) + " |", flush=True)


if __name__ == "__main__":
    main()
