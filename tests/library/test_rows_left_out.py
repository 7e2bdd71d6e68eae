"""Rows with missing values are left out; the others keep the numbers that they have in the file or the frame."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp

from wdist import Monitor, estimate_w1, matrix_w1
from wdist.critics.critic import load_critic
from wdist.data.memory.frames import BLOCK_ROWS
from wdist.data.samples import SampleSet, open_samples
from wdist.definitions.reading import Selection
from wdist.errors import OptionError, SampleError
from wdist.matrix import Matrix
from wdist.result import Result
from wdist.testing import DistributionError, assert_same_distribution
from wdist.witness.numbering import ALL_COUNTED, AMONG_KEPT, AS_GIVEN, numbering_of

QUICK: dict[str, Any] = {"critic": "affine", "steps": 20, "baseline_rows": 0, "upper": "none"}
EMPTY = [0, 3, 4, 50, 199]
FAR = 60  # every row from here to 159 is far away in `price`, and the later the farther


def table(seed: int, shift: float = 0.0) -> pd.DataFrame:
    rows = np.random.default_rng(seed).normal(size=(200, 2))
    frame = pd.DataFrame(rows, columns=["price", "size"])
    frame["price"] += shift
    return frame


def march() -> pd.DataFrame:
    """200 rows of which `EMPTY` have a missing value; row k from `FAR` to 159 has the price k."""
    frame = table(2)
    frame.loc[FAR:159, "price"] = np.arange(FAR, 160)
    frame.loc[EMPTY[:3], "price"] = np.nan
    frame.loc[EMPTY[3:], "size"] = np.nan
    return frame


def given(kind: str, folder: Path) -> Any:
    """March in each form in which rows with missing values can be left out."""
    frame = march()
    if kind == "csv":
        frame.to_csv(folder / "march.csv", index=False)
        return folder / "march.csv"
    if kind == "parquet":
        frame.to_parquet(folder / "march.parquet", index=False)
        return folder / "march.parquet"
    if kind == "npy":
        np.save(folder / "march.npy", frame.to_numpy())
        return folder / "march.npy"
    forms = {
        "pandas": frame, "polars": pl.from_pandas(frame), "array": frame.to_numpy(), "list": frame.to_numpy().tolist(),
        "sparse": sp.csr_matrix(frame.to_numpy()), "masked": np.ma.masked_invalid(frame.to_numpy()),
    }  # fmt: skip
    return forms[kind]


def reference(kind: str) -> Any:
    return table(1) if kind in ("csv", "parquet", "pandas", "polars") else table(1).to_numpy()


KINDS = ("csv", "parquet", "npy", "pandas", "polars", "array", "list", "sparse", "masked")


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return estimate_w1(reference("csv"), given("csv", tmp_path_factory.mktemp("march")), missing="drop", **QUICK)


@pytest.mark.parametrize("kind", KINDS)
def test_unusual_rows_have_the_numbers_of_the_data_as_given(kind: str, tmp_path: Path) -> None:
    result = estimate_w1(reference(kind), given(kind, tmp_path), missing="drop", **QUICK)
    frame, witness = march(), result.witness
    assert sum(result.n["target"].values()) == 195
    largest = sorted((int(row) for row in witness.target_rows if FAR <= row < 160), reverse=True)[:5]
    assert [entry.row for entry in witness.unusual(5)["target"]] == largest  # the price of row k is k
    assert not set(witness.target_rows.tolist()) & set(EMPTY)
    scores = result.critic.evaluate(frame)[witness.target_rows] / result.lipschitz_bound
    low, high = np.nanmin(scores), np.nanmax(scores)  # the stored critic is clipped, the witness is not
    assert witness.target_scores.clip(low, high) == pytest.approx(scores, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_one_score_for_each_row_and_none_for_those_left_out(
    kind: str, compared: Result, tmp_path: Path
) -> None:
    data = given(kind, tmp_path)
    scores, slopes = compared.critic.evaluate(data), compared.critic.gradient(data)
    assert scores.shape == (200,)
    assert slopes.shape == (200, 2)
    assert np.flatnonzero(np.isnan(scores)).tolist() == EMPTY
    assert np.flatnonzero(np.isnan(slopes).any(axis=1)).tolist() == EMPTY
    complete = march().dropna()
    np.testing.assert_allclose(scores[complete.index], compared.critic.evaluate(complete), rtol=1e-12)
    frame = march()
    frame["score"] = scores
    assert frame["score"].notna().sum() == 195


def test_a_loaded_critic_does_the_same(compared: Result, tmp_path: Path) -> None:
    compared.critic.save(tmp_path)
    again = load_critic(tmp_path).evaluate(march())
    np.testing.assert_array_equal(again, compared.critic.evaluate(march()))


def test_without_drop_a_missing_value_is_still_refused() -> None:
    result = estimate_w1(table(1), table(2), **QUICK)
    with pytest.raises(SampleError, match="missing value"):
        result.critic.evaluate(march())
    with pytest.raises(SampleError, match="not finite"):
        result.critic.evaluate(march().to_numpy())


def test_it_is_said_what_the_numbers_count(compared: Result, tmp_path: Path) -> None:
    assert ALL_COUNTED == (
        "Rows are numbered from 0, in the order of the data as given; rows that were left out are counted, too."
    )
    assert compared.witness.numbering == compared.witness.to_dict()["numbering"] == ALL_COUNTED
    assert str(compared.witness).endswith(ALL_COUNTED)
    assert ALL_COUNTED in compared.witness._repr_html_()
    compared.save(tmp_path / "march.wdist")
    assert Result.load(tmp_path / "march.wdist").witness.numbering == ALL_COUNTED
    assert str(estimate_w1(table(1), table(2), **QUICK).witness).endswith(AS_GIVEN)


def test_a_report_shows_the_values_of_the_rows_that_it_numbers(compared: Result, tmp_path: Path) -> None:
    compared.report(tmp_path / "march.html", rows=3)
    page = (tmp_path / "march.html").read_text()
    assert ALL_COUNTED in page
    first = compared.witness.unusual(1)["target"][0].row
    cells = re.search(rf"<tr><td[^>]*>{first}</td>(.*?)</tr>", page)
    assert cells is not None
    assert re.findall(r"<td[^>]*>([^<]*)</td>", cells[1])[1] == str(first)  # its price is its number


def test_a_failed_assertion_names_rows_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(DistributionError) as failed:
        assert_same_distribution(table(1), given("csv", tmp_path), missing="drop", **QUICK)
    rows = ", ".join(str(entry.row) for entry in failed.value.result.witness.unusual(5)["target"])
    assert f"of y, by their numbers: {rows}" in str(failed.value)
    assert ALL_COUNTED in str(failed.value)


def test_rows_are_left_out_of_every_block_of_a_long_table() -> None:
    frame = pd.DataFrame({"price": np.arange(BLOCK_ROWS + 10.0)})
    lost = [1, BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 5]
    frame.loc[lost, "price"] = np.nan
    opened = open_samples(frame, take=Selection(missing="drop"))
    assert opened.kept is not None
    assert opened.kept.of == BLOCK_ROWS + 10
    numbers = opened.numbers(np.arange(opened.n))
    np.testing.assert_array_equal(numbers, opened.rows(slice(None))[:, 0])
    np.testing.assert_array_equal(opened.places(numbers), np.arange(opened.n))


def test_mixed_tables_keep_the_numbers_too() -> None:
    city = np.random.default_rng(3).choice(["Rome", "Oslo"], 200)
    first, second = table(1).assign(city=city), march().assign(city=city)
    result = estimate_w1(first, second, categories=["city"], missing="drop", **QUICK)
    assert all(second["price"][entry.row] == entry.row for entry in result.witness.unusual(5)["target"])
    assert np.flatnonzero(np.isnan(result.critic.evaluate(second))).tolist() == EMPTY


def test_sets_of_one_table_are_numbered_as_in_the_table() -> None:
    both = pd.concat([table(1).assign(month="a"), march().assign(month="b")], ignore_index=True)
    both = both.sample(frac=1, random_state=0).reset_index(drop=True)
    matrix = matrix_w1(both, by="month", missing="drop", **QUICK)
    assert isinstance(matrix, Matrix)
    witness = matrix.results[0].witness
    assert all(both["price"][entry.row] > FAR for entry in witness.unusual(5)["target"])
    assert set(both["month"][witness.target_rows]) == {"b"}
    assert set(both["month"][witness.source_rows]) == {"a"}
    assert witness.numbering == ALL_COUNTED


def test_a_monitor_numbers_the_rows_of_a_batch(tmp_path: Path) -> None:
    monitor = Monitor(table(1), missing="drop", critic="affine", upper="none")
    update = monitor.update(march())
    assert update.unusual
    assert all(march()["price"][entry.row] == entry.row for entry in update.unusual[:5])


def test_messages_name_rows_of_the_data_as_given() -> None:
    rows, bounded = table(2).to_numpy(), QUICK | {"upper": "standard"}
    rows[[0, 3], 0] = np.nan
    rows[10, 1] = np.inf
    with pytest.raises(SampleError, match=r"inf in row 10, column 1"):
        _ = open_samples(rows, take=Selection(missing="drop")).statistics
    rows[10, 1] = 1_000
    with pytest.raises(OptionError, match=r"1000 in row 10, column 1"):
        estimate_w1(table(1).to_numpy(), rows, missing="drop", ranges=[-50, 50], **bounded)
    with pytest.raises(OptionError, match=r"and row 10 of target are|row 10 of target and"):
        estimate_w1(table(1).to_numpy(), rows, missing="drop", diameter=50, **bounded)


def test_of_a_stored_set_the_kept_rows_are_counted() -> None:
    """A server stores the rows that were kept, and what was said of the others."""
    note = open_samples(march(), take=Selection(missing="drop")).notes[0]
    stored = SampleSet(march().dropna().to_numpy(), "march", None, None, notes=[note])
    whole = SampleSet(table(1).to_numpy(), "february", None, None)
    assert numbering_of(whole, stored) == (
        "Rows are numbered from 0, in the order of the data as given; the numbers count only the 195 rows of the "
        "target that were kept, not those left out."
    )
    assert "the 195 rows of the source and the 195 rows of the target" in numbering_of(stored, stored)
    assert numbering_of(whole, whole) == AS_GIVEN
    assert "among those that were kept" in AMONG_KEPT
