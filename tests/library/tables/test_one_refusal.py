"""One refusal tells all that a table leaves to be decided, with options that settle it together."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mixed_month import FORMS, LOST, ROWS, month

from wdist import estimate_w1
from wdist.data.samples import open_samples
from wdist.data.tables.undecided import decisions
from wdist.definitions.reading import Selection
from wdist.errors import SampleError

GIVEN: dict[str, Any] = {"critic": "affine", "steps": 5, "baseline_rows": 0}
COLUMNS: dict[str, Any] = {"categories": ["city", "shop"], "dates": ["born"]}


def refusal(table: Any, **reading: Any) -> str:
    with pytest.raises(SampleError) as refused:
        estimate_w1(table, table, **reading, **GIVEN)
    return str(refused.value)


def advised(message: str) -> dict[str, Any]:
    """The keyword arguments that a refusal says settle everything."""
    call = ast.parse(f"f({message.split('All at once: ')[1]})", mode="eval").body
    assert isinstance(call, ast.Call)
    return {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}


@pytest.mark.parametrize("form", FORMS)
def test_everything_is_told_at_once_and_settled_at_once(form: str, tmp_path: Path) -> None:
    table = FORMS[form](tmp_path)
    said = refusal(table)
    assert "column 'city'" in said
    assert "text in 'shop'" in said
    assert "there are dates in 'born'" in said
    assert f"{LOST} of {ROWS} rows have missing values, in 'quantity'" in said
    assert advised(said) == {**COLUMNS, "time_unit": "days", "missing": "level"}
    result = estimate_w1(table, table, category_cost=0.25, **advised(said), **GIVEN)
    assert result.lower_bound == 0
    assert str(result.verdict.size).endswith("; another level of a category counts 0.25.")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("lacking", ["city", "missing", "time_unit"])
def test_what_is_decided_already_is_not_asked_again(form: str, lacking: str, tmp_path: Path) -> None:
    decided: dict[str, Any] = {
        "categories": ["city", "shop"],
        "dates": ["born"],
        "time_unit": "days",
        "missing": "level",
    }
    if lacking == "city":
        decided["categories"] = ["shop"]
    else:
        del decided[lacking]
    said = refusal(FORMS[form](tmp_path), **decided)
    assert "All at once" not in said
    assert ("8 of 200 rows have one, in 'quantity'" in said) == (lacking == "missing")
    assert ("'city' holds" in said or "'city', line 2 holds" in said) == (lacking == "city")
    assert ("in which unit" in said) == (lacking == "time_unit")


def test_text_with_too_many_values_for_a_category_is_left_out(tmp_path: Path) -> None:
    table = pd.concat([month()] * 6, ignore_index=True).assign(note=[f"note {k}" for k in range(6 * ROWS)])
    table.to_csv(tmp_path / "month.csv", index=False)
    said = refusal(tmp_path / "month.csv")
    assert advised(said)["drop"] == ["note"]
    assert estimate_w1(tmp_path / "month.csv", tmp_path / "month.csv", **advised(said), **GIVEN).lower_bound == 0


@pytest.mark.parametrize("written", ["17/04/2026", "4.17.26", "2026/04/17", "17-04-2026 08:30"])
def test_dates_that_are_not_iso_8601_are_no_categories(written: str, tmp_path: Path) -> None:
    days = [written.replace("17", f"{1 + k % 28:02}") for k in range(ROWS)]
    month().assign(ordered=days).to_csv(tmp_path / "month.csv", index=False)
    said = refusal(tmp_path / "month.csv")
    assert f"'ordered' has dates such as {min(days)!r}, which are read only as 2026-01-31 is written" in said
    assert advised(said) == {**COLUMNS, "time_unit": "days", "missing": "level", "drop": ["ordered"]}
    pd.DataFrame({"d": days, "price": range(ROWS)}).to_csv(tmp_path / "alone.csv", index=False)
    alone = refusal(tmp_path / "alone.csv")
    assert "which is not a number: leave it out with drop=['d']; 'd' has dates such as" in alone
    assert "categories" not in alone


def test_text_far_down_is_told_with_the_rest(tmp_path: Path) -> None:
    table = month().astype({"price": object})
    table.loc[150, "price"] = "much"
    table.to_csv(tmp_path / "month.csv", index=False)
    said = refusal(tmp_path / "month.csv")
    assert "'much', which is not a number, as most of the column are: mend it" in said
    assert advised(said)["categories"] == ["city", "shop"]  # as a category, prices would lose their distances
    month().assign(price=table["price"])[["city", "price"]].to_csv(tmp_path / "month.csv", index=False)
    said = refusal(tmp_path / "month.csv")
    assert "'price' has words among its numbers: mend them, or leave the cells empty" in said
    assert "All at once: categories=['city']" in said


@pytest.mark.parametrize(
    ("rows", "way"), [(ROWS, "if these are names, declare the column"), (1_500, "or leave it out")]
)
def test_a_word_among_numbers_is_to_be_mended(rows: int, way: str, tmp_path: Path) -> None:
    table = pd.DataFrame({"price": np.random.default_rng(0).normal(size=rows), "n": range(rows)}).astype(
        {"price": object}
    )
    table.loc[rows // 2, "price"] = "?!"
    table.to_csv(tmp_path / "odd.csv", index=False)
    said = refusal(tmp_path / "odd.csv")
    assert "'?!', which is not a number, as most of the column are: mend it, or leave the cell empty for a" in said
    assert f"a missing value; {way}" in said
    assert "different texts" not in said


@pytest.mark.parametrize("form", ["1,050.29", "1050.29"])
def test_two_files_whose_numbers_are_written_differently_are_told_so(form: str, tmp_path: Path) -> None:
    """The options hold for both, so that no other option mends it."""
    for name, text in (("german", "1.050,29"), ("other", form)):
        (tmp_path / f"{name}.csv").write_text("price;n\n" + f"{text};3\n" * ROWS)
    with pytest.raises(SampleError) as refused:
        estimate_w1(tmp_path / "german.csv", tmp_path / "other.csv", thousands=".", decimal=",", **GIVEN)
    said = str(refused.value)
    assert f"holds {form!r}, which is not a number with the decimal mark ',' and '.' between thousands" in said
    assert "write the numbers of all files alike" in said
    assert "thousands=" not in said


def test_of_a_long_table_the_first_rows_are_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(decisions, "MOST_ROWS", 100)
    path = FORMS["csv"](tmp_path)
    assert "of the first 200 rows have missing values" in refusal(path)  # the block in which there were enough


@pytest.mark.parametrize(
    ("values", "mend"),
    [
        ([*(f"{k}.50" for k in range(100)), "$12.00"], "mend '$12.00' and take"),
        ([f"1.{k:03},50" for k in range(100)], "take"),
        ([str(k) for k in range(100)], None),  # numbers of shops
        ([*(f"street {k}" for k in range(100))], None),
        ([f"{k}.5" for k in range(10)], None),
    ],
)
def test_quantities_among_the_categories_are_noted(values: list[str], mend: str | None) -> None:
    table = pd.DataFrame({"price": values * 10, "n": np.random.default_rng(0).normal(size=10 * len(values))})
    notes = open_samples(table, take=Selection(categories=["price"])).notes
    assert len(notes) == (0 if mend is None else 1)
    for said in notes:
        assert "'price' is declared a category, so that its 100 different numbers are names" in said
        assert f"if they are quantities, {mend} it out of categories" in said


@pytest.mark.parametrize("index", [[*range(ROWS // 2)] * 2, [f"row {k}" for k in range(ROWS)]], ids=["twice", "names"])
def test_a_column_without_a_name_is_settled_with_the_rest(index: list[object], tmp_path: Path) -> None:
    """As `pandas.concat` and a named index leave it in a file."""
    month().set_axis(index).to_csv(tmp_path / "month.csv")
    said = refusal(tmp_path / "month.csv")
    assert "the first column has no name, as a column of row numbers has, but does not count the rows" in said
    assert advised(said) == {**COLUMNS, "time_unit": "days", "missing": "level", "drop": ["Unnamed: 0"]}
    estimate_w1(tmp_path / "month.csv", tmp_path / "month.csv", **advised(said), **GIVEN)
    alone = refusal(tmp_path / "month.csv", **COLUMNS, time_unit="days", missing="level")
    assert alone.endswith("leave it out with drop=['Unnamed: 0'], or give it a name")
