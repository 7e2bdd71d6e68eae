"""Frames in memory: what each type of a column becomes in every library, and which rows and labels are kept."""

import datetime
import unicodedata
from collections.abc import Callable
from typing import Any

import anndata
import numpy as np
import odd_data
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp

from wdist import estimate_w1
from wdist.data.memory.frames import BLOCK_ROWS
from wdist.data.samples import SampleSet, open_samples
from wdist.data.sources.rows import labels_of
from wdist.definitions.reading import Selection
from wdist.errors import OptionError, SampleError
from wdist_client.rows.columns import check_names as check_names_of_sets

DAY = datetime.date(2020, 1, 1)  # 18,262 days after 1970-01-01
NOON = datetime.datetime(2020, 1, 1, 12)
BERLIN = datetime.timezone(datetime.timedelta(hours=2))
NAN = float("nan")


def opened(data: Any, **take: Any) -> SampleSet:
    return open_samples(data, "January", take=Selection(**take))


def values(data: Any, **take: Any) -> list[Any]:
    """The codes of the only column; None for a missing value."""
    return [None if value != value else value for value in np.asarray(opened(data, **take).array[:])[:, 0].tolist()]


COLUMNS: dict[str, tuple[Callable[[], Any], str, list[Any]]] = {
    "pandas Int64": (lambda: pd.DataFrame({"a": pd.array([1, None, 3], dtype="Int64")}), "number", [1, None, 3]),
    "pandas Float64": (lambda: pd.DataFrame({"a": pd.array([1.5, None], dtype="Float64")}), "number", [1.5, None]),
    "pandas float": (lambda: pd.DataFrame({"a": [1.5, NAN]}), "number", [1.5, None]),
    "pandas sparse": (lambda: pd.DataFrame({"a": pd.arrays.SparseArray([0, 0, 2.5])}), "number", [0, 0, 2.5]),
    "pandas Arrow": (
        lambda: pd.DataFrame({"a": pd.array([1, None], dtype=pd.ArrowDtype(pa.int32()))}), "number", [1, None],
    ),
    "pandas boolean": (lambda: pd.DataFrame({"a": pd.array([True, None], dtype="boolean")}), "boolean", [1, None]),
    "pandas bool": (lambda: pd.DataFrame({"a": [True, False]}), "boolean", [1, 0]),
    "pandas category": (lambda: pd.DataFrame({"a": pd.Categorical(["x", None, "y"])}), "category", ["x", None, "y"]),
    "pandas category of numbers": (lambda: pd.DataFrame({"a": pd.Categorical([1.0, 2.5])}), "category", ["1", "2.5"]),
    "pandas intervals": (lambda: pd.DataFrame({"a": pd.cut([1, 2], [0, 1, 2])}), "category", ["(0, 1]", "(1, 2]"]),
    "pandas datetime": (lambda: pd.DataFrame({"a": pd.to_datetime([NOON, None])}), "time", [18262.5, None]),
    "pandas datetime with a zone": (
        lambda: pd.DataFrame({"a": pd.to_datetime([NOON]).tz_localize(BERLIN)}), "time", [18262.5 - 2 / 24],
    ),
    "pandas nanoseconds": (lambda: pd.DataFrame({"a": pd.to_datetime([NOON]).as_unit("ns")}), "time", [18262.5]),
    "pandas Arrow dates": (
        lambda: pd.DataFrame({"a": pd.array([DAY], dtype=pd.ArrowDtype(pa.date32()))}), "time", [18262],
    ),
    "pandas booleans and None": (lambda: pd.DataFrame({"a": [True, None, False]}), "boolean", [1, None, 0]),
    "pyarrow date64": (lambda: pa.table({"a": pa.array([DAY], pa.date64())}), "time", [18262]),
    "pyarrow stream": (lambda: pa.table({"a": [1.5, None]}).to_reader(), "number", [1.5, None]),
    "pandas objects": (lambda: pd.DataFrame({"a": pd.Series([DAY, None], dtype=object)}), "time", [18262, None]),
    "polars integers": (lambda: pl.DataFrame({"a": [1, None]}), "number", [1, None]),
    "polars NaN": (lambda: pl.DataFrame({"a": [1.5, NAN]}), "number", [1.5, None]),
    "polars Decimal": (lambda: pl.DataFrame({"a": pl.Series(["1.5"]).cast(pl.Decimal(9, 2))}), "number", [1.5]),
    "polars Boolean": (lambda: pl.DataFrame({"a": [True, None]}), "boolean", [1, None]),
    "polars Categorical": (
        lambda: pl.DataFrame({"a": pl.Series(["x", None], dtype=pl.Categorical)}), "category", ["x", None],
    ),
    "polars Enum": (
        lambda: pl.DataFrame({"a": pl.Series(["y", "x"], dtype=pl.Enum(["x", "y"]))}), "category", ["y", "x"],
    ),
    "polars Date": (lambda: pl.DataFrame({"a": [DAY, None]}), "time", [18262, None]),
    "polars Datetime": (lambda: pl.DataFrame({"a": [NOON.replace(tzinfo=BERLIN)]}), "time", [18262.5 - 2 / 24]),
    "polars lazy": (lambda: pl.LazyFrame({"a": [1, None]}), "number", [1, None]),
    "Arrow integers": (lambda: pa.table({"a": [1, None]}), "number", [1, None]),
    "Arrow dictionary": (lambda: pa.table({"a": pa.array(["x", None]).dictionary_encode()}), "category", ["x", None]),
    "Arrow dictionary of numbers": (
        lambda: pa.table({"a": pa.array([5, 6]).dictionary_encode()}), "category", ["5", "6"],
    ),
    "Arrow timestamp": (
        lambda: pa.table({"a": pa.array([NOON], pa.timestamp("s", tz="Europe/Berlin"))}), "time", [18262.5],
    ),
    "Arrow batch": (lambda: pa.record_batch({"a": [True, None]}), "boolean", [1, None]),
}  # fmt: skip


