"""Tables on the page: how files are read, what the page says of a set, and one table as many sets."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from page_steps import PATIENCE_MS, OpenPage, choose, result_of, serious_findings, start, zone
from playwright.sync_api import Locator, Page, expect
from server_process import ServerProcess

ROWS = 400
LEVELS = ["Fair", "Good", "Ideal"]


def table(seed: int) -> pd.DataFrame:
    """Rows whose carat grows with the cut, with a boolean, dates, an index column and one missing value."""
    random = np.random.default_rng(seed)
    cut = random.choice(LEVELS, ROWS, p=[0.2, 0.3, 0.5] if seed else [0.4, 0.3, 0.3])
    carat = random.normal(size=ROWS) + 3.0 * np.array([LEVELS.index(each) for each in cut])
    frame = pd.DataFrame({"carat": carat, "cut": cut, "sold": pd.date_range("2026-01-01", periods=ROWS, freq="D")})
    frame.loc[7, "carat"] = np.nan
    return frame


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tables")
    for seed, name in enumerate(("north", "south")):
        table(seed).to_csv(folder / f"{name}.csv", index=False)
        table(seed)[["carat", "cut"]].dropna().to_csv(folder / f"{name} whole.csv", index=False)
    table(0)[["carat"]].dropna().to_csv(folder / "decimal.csv", index=False, sep=";", decimal=",")
    return {path.stem: path for path in folder.iterdir()}


def give(page: Page, side: str, path: Path) -> None:
    zone(page, side).locator("input[type=file]").set_input_files(path)


def sets_of(server: ServerProcess) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{server.url}/v1/sample-sets?limit=100", timeout=30) as answer:
        found: list[dict[str, Any]] = json.load(answer)["data"]
    return found


def remedy(place: Page | Locator, name: str) -> Locator:
    return place.get_by_role("button", name=name, exact=True)


def test_a_refusal_offers_what_it_advises(open_page: OpenPage, server: ServerProcess, tables: dict[str, Path]) -> None:
    page = open_page(expected=("422",))
    source, target = zone(page, "Source"), zone(page, "Target")
    give(page, "Source", tables["north"])
    give(page, "Target", tables["south"])
    for name in ("Take cut as a category", "Take sold as dates", "Count times in days", "Make missing values a level"):
        expect(remedy(target, name)).to_be_visible(timeout=PATIENCE_MS)
        expect(source.get_by_role("alert")).not_to_contain_text("?")  # options are named as the form names them
        remedy(source, name).click()  # reads both files again
    for side in (source, target):
        expect(side).to_contain_text(f"{ROWS} rows of 3 columns", timeout=PATIENCE_MS)
    expect(page.locator(".reading summary")).to_have_text("How the files are read (4 options set)")
    cells = cells_of_both(page)
    fair = [int((table(seed)["cut"] == "Fair").sum()) for seed in (0, 1)]
    assert [cell[:2] for cell in cells] == [["carat", "number"], ["cut", "category"], ["sold", "time"]]
    for side in (0, 1):
        assert cells[0][2 + side].endswith("1 missing")
        assert f"Fair ({fair[side]})" in cells[1][2 + side]
        assert cells[2][2 + side] == "2026-01-01 to 2027-02-04"
    stored = next(each for each in sets_of(server) if each["name"] == "north.csv")
    assert stored["reading"] == {
        "categories": ["cut"], "dates": ["sold"], "time_unit": "days", "missing": "level"
    }  # fmt: skip


def cells_of_both(page: Page) -> list[list[str]]:
    """The table of both sets' columns."""
    rows = page.get_by_role("region", name="Columns of both sets").locator("tbody tr")
    expect(rows.first).to_be_visible(timeout=PATIENCE_MS)
    found: list[list[str]] = rows.evaluate_all("rows => rows.map(row => [...row.cells].map(c => c.textContent))")
    return found


