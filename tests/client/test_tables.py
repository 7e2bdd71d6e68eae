"""Tables of several kinds of columns: what a client sends is read as the library reads the frame itself."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp

from wdist.data.sources.files import open_file
from wdist.data.sources.rows import rows_of
from wdist.definitions.reading import Selection
from wdist_client import AsyncClient, Client, InvalidRequest, OptionError, SampleError
from wdist_client.advice import in_flags, in_python
from wdist_client.command import main
from wdist_client.rows.payload import payload

QUICK: dict[str, Any] = {"critic": "affine", "steps": 1, "baseline_rows": 0}
ROWS = 960


def diamonds(seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    return pd.DataFrame({
        "carat": generator.gamma(2.0, 0.4, ROWS).astype(np.float32),
        "count": pd.array([None if k % 40 == 7 else k % 5 for k in range(ROWS)], dtype="Int64"),
        "cut": generator.choice(["Ideal", "Good", "Fair"], ROWS, p=[0.4, 0.3, 0.3]),
        "clarity": pd.Categorical(generator.choice(["VS", "SI", "IF"], ROWS), categories=["SI", "VS", "IF", "I1"]),
        "sold": generator.random(ROWS) < 0.5,
        "day": pd.date_range("2026-01-01", periods=ROWS, tz="Europe/Berlin"),
        "pair": list(generator.integers(0, 9, (ROWS, 2))),
    }, index=np.arange(ROWS) + 5000)  # fmt: skip


READING: dict[str, Any] = {"categories": ["cut"], "missing": "drop", "time_unit": "days", "time_start": "2026-01-01"}
FORMS = {
    "pandas": diamonds,
    "polars": lambda: pl.from_pandas(diamonds()),
    "polars lazy": lambda: pl.from_pandas(diamonds()).lazy(),
    "pyarrow": lambda: pa.Table.from_pandas(diamonds(), preserve_index=False),
}
READINGS = {
    "rows left out": READING,
    "missing as a level": {**READING, "missing": "level", "drop": ["pair"]},
    "some columns": {"columns": ["day", "carat"], "time_unit": "hours"},
    "labels": {"labels": "cut", "missing": "drop", "time_unit": "days"},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("reading", READINGS)
def test_the_bytes_of_a_frame_are_read_as_the_frame_is(form: str, reading: str) -> None:
    take = READINGS[reading]
    body = payload(FORMS[form](), **take)
    content, name = b"".join(body.blocks()), body.file_name or "samples.npy"
    left = Selection.checked(**dict(body.reading))
    sent = open_file(name, "x", left, io.BytesIO(content))
    expected = rows_of(FORMS[form](), "x", Selection.checked(**take))
    assert sent.columns == expected.columns
    assert "labels" in take or list(sent.notes) == list(expected.notes)  # of labels only files tell
    assert (sent.table and sent.table.names) == (expected.table and expected.table.names)
    assert meaning(sent) == meaning(expected)


@pytest.mark.parametrize("frame", [
    pd.DataFrame({"Unnamed: 0": [0, 1, 2], "a": [5.0, 7.0, 6.0]}),
    pl.DataFrame({"": [0, 1, 2], "a": [5.0, 7.0, 6.0]}),
    pl.DataFrame({"a": [5.0, 7.0, 6.0], "__index_level_0__": [9, 2, 4]}),
    pa.Table.from_pandas(pd.DataFrame({"a": [5.0, 7.0, 6.0]}, index=pd.Index([9, 2, 4], name="n"))),
], ids=["pandas", "polars", "a level", "metadata"])  # fmt: skip
def test_an_index_that_was_read_as_a_column_is_left_out(frame: Any) -> None:
    body = payload(frame)
    sent = open_file(body.file_name or "samples.npy", "x", Selection(), io.BytesIO(b"".join(body.blocks())))
    assert sent.columns == ["a"]
    assert sent.array[:].ravel().tolist() == [5.0, 7.0, 6.0]
    assert list(sent.notes) == list(rows_of(frame, "x", Selection()).notes)


def meaning(rows: Any) -> list[list[Any]]:
    """The values, levels by their names: their codes are in the order in which they were met."""
    columns = [None] * rows.array.shape[1] if rows.table is None else rows.table.columns
    return [
        [column.levels[int(v)] if column is not None and column.kind == "category" and v == v else repr(float(v))
         for v in rows.array[:, k]]
        for k, column in enumerate(columns)
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["pandas", "pyarrow"])
def test_categories_that_are_numbers_stay_categories(form: str) -> None:
    given = pd.DataFrame({"x": np.arange(4.0), "k": pd.Categorical([2.0, 1.0, None, 2.0])})
    frame = given if form == "pandas" else pa.Table.from_pandas(given, preserve_index=False)
    body = payload(frame, missing="level")
    sent = open_file("samples.parquet", "x", Selection(missing="level"), io.BytesIO(b"".join(body.blocks())))
    assert sent.table is not None
    assert [each.kind for each in sent.table.columns] == ["number", "category"]
    assert meaning(sent) == meaning(rows_of(frame, "x", Selection(missing="level")))
    assert [row[:1] for row in meaning(sent)[1:]] == [["2"]]


def test_columns_that_are_left_out_are_not_sent() -> None:
    body = payload(diamonds().assign(secret=["s3cret"] * ROWS), drop=["secret"], **READING)
    assert b"s3cret" not in b"".join(body.blocks())


@pytest.mark.parametrize("form", FORMS)
def test_an_estimate_of_mixed_tables(client: Client, form: str) -> None:
    one = client.sample_sets.create(FORMS[form](), name="January", **READING)
    assert one.table is not None
    kinds = {each.name: each.kind for each in one.table.columns}
    assert (kinds["cut"], kinds["clarity"], kinds["sold"], kinds["day"]) == ("category", "category", "boolean", "time")
    assert any("24 of 960 rows have missing values" in note for note in one.notes)
    other = diamonds(1).assign(carat=lambda frame: frame.carat + 3)
    result = client.estimate(diamonds(), other, **READING, drop=["day", "pair"], **QUICK).wait()
    assert 2 < result.lower_bound < 4
    assert any("24 of 960 rows" in warning for warning in result.warnings)


@pytest.mark.parametrize("form", ["pandas", "file"])
def test_the_levels_of_a_column_are_sets(client: Client, tmp_path: Path, form: str) -> None:
    table = diamonds(2)[["carat", "cut"]].assign(carat=lambda frame: frame.carat + 2 * (frame.cut == "Fair"))
    table.to_parquet(tmp_path / "table.parquet", index=False)
    data = table if form == "pandas" else tmp_path / "table.parquet"
    sets = client.sample_sets.create_by(data, "cut")
    assert [(each.name, each.rows, each.columns) for each in sets] == [
        (level, int((table.cut == level).sum()), ["carat"]) for level in ("Fair", "Good", "Ideal")
    ]
    matrix = client.matrix(data, by="cut", **QUICK).wait()
    assert (matrix.rows, matrix.lower_bound[0, 2] > 1) == (["Fair", "Good", "Ideal"], True)
    row = client.matrix(data, by="cut", reference="Ideal", **QUICK).wait()
    assert (row.rows, row.columns) == (["Ideal"], ["Fair", "Good"])
    some = client.matrix(data, by="cut", levels=["Ideal", "Fair"], **QUICK).wait()
    assert some.rows == ["Ideal", "Fair"]
    found = client.compare(data, by="cut", reference="Ideal", **QUICK).comparison()
    assert (found.reference, [each.name for each in found.ranking]) == ("Ideal", ["Good", "Fair"])
    with pytest.raises(InvalidRequest, match="no level 'Idael'"):
        client.sample_sets.create_by(data, "cut", levels=["Idael", "Fair"])


def test_the_async_client_takes_tables(address: str) -> None:
    async def run() -> None:
        async with AsyncClient(address) as client:
            job = await client.estimate(diamonds(3), diamonds(4), **READING, **QUICK)
            assert (await job.wait()).lower_bound < 1
            matrix = await client.matrix(diamonds(5)[["carat", "cut"]], by="cut", **QUICK)
            assert (await matrix.wait()).rows == ["Fair", "Good", "Ideal"]
            batch = await client.compare(diamonds(5)[["carat", "cut"]], by="cut", reference="Fair", **QUICK)
            assert (await batch.comparison()).reference == "Fair"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"catagories": ["cut"]}, "catagories is no option of a reading; did you mean categories"),
        ({"categories": {"cut": 1}}, "it takes a list of names of columns"),
        ({"categories": [1]}, "holds 1, which is no name of a column"),
        ({"header": "yes"}, "header is 'yes'; it must be True or False"),
        ({"missing": 0}, "missing is 0; it takes text"),
    ],
)
def test_options_of_a_reading_are_refused_by_name(arguments: dict[str, Any], words: str) -> None:
    with Client(":local:") as client, pytest.raises(OptionError, match=words):
        client.sample_sets.create(diamonds(), **arguments)


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        ({"drop": ["Cuts"]}, r"pair; did you mean 'cut'\?"),
        ({"categories": ["clarty"]}, r"pair; did you mean 'clarity'\?"),
        ({"labels": "cutt"}, r"pair; did you mean 'cut'\?"),
        ({"drop": "cut,day"}, r"pair\. To leave out each of them, give drop=\['cut', 'day'\]"),
        ({"dates": "cut, day"}, r"pair\. To read as dates each of them, give dates=\['cut', 'day'\]"),
    ],
)
def test_a_column_that_is_not_there_is_told_with_one_of_a_near_name(reading: dict[str, Any], words: str) -> None:
    frame = diamonds()
    for read in (lambda: payload(frame, None, **reading), lambda: rows_of(frame, "x", Selection(**reading))):
        with pytest.raises(ValueError, match=words):
            read()


def test_a_missing_file_is_told_before_another_is_sent(tmp_path: Path) -> None:
    diamonds().to_csv(tmp_path / "january.csv")
    first, other = str(tmp_path / "january.csv"), tmp_path / "januray.csv"
    with Client(":local:") as client:
        for call in (
            lambda: client.estimate(first, other),
            lambda: client.matrix({"a": first, "b": other}),
            lambda: client.compare(first, [first, other]),
            lambda: client.compare(first, {"a": first, "b": other}),
        ):
            with pytest.raises(SampleError, match=r"januray.csv: No such file .*; did you mean .*january.csv\?"):
                call()
        assert not list(client.sample_sets.list())


def test_what_is_no_table_has_no_levels() -> None:
    with Client(":local:") as client:
        for call, words in (
            (lambda: client.matrix([diamonds()], by="cut"), "by splits one table"),
            (lambda: client.matrix(diamonds()), "name their column, by='cut'"),
            (lambda: client.matrix([1], levels=["a"]), "levels are those of a column"),
            (lambda: client.compare(diamonds(), by="cut"), "say which level of 'cut' is the reference"),
            (lambda: client.compare(diamonds()), "give a reference and at least two candidates"),
        ):
            with pytest.raises(OptionError, match=words):
                call()


def test_sparse_rows_are_sent_dense_and_from_any_offset() -> None:
    matrix = sp.random(3000, 70, density=0.1, random_state=0, format="csc")
    body = payload(matrix)
    whole = b"".join(body.blocks())
    np.testing.assert_array_equal(np.load(io.BytesIO(whole)), matrix.toarray())
    assert len(whole) == body.length
    assert b"".join(body.blocks(start=1_000_003)) == whole[1_000_003:]
    with pytest.raises(SampleError, match="no names of columns"):
        payload(matrix, drop=["a"])


@pytest.mark.parametrize(
    ("said", "python", "flags"),
    [
        (
            "leave it out with ?drop=the%20cut",
            "leave it out with drop=['the cut']",
            "leave it out with --drop 'the cut'",
        ),
        ("?missing=drop leaves them out", "missing='drop' leaves them out", "--missing drop leaves them out"),
        ("say ?decimal=%2C, or ?header=false", "say decimal=',', or header=False", "say --decimal ,, or --no-header"),
        ("http://x/?drop=1", "http://x/?drop=1", "http://x/?drop=1"),
        ("?drop=-x", "drop=['-x']", "--drop=-x"),
        ("?member=NAME", "member='NAME'", "FILE.npz:NAME"),
    ],
)
def test_advice_is_in_the_words_of_who_reads_it(said: str, python: str, flags: str) -> None:
    assert (in_python(said), in_flags(said), in_flags(in_python(said))) == (python, flags, flags)


def test_the_command_takes_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str], server: Any) -> None:
    path, address = tmp_path / "té.csv", ["--url", server.url]
    quick = ["--critic", "affine", "--steps", "1", "--baseline-rows", "0"]
    diamonds(6)[["carat", "cut"]].to_csv(path, index=False)
    assert main([*address, "upload", str(path)]) == 2
    assert "--categories cut" in capsys.readouterr().err
    assert main([*address, "upload", str(path), "--categories", "cut"]) == 0
    assert main([*address, "sets"]) == 0
    assert "carat, cut (category)" in capsys.readouterr().out
    assert main([*address, "matrix", str(path), "--by", "cut", "--reference", "Ideal", *quick]) == 0
    assert ["Fair", "Good"] in [line.split() for line in capsys.readouterr().out.splitlines()]
    assert main([*address, "compare", str(path), "--by", "cut", "--reference", "Ideal", *quick]) == 0
    assert "Distance from Ideal" in capsys.readouterr().out
    assert main([*address, "list", "--limit", "1"]) == 0
    assert "Ideal" in capsys.readouterr().out
    diamonds(7)[["carat", "cut"]].to_csv(tmp_path / "b.csv", index=False)
    diamonds(8)[["carat", "cut"]].to_csv(tmp_path / "c.csv", index=False)
    three = [str(path), str(tmp_path / "b.csv"), str(tmp_path / "c.csv")]
    assert main([*address, "matrix", "--reference", *three, "--drop", "cut", *quick]) == 0
    assert three[1:] in [line.split() for line in capsys.readouterr().out.splitlines()]


def test_a_reference_that_is_no_level_is_refused_and_one_beside_the_levels_is_taken(client: Client) -> None:
    generator = np.random.default_rng(3)
    table = pd.DataFrame({"cut": np.repeat(["a", "b", "c"], 120), "x": generator.normal(size=360)})
    with pytest.raises(OptionError, match="no level of 'cut' is 'd'; there are a, b, c"):
        client.matrix(table, by="cut", reference="d", steps=5)
    found = client.matrix(table, by="cut", levels=["b", "a"], reference="c", steps=5, baseline_rows=0).wait()
    assert (list(found.rows), list(found.columns)) == (["c"], ["b", "a"])