@pytest.mark.parametrize("case", COLUMNS)
def test_each_type_of_a_column(case: str) -> None:
    make, kind, expected = COLUMNS[case]
    take: dict[str, Any] = {"missing": "level", "time_unit": "days"}
    table = opened(make(), **take).table
    assert table is not None
    assert table.has_levels_of_missing
    (column,) = table.columns
    assert (column.name, column.kind) == ("a", kind)
    found = values(make(), **take)
    if kind == "category":
        found = [None if code is None else column.levels[int(code)] for code in found]
    if kind == "time":  # float64 days of a time in seconds
        found, expected = ([NAN if each is None else each for each in side] for side in (found, expected))
        assert found == pytest.approx(expected, rel=1e-15, nan_ok=True)
    else:
        assert found == expected
    if None in COLUMNS[case][2]:
        with pytest.raises(SampleError, match=r"January: column 'a', row . .* has a missing value: missing='drop' le"):
            opened(make(), time_unit="days")
        kept = opened(make(), missing="drop", time_unit="days")
        assert kept.n == len(expected) - 1
        (note,) = kept.notes
        assert note.startswith(f"1 of {len(expected)} rows have missing values and were left out")


TEXTS: dict[str, Callable[[list[str | None]], Any]] = {
    "pandas": lambda texts: pd.DataFrame({"a": texts}),
    "pandas objects": lambda texts: pd.DataFrame({"a": pd.Series(texts, dtype=object)}),
    "pandas string": lambda texts: pd.DataFrame({"a": pd.array(texts, dtype="string")}),
    "pandas Arrow": lambda texts: pd.DataFrame({"a": pd.array(texts, dtype=pd.ArrowDtype(pa.string()))}),
    "polars": lambda texts: pl.DataFrame({"a": texts}),
    "Arrow": lambda texts: pa.table({"a": texts}),
    "Arrow large": lambda texts: pa.table({"a": pa.array(texts, pa.large_string())}),
    "Arrow views": lambda texts: pa.table({"a": pa.array(texts, pa.string_view())}),
}


