"""Values that two tables, or two forms of one table, write differently: the same codes, or a word about it."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wdist import estimate_w1
from wdist.data.samples import SampleSet, encode_together, open_samples
from wdist.errors import SampleError

QUICK: dict[str, Any] = {"steps": 20, "baseline_rows": 0, "empirical": True}
FORMS = ["pandas", "polars", "pyarrow", "parquet", "csv"]


def given(frame: pd.DataFrame, form: str, folder: Path) -> Any:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    if form == "parquet":
        pq.write_table(table, folder / "t.parquet")
    if form == "csv":
        frame.to_csv(folder / "t.csv", index=False)
    return {"pandas": frame, "polars": pl.from_pandas(frame), "pyarrow": table}.get(form, str(folder / f"t.{form}"))


def encoded(samples: SampleSet) -> tuple[list[str], np.ndarray]:
    (one,) = encode_together(samples)
    assert one.encoding is not None
    return one.encoding.names, one.rows(slice(None))


@pytest.mark.parametrize("form", FORMS)
def test_the_rows_of_a_table_are_the_same_to_the_bit_in_every_form(form: str, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    lost = generator.random((3, 200)) < 0.2
    frame = pd.DataFrame(
        {
            "number": np.where(lost[0], np.nan, generator.normal(size=200)),
            "kind": pd.Series(generator.choice(["b", "a", "is missing", "=x"], 200)).mask(lost[1]),
            "at": pd.Series(pd.to_datetime(generator.integers(-(10**18), 2 * 10**18, 200))).mask(lost[2]),
            "size": generator.integers(0, 30, 200),
        }
    )
    take: dict[str, Any] = {"categories": ["kind", "size"], "time_unit": "hours", "missing": "level"}
    names, rows = encoded(open_samples(frame, **take))
    if form == "csv":
        take["dates"] = ["at"]
    again, same = encoded(open_samples(given(frame, form, tmp_path), **take))
    assert again == names
    np.testing.assert_array_equal(same, rows)


@pytest.mark.parametrize("form", FORMS)
def test_nanoseconds_are_kept_and_times_before_1970_are_negative(form: str, tmp_path: Path) -> None:
    counts = [1_700_000_000_000_000_001, 1_700_000_000_000_000_101, 1_700_000_000_000_000_999]
    frame = pd.DataFrame({"at": pd.to_datetime(counts), "v": [1.0, 2.0, 3.0]})
    take: dict[str, Any] = {"time_unit": "seconds", "time_start": "2023-11-14T22:13:20"}
    if form == "csv":
        take["dates"] = ["at"]
    found = open_samples(given(frame, form, tmp_path), **take)
    np.testing.assert_array_equal(np.asarray(found.array)[:, 0], [1e-9, 101e-9, 999e-9])
    early = frame.assign(at=pd.to_datetime([-1_000_000, -500_000_000, -2_208_988_800_000_000_000]))
    found = open_samples(given(early, form, tmp_path), **take | {"time_start": None})
    np.testing.assert_array_equal(np.asarray(found.array)[:, 0], [-0.001, -0.5, -2_208_988_800.0])


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_a_start_between_two_units_and_one_far_away(unit: str) -> None:
    table = pa.table({"at": pa.array([0, 1], pa.timestamp(unit)), "v": [1.0, 2.0]})
    step = {"s": 1.0, "ms": 1e-3, "us": 1e-6}[unit]
    found = open_samples(table, time_unit="seconds", time_start="1970-01-01T00:00:00.000001")
    np.testing.assert_allclose(np.asarray(found.array)[:, 0], [-1e-6, step - 1e-6], rtol=1e-9, atol=1e-21)
    found = open_samples(table, time_unit="days", time_start="0001-01-01")
    np.testing.assert_allclose(np.asarray(found.array)[:, 0], 719_162.0, rtol=1e-9)


def test_a_number_that_is_not_a_number_is_a_missing_level_in_every_form(tmp_path: Path) -> None:
    values = [1.0, float("nan"), 2.0, 1.0]
    frames = [pd.DataFrame({"a": values}), pl.DataFrame({"a": values}), pa.table({"a": values})]
    pq.write_table(frames[2], tmp_path / "t.parquet")
    for data in (*frames, str(tmp_path / "t.parquet")):
        found = open_samples(data, categories="a", missing="level")
        assert found.table is not None
        assert found.table.columns[0].levels == ("1", "2")
        np.testing.assert_array_equal(np.asarray(found.array)[:, 0], [0, np.nan, 1, 0])


def test_levels_are_those_of_csv_whatever_the_width_of_the_numbers() -> None:
    for width in ("f2", "f4", "f8"):
        found = open_samples(pd.DataFrame({"a": np.array([0.1, 2.5, 3.0], width)}), categories="a")
        assert found.table is not None
        assert found.table.columns[0].levels == ("0.1", "2.5", "3")


@pytest.mark.parametrize(
    ("one", "other", "pair"),
    [([1.0, 2.5], ["1.0", "2.5"], "'1' and '1.0'"), (["yes", "no"], ["Yes", "no"], "'yes' and 'Yes'")],
)
def test_levels_that_may_only_be_spelled_differently_are_told(one: list[Any], other: list[Any], pair: str) -> None:
    x, y = pd.DataFrame({"a": one * 100}), pd.DataFrame({"a": other * 100})
    result = estimate_w1(x, y, categories="a", **QUICK)
    assert result.empirical is not None
    assert result.empirical["exact"] == pytest.approx(0.5)
    assert any(f"spell differently are category_cost apart: {pair} of 'a'" in each for each in result.warnings)
    alike = estimate_w1(x, x, categories="a", **QUICK).warnings
    assert not any("spell differently" in each for each in alike)


def test_times_with_a_zone_beside_times_without_are_told_of() -> None:
    hours = np.random.default_rng(0).integers(0, 1_000, 200)
    times = pd.Series(pd.to_datetime(hours * 3600, unit="s"))
    local, tokyo = pd.DataFrame({"at": times}), pd.DataFrame({"at": times.dt.tz_localize("Asia/Tokyo")})
    result = estimate_w1(local, tokyo, time_unit="hours", **QUICK)
    assert result.empirical is not None
    assert result.empirical["exact"] == pytest.approx(9.0)
    assert any("a zone in target and none in source" in each for each in result.warnings)
    assert not any("zone" in each for each in estimate_w1(tokyo, tokyo, time_unit="hours", **QUICK).warnings)
    mixed = [datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), datetime.datetime(2026, 1, 1)]
    with pytest.raises(SampleError, match="with a zone and times without"):
        open_samples(pd.DataFrame({"at": mixed}), time_unit="hours")
