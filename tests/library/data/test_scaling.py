"""Rescaling of columns: where it is fitted, and how it rounds."""

from fractions import Fraction

import numpy as np
import pytest

from wdist.data.samples import open_samples
from wdist.data.scaling import Scaling
from wdist.data.splits import split_rows
from wdist.errors import OptionError


def table(n: int = 200, d: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def fitted(option: object, x: np.ndarray, y: np.ndarray) -> Scaling:
    source, target = open_samples(x, "source"), open_samples(y, "target")
    return Scaling.fit(option, source, target, split_rows(len(x), 0, 0), split_rows(len(y), 0, 1))  # type: ignore[arg-type]


def test_standardize_looks_at_select_rows_only() -> None:
    x, y = table(300) * 5 + 2, table(200, seed=1)
    scale = fitted("standardize", x, y)
    select = np.concatenate([x[split_rows(300, 0, 0).select], y[split_rows(200, 0, 1).select]]).astype(np.float64)
    np.testing.assert_allclose(scale.divisor, select.std(axis=0), rtol=1e-12)
    np.testing.assert_allclose(scale.center, select.mean(axis=0), atol=1e-12)
    for side, rows in enumerate((x, y)):
        for part in ("train", "test"):
            rows[getattr(split_rows(len(rows), 0, side), part)] *= 1_000
    np.testing.assert_array_equal(fitted("standardize", x, y).divisor, scale.divisor)


def test_constant_columns_survive_standardizing() -> None:
    x = table()
    x[:, 1] = 4
    scaled = fitted("standardize", x, x).apply(x)
    np.testing.assert_array_equal(scaled[:, 1], 0)


def test_an_offset_costs_deviations_no_digit() -> None:
    generator = np.random.default_rng(2)
    x, y = (np.round(8 * generator.standard_normal((300, 3))) / 8 for _ in range(2))  # exact at 1e15, too
    near, far = fitted("standardize", x, y), fitted("standardize", x + 1e15, y + 1e15)
    np.testing.assert_allclose(far.divisor, near.divisor, rtol=1e-12)


def test_numbers_and_vectors_divide() -> None:
    x = table()
    np.testing.assert_array_equal(fitted(None, x, x).apply(x), x)
    np.testing.assert_array_equal(fitted(2, x, x).apply(x), x / 2)
    np.testing.assert_array_equal(fitted([1, 2, 4], x, x).apply(x), x / np.array([1, 2, 4], dtype=np.float32))
    assert fitted(2, x, x).to_json() == {"kind": "number", "divisor": 2.0, "center": 0.0, "data_divisor": 1.0}


def test_scale_survives_json_exactly() -> None:
    x = table()
    scale = fitted("standardize", x, x)
    again = Scaling.from_json(scale.to_json())
    np.testing.assert_array_equal(again.apply(x), scale.apply(x))


@pytest.mark.parametrize("option", [0, -1, np.nan, [1, 2], [1, 2, 0], "robst"])
def test_scale_refuses(option: object) -> None:
    with pytest.raises(OptionError, match="scale"):
        fitted(option, table(), table())


@pytest.mark.parametrize("offset", [0.0, 1e9, -1e15])
def test_rounding_of_scaled_rows_is_bounded(offset: float) -> None:
    generator = np.random.default_rng(0)
    x = offset + generator.normal(size=(300, 3))
    scale = fitted("standardize", x, x)
    rows = x[:50]
    found, bound = scale.apply_with_rounding(rows, 0.0)
    np.testing.assert_array_equal(found, scale.apply(rows))
    for row, scaled, error in zip(rows.tolist(), found.tolist(), bound.tolist(), strict=True):
        exact = [
            (Fraction(v) - Fraction(float(c))) / Fraction(float(s))
            for v, c, s in zip(row, scale.center, scale.divisor, strict=True)
        ]
        squared = sum((Fraction(h) - true) ** 2 for h, true in zip(scaled, exact, strict=True))
        assert squared <= Fraction(error) ** 2
        assert error < 1e-14 * max(1.0, float(np.linalg.norm(scaled)))  # whatever the offset