@pytest.mark.parametrize("library", TEXTS)
def test_text_is_a_category_or_a_date_where_it_is_declared(library: str) -> None:
    texts = [*["x", None, "y", "x"] * (BLOCK_ROWS // 4), "z", "y"]  # the last two are in another block
    frame = TEXTS[library](texts)
    misread = pd.DataFrame({"price;weight": ["1,5;2", "2;3"]})
    with pytest.raises(SampleError, match="the only column is 'price;weight': read the file again, with ';' between"):
        open_samples(misread, "x")
    advice = r"column 'a' holds text: declare it with categories=\['a'\], or leave it out with drop=\['a'\]"
    with pytest.raises(SampleError, match=advice):
        opened(frame)
    found = opened(frame, categories=["a"], missing="level")
    assert found.table is not None
    assert found.table.columns[0].levels == ("x", "y", "z")
    codes = found.array[:, 0]
    assert [None if code != code else "xyz"[int(code)] for code in codes.tolist()] == texts
    dates = TEXTS[library](["2020-01-02", None, "2020-01-01T10:00"])
    taken = {"dates": ["a"], "missing": "level", "time_unit": "hours", "time_start": "2020-01-01"}
    assert values(dates, **taken) == [24, None, 10]
    with pytest.raises(SampleError, match=r"column 'a', row 0 .* holds 'x', which is no date or time in ISO 8601"):
        opened(frame, **taken)


def test_numbers_keep_their_type_and_order_of_columns() -> None:
    frame = pd.DataFrame({"b": np.float32([1, 2]), "a": np.int16([3, 4])})
    found = opened(frame)
    assert (found.dtype, found.names, found.table) == (np.float32, ["b", "a"], None)
    assert opened(frame, columns=["a", "b"]).array.tolist() == [[3, 1], [4, 2]]
    assert opened(frame, drop=["b"]).dtype == np.int16
    assert opened(frame, categories=["a"], drop=["b"]).table.columns[0].levels == ("3", "4")  # type: ignore[union-attr]
    with pytest.raises(SampleError, match="no column is named 'c'; there are b, a"):
        opened(frame, drop=["c"])
    lists = pl.DataFrame({"e": [[1, 2], [3, 4]], "t": [0.5, 1.5]})
    assert opened(lists).names == ["e[0]", "e[1]", "t"]
    assert opened(lists).array.tolist() == [[1, 2, 0.5], [3, 4, 1.5]]


def test_an_index_is_no_column_and_numbers_are_no_names() -> None:
    frame = odd_data.frame()
    expected = opened(frame).array
    kept = opened(frame.set_index("a", drop=False))
    np.testing.assert_array_equal(kept.array, expected)
    lost = opened(frame.set_index("a"))
    assert (kept.notes, lost.notes) == (
        [],
        ["'a' is the index of the frame and was left out; reset_index() makes it a column"],
    )
    assert lost.names == ["b"]
    assert opened(frame).names == ["a", "b"]
    bare = pd.DataFrame(odd_data.table())
    assert opened(bare).names is None
    with pytest.raises(SampleError, match="the columns have no names by which to choose '0'"):
        opened(bare, drop=["0"])
    levels = pd.MultiIndex.from_tuples([("price", "mean"), ("price", "std")])
    assert opened(frame.set_axis(levels, axis=1)).names == ["price_mean", "price_std"]
    same = pd.MultiIndex.from_tuples([("a", "b_c"), ("a_b", "c")])
    with pytest.raises(SampleError, match="more than one column is named 'a_b_c'"):
        opened(frame.set_axis(same, axis=1))


INDEXED: dict[str, Callable[[], Any]] = {
    "pandas.read_csv": lambda: pd.DataFrame({"Unnamed: 0": [0, 1, 2], "a": [5.0, 7.0, 6.0]}),
    "of a file that was written twice": lambda: pd.DataFrame({
        "Unnamed: 0.1": [0, 1, 2], "Unnamed: 0": [0, 1, 2], "a": [5.0, 7.0, 6.0],
    }),
    "polars.read_csv": lambda: pl.DataFrame({"": [0, 1, 2], "a": [5.0, 7.0, 6.0]}),
    "pyarrow.csv": lambda: pa.table({"": [1, 2, 3], "a": [5.0, 7.0, 6.0]}),
    "a level": lambda: pl.DataFrame({"a": [5.0, 7.0, 6.0], "__index_level_0__": [9, 2, 4]}),
    "metadata": lambda: pa.Table.from_pandas(pd.DataFrame({"a": [5.0, 7.0, 6.0]}, index=pd.Index([9, 2, 4], name="n"))),
}  # fmt: skip


@pytest.mark.parametrize("form", INDEXED)
def test_an_index_that_was_read_as_a_column_is_left_out_and_said(form: str) -> None:
    samples = opened(INDEXED[form]())
    assert samples.columns == ["a"]
    assert np.asarray(samples.array[:]).ravel().tolist() == [5.0, 7.0, 6.0]
    assert "left out" in " ".join(samples.notes)
    frame = INDEXED[form]()
    kept = [name for name in (frame.column_names if isinstance(frame, pa.Table) else frame.columns) if name]
    assert opened(frame, columns=kept).columns == kept  # those that are asked for


def test_a_column_without_a_name_that_does_not_count_is_refused() -> None:
    frame = pd.DataFrame({"Unnamed: 0": [0, 1, 5], "a": [5.0, 7.0, 6.0]})  # some rows of a larger frame
    with pytest.raises(SampleError, match=r"its value 3 is 5\): leave it out with drop=\['Unnamed: 0'\]"):
        opened(frame)
    assert opened(frame, drop=["Unnamed: 0"]).columns == ["a"]


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "times with a zone and without": (
        lambda: pd.DataFrame({"a": pd.Series([NOON, NOON.replace(tzinfo=BERLIN)], dtype=object)}),
        "column 'a' holds times with a zone and times without",
    ),
    "dates and times with a zone": (
        lambda: pd.DataFrame({"a": pd.Series([DAY, NOON.replace(tzinfo=BERLIN)], dtype=object)}),
        "column 'a' holds times with a zone and times without",
    ),
    "matrices": (lambda: pd.DataFrame({"a": [np.ones((2, 2))] * 3}), "column 'a', row 0 .* of type ndarray"),
    "lists of booleans": (lambda: pd.DataFrame({"a": [[True], [False]]}), "column 'a', row 0 .* of type list"),
    "a query that fails": (
        lambda: pl.LazyFrame({"a": ["x"]}).select(pl.col("a").cast(pl.Int32)),
        "January: the lazy frame cannot be collected: conversion from `str`",
    ),
    "a query for a column that is not there": (
        lambda: pl.LazyFrame({"a": [1]}).select("b"), "January: the lazy frame cannot be collected: .*b",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_odd_columns_are_refused(case: str) -> None:
    make, words = REFUSED[case]
    with pytest.raises(SampleError, match=words):
        opened(make(), time_unit="days")


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_a_row_whose_list_lacks_a_value_is_left_out(frame: Callable[[Any], Any]) -> None:
    data = frame({"a": [[1.0, None], [2.0, 3.0]]})
    with pytest.raises(SampleError, match=r"column 'a', row 0 .* has a missing value: missing='drop'"):
        opened(data)
    samples = opened(data, missing="drop")
    assert samples.array[:].tolist() == [[2.0, 3.0]]
    assert samples.notes[0].startswith("1 of 2 rows")


def test_two_columns_of_one_frame_can_be_compared() -> None:
    frame = odd_data.frame()
    for x, y in ((frame["a"], frame["b"]), (pl.Series(frame["a"]), pa.chunked_array([frame["b"]]))):
        result = estimate_w1(x, y, critic="affine", names=("before", "after"))
        assert result.names == ("before", "after")
        assert str(result).startswith("before (source), after (target)\n")
    levels = open_samples(frame["a"], take=Selection(missing="level"))
    assert levels.names == ["value"]
    np.testing.assert_array_equal(open_samples(frame["a"]).array, odd_data.table()[:, 0])


def table_with_gaps() -> dict[str, list[Any]]:
    return {"g": ["a", "b", None, "c"] * 50, "v": [1.0, None, None, 4.0] * 50, "w": [1, 2, 3, 4] * 50}


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pl.LazyFrame, pa.table])
def test_labels_are_of_the_rows_that_are_kept(make: Callable[[Any], Any]) -> None:
    frame = make(table_with_gaps())
    take = Selection(missing="drop")
    labels = labels_of(frame, "g", "January", take)
    rows = open_samples(frame, take=take.model_copy(update={"drop": ["g"]}))
    assert rows.array.tolist() == [[1, 1], [4, 4]] * 50
    np.testing.assert_array_equal(labels, labels_of(make({"g": ["a", "c"] * 50}), "g", "x", Selection()))
    np.testing.assert_array_equal(open_samples(frame, labels="g", missing="drop").array[:, 0], labels)
    with pytest.raises(OptionError, match="the label of row 2 of January is missing"):
        labels_of(frame, "g", "January", Selection())
    with pytest.raises(OptionError, match="is missing"):  # row 2 is kept if `v` is left out
        labels_of(frame, "g", "January", Selection(missing="drop", drop=["v"]))
    with pytest.raises(SampleError, match="January: no column is named 'h'; there are g, v, w"):
        labels_of(frame, "h", "January", Selection())


def test_missing_values_of_arrays() -> None:
    array = np.array([[1, NAN], [2, 3]] * 100, dtype=np.float32)
    with pytest.raises(SampleError, match="the value nan in row 0, column 1 is not finite"):
        _ = open_samples(array).statistics
    for given in (array, np.ma.masked_invalid(array), sp.csr_array(array)):
        dropped = opened(given, missing="drop")
        assert np.asarray(dropped.array[:]).tolist() == [[2, 3]] * 100
        assert dropped.notes[0].startswith("100 of 200 rows")
    level = opened(array, missing="level")
    assert level.table is not None
    assert [column.kind for column in level.table.columns] == ["number"] * 2
    assert opened(odd_data.table(), missing="drop").notes == []
    with pytest.raises(SampleError, match="every row has a missing value"):
        opened(array[::2], missing="drop")
    with pytest.raises(SampleError, match=r"no level: give x.toarray\(\), or missing='drop'"):
        opened(sp.csr_array(array), missing="level")
    with pytest.raises(OptionError, match="categories is for tables"):
        opened(array, categories=["a"])


def test_a_sparse_matrix_is_never_dense_as_a_whole() -> None:
    matrix = sp.eye_array(100_000, 20_000, format="csr", dtype=np.float32)
    opened_rows = open_samples(matrix)  # 8 GB if it were dense
    assert (opened_rows.n, opened_rows.dimension) == (100_000, 20_000)
    np.testing.assert_array_equal(opened_rows.rows(slice(7, 9)), matrix[7:9].toarray())
    small = sp.csr_array(odd_data.table())
    assert open_samples(small).sha256 == open_samples(odd_data.table()).sha256


def cells(x: Any) -> anndata.AnnData:
    names = pd.Index([f"c{k}" for k in range(odd_data.ROWS)], dtype=object)
    types = pd.Categorical(pd.Series(["T", "B"] * (odd_data.ROWS // 2), dtype=object))
    made = anndata.AnnData(
        x, obs=pd.DataFrame({"type": types}, index=names), var=pd.DataFrame(index=pd.Index(["g1", "g2"], dtype=object))
    )
    made.obsm["X_pca"] = odd_data.table(3, seed=5)
    return made


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_matrix])
@pytest.mark.parametrize("is_backed", [False, True])
def test_annotated_data(form: Callable[[Any], Any], is_backed: bool, tmp_path: Any) -> None:
    data = cells(form(odd_data.table()))
    if is_backed:
        data.write_h5ad(tmp_path / "cells.h5ad")
        data = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    found = opened(data)
    assert (found.names, found.table) == (["g1", "g2"], None)
    np.testing.assert_array_equal(found.rows(slice(None)), odd_data.table())
    np.testing.assert_array_equal(found.rows(np.array([9, 2, 9])), odd_data.table()[[9, 2, 9]])
    np.testing.assert_array_equal(opened(data, columns=["g2"]).rows(slice(None)), odd_data.table()[:, 1:])
    np.testing.assert_array_equal(opened(data, drop=["g1", "type"]).rows(slice(None)), odd_data.table()[:, 1:])
    embedded = opened(data, embedding="X_pca")
    assert embedded.names == ["X_pca[0]", "X_pca[1]", "X_pca[2]"]
    np.testing.assert_array_equal(embedded.rows(slice(None)), odd_data.table(3, seed=5))
    with pytest.raises(SampleError, match="no embedding is named 'X_umap'; there are X_pca"):
        opened(data, embedding="X_umap")
    with pytest.raises(SampleError, match="no column is named 'g3'; there are g1, g2"):
        opened(data, drop=["g3"])
    with_type = opened(data, categories=["type"])
    assert with_type.table is not None
    assert [column.kind for column in with_type.table.columns] == ["number", "number", "category"]
    np.testing.assert_array_equal(with_type.array[:, :2], odd_data.table())
    labels = labels_of(data, "type", "cells", Selection(missing="drop"))
    np.testing.assert_array_equal(labels, labels_of(pd.DataFrame({"g": ["T", "B"] * 60}), "g", "x", Selection()))
    if is_backed:
        data.file.close()


def test_names_of_sets_and_columns_are_in_messages(tmp_path: Any) -> None:
    frame = odd_data.frame()
    frame.assign(a=1e6 * frame["a"]).to_csv(tmp_path / "jan.csv", index=False)
    frame.assign(a=1e6 * frame["a"])[:50].to_csv(tmp_path / "few.csv", index=False)
    quick: Any = {"critic": "affine", "baseline_rows": 0}
    result = estimate_w1(tmp_path / "jan.csv", tmp_path / "jan.csv", **quick)
    assert "the distance is decided by column 'a'; consider scale='standardize'" in result.warnings[-1]
    assert f"rows of {tmp_path}/jan.csv (target) also occur in {tmp_path}/jan.csv (source)" in result.warnings[0]
    with pytest.raises(SampleError, match=r"few.csv: 50 rows are too few"):
        estimate_w1(tmp_path / "jan.csv", tmp_path / "few.csv", **quick)
    with pytest.raises(OptionError, match=r"ranges: January has .* column 'a', outside of 0 to 1"):
        estimate_w1(frame, frame + 1, names=("January", "February"), ranges=[0.0, 1.0], **quick)
    with pytest.raises(SampleError, match="the columns of February are those of January in another order"):
        estimate_w1(frame, frame[["b", "a"]], names=("January", "February"), **quick)
    noted = estimate_w1(frame, frame + 1, names=("January", "February"), **quick)
    (legend,) = [legend for axes in noted.plot().axes if (legend := axes.get_legend()) is not None]
    assert [text.get_text().partition(",")[0] for text in legend.get_texts()] == ["January", "February"]


@pytest.mark.parametrize(
    ("name", "like", "differs"),
    [
        (unicodedata.normalize("NFC", "größe"), unicodedata.normalize("NFD", "größe"), "how Unicode writes an accent"),
        ("price", " Price", "capitals, spaces"),
        ("unit_price", "unit price", "capitals, spaces"),
        ("price", "price+", "capitals, spaces"),
        ("price", "cost", None),
        ("%", "#", None),
    ],
)
def test_names_that_look_alike_are_told(name: str, like: str, differs: str | None) -> None:
    rows = np.random.default_rng(0).normal(size=(200, 2))
    one, other = (pd.DataFrame(rows, columns=[each, "k"]) for each in (name, like))
    for compare in (
        lambda: estimate_w1(one, other),
        lambda: check_names_of_sets(list(one.columns), list(other.columns), "one", "other"),
    ):
        with pytest.raises(ValueError, match="have different columns") as refused:
            compare()
        said = str(refused.value)
        assert ("differ only in" in said) == (differs is not None)
        if differs is not None:
            assert f"{name!r} and {like!r} differ only in {differs}" in said
            assert "give both one name if they are one column. Otherwise read both with columns=['k']" in said