def test_one_click_settles_every_column_of_text(open_page: OpenPage, tables: dict[str, Path], tmp_path: Path) -> None:
    """Also where one file has columns of text that the other lacks; text of its own in every row is no category."""
    more = table(1).dropna().assign(note=[f"it's {k % 3}" for k in range(ROWS - 1)], number=range(ROWS - 1))
    more["remark"] = [f"it's remark {k}" for k in range(ROWS - 1)]
    more.to_csv(tmp_path / "more.csv", index=False)
    page = open_page(expected=("422",))
    give(page, "Source", tables["north whole"])
    give(page, "Target", tmp_path / "more.csv")
    target = zone(page, "Target").get_by_role("alert")
    expect(target).to_contain_text("There is text in cut, note, remark, and dates in sold.", timeout=PATIENCE_MS)
    remedy(target, "Take text as categories, dates as dates, leave out remark").click()
    expect(zone(page, "Source")).to_contain_text(f"{ROWS - 1} rows of 2 columns", timeout=PATIENCE_MS)
    expect(zone(page, "Target")).to_contain_text(f"{ROWS - 1} rows of 5 columns", timeout=PATIENCE_MS)
    clash = page.locator(".both").get_by_role("alert")
    expect(clash).to_contain_text("only the target has sold, note, number")
    assert [cell[2:4] for cell in cells_of_both(page)][2:] == [
        ["not in it", "2026-01-01 to 2027-02-04"], ["not in it", "it's 0 (133), it's 1 (133), it's 2 (133)"],
        ["not in it", f"0 to {ROWS - 2}"],
    ]  # fmt: skip
    remedy(clash, "Compare what they share: carat, cut").click()
    expect(page.locator(".pair-columns summary")).to_contain_text("399 rows of 2 columns", timeout=PATIENCE_MS)
    expect(clash).to_have_count(0)
    expect(page.get_by_text("The columns vary by similar amounts")).to_be_visible()


def test_one_click_settles_missing_values_too(open_page: OpenPage, tmp_path: Path) -> None:
    holes = table(1).assign(note=[f"n{k % 3}" for k in range(ROWS)])
    for name in ("one", "two"):
        holes.to_csv(tmp_path / f"{name}.csv", index=False)
    page = open_page(expected=("422",))
    give(page, "Source", tmp_path / "one.csv")
    refused = zone(page, "Source").get_by_role("alert")
    expect(refused).to_contain_text(f"1 of {ROWS} rows has missing values.", timeout=PATIENCE_MS)
    expect(refused).not_to_contain_text("All at once")
    remedy(refused, "Take text as categories, dates as dates, missing values as a level").click()
    expect(zone(page, "Source")).to_contain_text(f"{ROWS} rows of 4 columns", timeout=PATIENCE_MS)


def test_columns_that_would_spoil_the_distance_are_named(open_page: OpenPage, tmp_path: Path) -> None:
    for seed, name in enumerate(("one", "other")):
        rows = table(seed)[["carat"]].fillna(0).assign(number=range(ROWS))
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    page = open_page()
    choose(page, tmp_path / "one.csv", tmp_path / "other.csv")
    advice = page.locator(".both").get_by_role("note")
    leave = remedy(advice, "Leave out number")  # which only counts the rows
    expect(leave).to_be_visible(timeout=PATIENCE_MS)
    assert [cell[0] for cell in cells_of_both(page)] == ["carat", "number"]
    expect(advice.last).to_contain_text("number would decide the distance almost alone")
    remedy(advice, "Count each column in its standard deviations").click()
    expect(page.get_by_label("Units of the distance")).to_have_value("standardize")
    leave.click()
    expect(advice).to_have_count(0, timeout=PATIENCE_MS)
    assert [cell[0] for cell in cells_of_both(page)] == ["carat"]


@pytest.mark.slow
def test_names_are_given_to_an_array_with_one_click(open_page: OpenPage, server: ServerProcess, tmp_path: Path) -> None:
    rows = table(0)[["carat"]].fillna(0).assign(depth=1.0)
    rows.to_csv(tmp_path / "named.csv", index=False)
    rows[["depth", "carat"]].to_csv(tmp_path / "turned.csv", index=False)
    np.save(tmp_path / "bare array.npy", rows.to_numpy())
    page = open_page()
    choose(page, tmp_path / "named.csv", tmp_path / "bare array.npy")
    remedy(page, "Yes, in this order").click()
    expect(page.locator(".both").get_by_role("alert")).to_have_count(0, timeout=PATIENCE_MS)
    assert next(each for each in sets_of(server) if each["name"] == "bare array.npy")["columns"] == ["carat", "depth"]
    zone(page, "Target").get_by_role("button", name="Choose another").click()
    give(page, "Target", tmp_path / "turned.csv")
    remedy(page, "Take both in the order of the source").click(timeout=PATIENCE_MS)
    expect(page.locator(".pair-columns summary")).to_contain_text("What is compared", timeout=PATIENCE_MS)
    assert [cell[0] for cell in cells_of_both(page)] == ["carat", "depth"]


