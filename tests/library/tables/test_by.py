"""Many groups in one table: the levels of a column are sets, compared as if each had been a file of its own."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from wdist import OptionError, SampleError, compare_w1, estimate_w1, matrix_w1
from wdist.data.sources.files import FileRows
from wdist.data.sources.rows import coded, partition_of, split_rows
from wdist.data.tables.by import reading_by
from wdist.definitions.reading import Reading, Selection

QUICK: dict[str, Any] = {"critic": "affine", "steps": 5, "baseline_rows": 0}
CUTS = ["Fair", "Good", "Ideal"]


def split_by(data: Any, by: str, reading: Reading, levels: Any = None, reference: Any = True) -> dict[str, FileRows]:
    """The rows of a table by the levels of its column `by`."""
    rows = coded(data, "the table", Selection.of(reading_by(reading, by)))
    return split_rows(rows, by, partition_of(rows, by, levels, reference))


def table(rows: int = 900, levels: Any = None, seed: int = 0) -> pd.DataFrame:
    """Rows of three cuts in random order, each further right than the one before."""
    generator = np.random.default_rng(seed)
    place = generator.integers(0, 3, rows)
    frame = pd.DataFrame(generator.normal(size=(rows, 2)) + place[:, None], columns=["x", "y"])
    frame.insert(1, "cut", np.asarray(CUTS if levels is None else levels)[place])
    return frame


def by_hand(frame: pd.DataFrame, by: str = "cut") -> dict[str, pd.DataFrame]:
    return {str(level): part.drop(columns=by) for level, part in frame.groupby(by)}


def written(frame: pd.DataFrame, folder: Path, ending: str) -> Any:
    if ending == "frame":
        return frame
    path = folder / f"t.{ending}"
    if ending == "parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False, float_format="%.17g")
    return path


@pytest.mark.parametrize("ending", ["frame", "parquet", "csv"])
@pytest.mark.parametrize("reference", [False, True])
def test_levels_are_compared_as_sets_of_their_own(ending: str, reference: bool, tmp_path: Path) -> None:
    frame = table()
    found = matrix_w1(written(frame, tmp_path, ending), by="cut", reference=reference, scale="standardize", **QUICK)
    expected = matrix_w1(by_hand(frame), reference=reference, scale="standardize", **QUICK)
    assert (found.rows, found.columns) == (expected.rows, expected.columns)
    assert found.columns == (CUTS[1:] if reference else CUTS)
    for name in ("value", "lower_bound", "upper_bound", "p_value"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert found.units == expected.units
    assert [result.names for result in found.results] == [result.names for result in expected.results]


def test_a_level_is_the_reference() -> None:
    frame = table()
    parts = by_hand(frame)
    found = matrix_w1(frame, by="cut", reference="Good", **QUICK)
    expected = matrix_w1({name: parts[name] for name in ("Good", "Fair", "Ideal")}, reference=True, **QUICK)
    assert (found.rows, found.columns) == (["Good"], ["Fair", "Ideal"])
    np.testing.assert_array_equal(found.value, expected.value)
    answer = compare_w1(frame, by="cut", reference="Ideal", **QUICK)
    direct = compare_w1(parts["Ideal"], {name: parts[name] for name in ("Fair", "Good")}, **QUICK)
    assert answer.ranking[0].name == "Good"
    assert answer.reference == "Ideal"
    assert [each.value for each in answer.ranking] == [each.value for each in direct.ranking]
    assert "`Good` is closer to `Ideal` than `Fair`" in str(answer)


def test_levels_are_chosen_in_order() -> None:
    frame = table()
    found = matrix_w1(frame, by="cut", levels=("Ideal", "Fair"), **QUICK)
    assert found.rows == ["Ideal", "Fair"]
    parts = by_hand(frame)
    assert found.value[0, 1] == estimate_w1(parts["Ideal"], parts["Fair"], **QUICK).value
    assert matrix_w1(frame, by="cut", levels=["Fair"], reference="Ideal", **QUICK).rows == ["Ideal"]


@pytest.mark.parametrize(
    ("levels", "names"),
    [
        ([10, 9, 100], ["9", "10", "100"]),
        ([1.5, -2.0, 0.25], ["-2", "0.25", "1.5"]),
        (["b10", "b9", "a"], ["a", "b10", "b9"]),
        ([True, False, False], ["false", "true"]),
    ],
)
def test_levels_are_sorted_as_numbers_or_as_text(levels: list[Any], names: list[str]) -> None:
    assert list(split_by(table(levels=levels), "cut", Reading())) == names
    given = levels[0]
    assert matrix_w1(table(levels=levels), by="cut", reference=given if given is not True else "true", **QUICK).rows[
        0
    ] == (str(given) if given is not True else "true")


def test_rows_keep_their_order_within_a_level() -> None:
    frame = table()
    parts = split_by(frame, "cut", Reading())
    for name, expected in by_hand(frame).items():
        np.testing.assert_array_equal(parts[name].array, expected.to_numpy())
        assert parts[name].columns == ["x", "y"]
        assert parts[name].table is None, "what is left are plain numbers"


def test_other_categories_stay_columns_of_the_sets() -> None:
    frame = table().assign(colour=lambda frame: np.where(frame.x > 0, "red", "blue"))
    parts = split_by(frame, "cut", Reading(categories=["colour"]))
    assert parts["Fair"].table is not None
    assert [column.kind for column in parts["Fair"].table.columns] == ["number", "number", "category"]
    chosen = split_by(frame, "cut", Reading(columns=["y", "colour"], categories=["colour"]))
    assert chosen["Good"].columns == ["y", "colour"]


# --- rows without a level, and groups -------------------------------------------------------------------------------


def with_holes() -> pd.DataFrame:
    frame = table(1200)
    frame.loc[::10, "cut"] = None
    frame.loc[5::100, "x"] = np.nan
    return frame


@pytest.mark.parametrize("ending", ["frame", "parquet", "csv"])
def test_rows_without_a_level_are_what_missing_says(ending: str, tmp_path: Path) -> None:
    frame = with_holes()
    data = written(frame, tmp_path, ending)
    with pytest.raises(SampleError, match=r"missing=\['?drop|missing='drop'"):
        split_by(data, "cut", Reading())
    kept = split_by(data, "cut", Reading(missing="drop"))
    for name, expected in by_hand(frame.dropna()).items():
        np.testing.assert_array_equal(kept[name].array, expected.to_numpy())
    found = matrix_w1(data, by="cut", missing="drop", **QUICK)
    lost = len(frame) - len(frame.dropna())
    told = [warning for *_, warning in found.warnings if "rows have missing values" in warning]
    assert len(told) == 1, "what was left out is of the table, not of each pair"
    assert f"{lost} of 1,200 rows" in told[0]
    levels = split_by(data, "cut", Reading(missing="level"))
    assert list(levels) == [*CUTS, "missing"]
    assert len(levels["missing"].array) == frame.cut.isna().sum()
    assert np.isnan(levels["Fair"].array).any(), "a missing number is a level of its own, and its row stays"


@pytest.mark.parametrize("ending", ["frame", "parquet", "csv"])
@pytest.mark.parametrize("missing", ["error", "drop"])
def test_labels_are_those_of_the_rows_of_each_level(ending: str, missing: str, tmp_path: Path) -> None:
    frame = table(1500) if missing == "error" else with_holes()
    frame["who"] = [f"person {k // 3}" for k in range(len(frame))]
    given = {"by": "cut", "groups": "who", "method": "betting", **QUICK}
    found = matrix_w1(written(frame, tmp_path, ending), missing=missing, **given)
    whole = frame.dropna()
    expected = matrix_w1(by_hand(whole), groups="who", method="betting", **QUICK)
    np.testing.assert_array_equal(found.value, expected.value)
    np.testing.assert_array_equal(found.lower_bound, expected.lower_bound)
    assert [result.groups for result in found.results] == [result.groups for result in expected.results]


# --- what is refused, and the advice ----------------------------------------------------------------------------------


def advised(error: pytest.ExceptionInfo[Exception]) -> dict[str, Any]:
    """The keyword arguments that a message gives."""
    found = re.search(r"(levels|reference)=(\[.*?\]|'[^']*')", str(error.value))
    assert found, str(error.value)
    return {found[1]: ast.literal_eval(found[2])}


def test_levels_with_too_few_rows_are_named_and_the_advice_leaves_them_out() -> None:
    frame = pd.concat([table(), table(30, ["tiny", "Good", "small"], seed=1)])
    with pytest.raises(SampleError, match=r"'cut' has levels .* 100 rows .*'small' \(\d+\), 'tiny' \(\d+\)") as error:
        matrix_w1(frame, by="cut", **QUICK)
    assert matrix_w1(frame, by="cut", **advised(error), **QUICK).rows == CUTS


def test_more_levels_than_can_be_paired_need_a_reference() -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"x": generator.normal(size=51 * 100), "by": np.repeat(np.arange(51), 100)})
    with pytest.raises(OptionError, match=r"'by' has 51 levels, which make 1,275 pairs") as error:
        matrix_w1(frame, by="by", **QUICK)
    found = matrix_w1(frame, by="by", **advised(error), **QUICK | {"steps": 1, "upper": "none"})
    assert (found.rows, len(found.columns)) == (["0"], 50)
    assert found.columns == [str(k) for k in range(1, 51)]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"by": "cut", "levels": ["Iedal", "Fair"]}, "'cut' has no level 'Iedal'; did you mean 'Ideal'?"),
        ({"by": "cut", "levels": ["Fair", "Fair"]}, "given twice"),
        ({"by": "cut", "levels": ["Fair"]}, "at least two sets"),
        ({"by": "cut", "reference": "zzz"}, "'cut' has no level 'zzz'; there are Fair, Good, Ideal"),
        ({"by": "who"}, "no column is named 'who'"),
        ({"by": "cut", "groups": "cut"}, "by and groups are both 'cut'"),
        ({"by": 3}, "by is 3"),
        ({"levels": ["Fair"]}, "name it as by"),
        ({"reference": "Fair"}, "with by a level"),
        ({"by": "cut", "columns": ["cut"]}, "no columns beside 'cut'"),
    ],
)
def test_what_cannot_be_split_is_refused_in_words(given: dict[str, Any], words: str) -> None:
    with pytest.raises((OptionError, SampleError), match=re.escape(words)):
        matrix_w1(table(), **given, **QUICK)


def test_one_table_is_needed() -> None:
    with pytest.raises(OptionError, match="one table"):
        matrix_w1([table(), table()], by="cut", **QUICK)
    with pytest.raises(OptionError, match="DataFrame"):
        matrix_w1(np.zeros((300, 2)), by="cut", **QUICK)
    with pytest.raises(OptionError, match="leave candidates out"):
        compare_w1(table(), [table()], by="cut", reference="Fair", **QUICK)
    with pytest.raises(OptionError, match="which level of 'cut' is the reference"):
        compare_w1(table(), by="cut", **QUICK)


def test_two_values_that_look_alike_are_one_level_in_every_format(tmp_path: Path) -> None:
    frame = table(levels=[1, 2, 3])
    as_floats = frame.assign(cut=frame.cut.astype(float))
    for ending in ("frame", "parquet", "csv"):
        assert list(split_by(written(as_floats, tmp_path, ending), "cut", Reading())) == ["1", "2", "3"], ending


def test_a_level_is_found_by_its_number_however_a_file_writes_it(tmp_path: Path) -> None:
    table(levels=[1.0, 2.0, 30.0]).to_csv(tmp_path / "t.csv", index=False)
    for reference in (30, 30.0, "30", "30.0", "3e1"):
        found = split_by(tmp_path / "t.csv", "cut", Reading(), levels=[1, 2], reference=reference)
        assert [float(level) for level in found] == [30, 1, 2]
    with pytest.raises(OptionError, match="has no level '3'"):
        split_by(tmp_path / "t.csv", "cut", Reading(), reference=3)


def test_a_missing_level_has_a_name_of_its_own() -> None:
    frame = with_holes().replace({"cut": {"Fair": "missing"}})
    assert list(split_by(frame, "cut", Reading(missing="level"))) == ["(missing)", "Good", "Ideal", "missing"]


def test_labels_of_all_rows_do_not_fit_the_rows_that_are_kept() -> None:
    table = pd.DataFrame({"a": [np.nan, *np.arange(299.0)], "patient": np.arange(300) // 3})
    options = {"missing": "drop", "steps": 5, "baseline_rows": 0}
    labels = table.patient.to_numpy()
    with pytest.raises(OptionError, match="keeps 299 rows of source, and there are 300 labels"):
        estimate_w1(table[["a"]], table[["a"]] + 1, groups=(labels, labels), **options)
    assert estimate_w1(table, table.assign(a=table.a + 1), groups="patient", **options).split == "groups"