def test_refusals_and_columns_can_be_used_by_everybody(open_page: OpenPage, tables: dict[str, Path]) -> None:
    page = open_page(width=390, expected=("422", "Trusted"))  # axe's own
    page.get_by_text("How the files are read").click()
    give(page, "Source", tables["north whole"])
    take = remedy(zone(page, "Source"), "Take cut as a category")
    expect(take).to_be_visible(timeout=PATIENCE_MS)
    assert serious_findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    take.click()
    expect(zone(page, "Source").get_by_text("2 columns", exact=True)).to_be_visible(timeout=PATIENCE_MS)
    assert serious_findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_rows_that_were_left_out_are_told(open_page: OpenPage, tables: dict[str, Path]) -> None:
    page = open_page(expected=("422",))
    page.get_by_text("How the files are read").click()
    page.get_by_label("Columns to leave out").fill("cut\nsold")
    give(page, "Source", tables["north"])
    remedy(zone(page, "Source"), "Leave out rows with a missing value").click(timeout=PATIENCE_MS)
    expect(zone(page, "Source")).to_contain_text(f"{ROWS - 1} rows of 1 column", timeout=PATIENCE_MS)
    expect(zone(page, "Source").locator(".notes li")).to_contain_text("1 of 400 rows")


def test_an_estimate_of_categories_shows_levels(open_page: OpenPage, tables: dict[str, Path]) -> None:
    page = open_page()
    page.get_by_text("How the files are read").click()
    page.get_by_label("Columns of categories").fill("cut")
    choose(page, tables["north whole"], tables["south whole"])
    page.get_by_text("More options").click()
    page.get_by_label("Distance of two levels of a category").fill("2")
    page.get_by_label("Units of the distance").select_option("robust")
    start(page)
    result = result_of(page)
    expect(result).to_contain_text("two levels of a category are 2 apart")
    expect(page.locator("main")).to_contain_text("robustly scaled columns, levels 2 apart")
    rows = page.get_by_role("region", name="Unusual source rows")
    expect(rows.get_by_role("columnheader", name="cut")).to_be_visible(timeout=PATIENCE_MS)
    place = rows.locator("thead th").all_inner_texts().index("cut")
    levels = rows.locator(f"tbody tr td:nth-child({place + 1})").all_inner_texts()
    assert levels
    assert set(levels) <= set(LEVELS)
    picture = page.locator(".column-list li", has_text="cut").get_by_role("img")
    for level in LEVELS:
        expect(picture).to_have_attribute("aria-label", re.compile(rf"{level} \d+"))
    code = page.get_by_role("tabpanel").inner_text()
    assert 'client.estimate("A", "B", categories=["cut"], ' in code
    page.get_by_role("tab", name="Command line").click()
    assert "--categories 'cut'" in page.get_by_role("tabpanel").inner_text()


def test_options_that_are_changed_later_read_the_files_again(open_page: OpenPage, tables: dict[str, Path]) -> None:
    page = open_page(expected=("422",))
    give(page, "Source", tables["decimal"])
    source = zone(page, "Source")
    expect(source.get_by_role("alert").or_(source.get_by_text("399 rows of 1 column"))).to_be_visible(
        timeout=PATIENCE_MS
    )
    page.get_by_text("How the files are read").click()
    page.locator("[name=decimal]").select_option(",")
    page.locator("[name=separator]").fill(";")
    page.get_by_role("button", name="Read the files again").click()
    expect(source).to_contain_text("399 rows of 1 column", timeout=PATIENCE_MS)
    low, high = table(0)["carat"].min(), table(0)["carat"].max()
    shown = re.search(r"values from ([\u2212\d.]+) to ([\d.]+)", source.inner_text())
    assert shown is not None
    assert float(shown[1].replace("\u2212", "-")) == pytest.approx(low, rel=1e-3)
    assert float(shown[2]) == pytest.approx(high, rel=1e-3)


def test_one_table_becomes_a_matrix(open_page: OpenPage, tables: dict[str, Path]) -> None:
    page = open_page("/#/matrix", expected=("422",))
    page.locator("input[type=file]").set_input_files(tables["north"])
    expect(remedy(page, "Leave out the column cut")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Estimate all pairs").click()
    refusal = page.get_by_role("alert").filter(has_text="a matrix needs at least two sets")
    expect(refusal).to_be_visible()
    column = page.get_by_label("Make one set for each value in the column")
    column.fill("cot")
    column.press("Tab")  # holds for the file that is there
    expect(page.get_by_text("did you mean 'cut'?")).to_be_visible(timeout=PATIENCE_MS)
    column.fill("")
    column.press("Tab")
    page.get_by_role("button", name="Make one set for each value in cut").click(timeout=PATIENCE_MS)
    expect(column).to_have_value("cut")
    for name in ("Leave out the column sold", "Leave out rows with a missing value"):
        remedy(page, name).click(timeout=PATIENCE_MS)
    lines = page.locator(".set-list li")
    expect(lines.locator("strong")).to_have_text(LEVELS, timeout=PATIENCE_MS)
    expect(refusal).to_have_count(0)
    lines.last.get_by_role("button", name="Put first").click()
    expect(lines.locator("strong")).to_have_text(["Ideal", "Fair", "Good"])
    page.get_by_label("What to compare").select_option("the first with the others: which is closest?")
    page.locator("[name=critic]").select_option("affine")
    page.get_by_role("button", name="Find the closest").click()
    card = page.get_by_role("region", name="Which is closest?")
    expect(card).to_contain_text("Distance from Ideal", timeout=PATIENCE_MS)
    expect(card.locator("tbody th").first).to_have_text("Good")  # carat grows from Fair over Good to Ideal
    expect(page.get_by_role("note", name="What to mind")).to_contain_text("were left out")
    page.goto(page.url.split("#")[0] + "#/jobs")
    batch = page.locator("tr", has=page.locator("a[href^='#/batches/']")).first
    expect(batch).to_contain_text("Ideal, Fair, Good", timeout=PATIENCE_MS)
    expect(page.locator("tr", has_text="Ideal").last).to_contain_text("carat")


def test_sets_of_a_matrix_with_other_columns_are_read_again_with_what_they_share(
    open_page: OpenPage, tmp_path: Path
) -> None:
    rows = pd.DataFrame(np.random.default_rng(5).normal(size=(200, 3)), columns=["a", "b", "c"])
    for name, columns in (("one", ["a", "b"]), ("two", ["c", "a"])):
        rows[columns].to_csv(tmp_path / f"{name}.csv", index=False)
    page = open_page("/#/matrix")
    page.locator("input[type=file]").set_input_files([tmp_path / "one.csv", tmp_path / "two.csv"])
    lines = page.locator(".set-list li")
    expect(lines.get_by_text("200 rows of 2 columns")).to_have_count(2, timeout=PATIENCE_MS)
    page.get_by_role("button", name="Estimate all pairs").click()
    refusal = page.get_by_role("alert").filter(has_text="one.csv and two.csv differ in their columns")
    remedy(refusal, "Compare what they share: a").click()
    expect(lines.get_by_text("200 rows of 1 column")).to_have_count(2, timeout=PATIENCE_MS)
    expect(refusal).to_have_count(0)


def test_numbers_of_rows_in_the_reference_of_a_monitor_are_left_out(open_page: OpenPage, tmp_path: Path) -> None:
    rows = np.random.default_rng(6).normal(size=200)
    pd.DataFrame({"customer": range(1000, 1200), "n": rows, "m": rows[::-1]}).to_csv(tmp_path / "r.csv", index=False)
    page = open_page("/#/monitors")
    give(page, "Reference", tmp_path / "r.csv")
    reference = zone(page, "Reference")
    expect(reference).to_contain_text("customer: a value of its own in every row", timeout=PATIENCE_MS)
    remedy(reference, "Leave out customer").click()
    expect(reference).to_contain_text("200 rows of 2 columns", timeout=PATIENCE_MS)


def test_a_file_in_parts_is_read_as_asked(open_page: OpenPage, server: ServerProcess, tmp_path: Path) -> None:
    rows = np.random.default_rng(3).integers(0, 1000, size=(400_000, 3))
    path = tmp_path / "long ß,数.csv"
    lines = "".join(f"{a},{b},{c},{'xy'[a % 2]}{'pad' * 3}\n" for a, b, c in rows)
    path.write_text("a,b;,c\u00e4,kind\n" + lines, encoding="utf-8")
    assert path.stat().st_size > 8 << 20  # more than one part
    page = open_page()
    page.get_by_text("How the files are read").click()
    page.get_by_label("Columns to leave out").fill("b;\nc\u00e4")
    page.get_by_label("Columns of categories").fill("kind")
    give(page, "Source", path)
    expect(zone(page, "Source")).to_contain_text("400,000 rows of 2 columns", timeout=PATIENCE_MS)
    stored = next(each for each in sets_of(server) if each["name"] == path.name)
    assert stored["reading"] == {"drop": ["b;", "c\u00e4"], "categories": ["kind"]}
    assert [each["kind"] for each in stored["table"]["columns"]] == ["number", "category"]


def test_files_of_other_kinds_are_left_to_the_server(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page(expected=("415",))
    (tmp_path / "notes.docx").write_bytes(b"PK")
    give(page, "Source", tmp_path / "notes.docx")
    expect(zone(page, "Source").get_by_role("alert")).to_contain_text(".parquet", timeout=PATIENCE_MS)
    expect(zone(page, "Source")).to_contain_text(".xlsx")  # what can be dropped is the contract's list
