"""Monitors on the page: begun by a file, updated by files, read by mouse, keyboard and screen reader."""

from __future__ import annotations

import csv
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from page_steps import PATIENCE_MS, OpenPage, alert, serious_findings, zone
from playwright.sync_api import Page, expect
from server_process import ServerProcess

from wdist.definitions.results.numbers import rounded_down
from wdist_client import Client

pytestmark = pytest.mark.timeout(180)
COLUMNS = ("price", "amount", "weight")
DRIFT = 2.0  # of the price, so that W1 = 2
Batches = dict[str, Path]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("monitors") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> Batches:
    """Tables of orders: a reference, two quiet weeks, two whose price has risen, and one with other columns."""
    folder = tmp_path_factory.mktemp("batches")
    random = np.random.default_rng(11)
    for name, rows, shift in (
        ("reference", 1200, 0.0), ("quiet", 500, 0.0), ("calm", 500, 0.0), ("risen", 500, DRIFT), ("after", 500, DRIFT)
    ):  # fmt: skip
        table = random.normal(size=(rows, 3)) + np.array([shift, 0, 0])
        np.savetxt(folder / f"{name}.csv", table, delimiter=",", header=",".join(COLUMNS), comments="")
    np.savetxt(folder / "other.csv", random.normal(size=(300, 2)), delimiter=",", header="price,amount", comments="")
    return {path.stem: path for path in folder.iterdir()}


def begin(open_page: OpenPage, server: ServerProcess, batches: Batches, name: str, **more: Any) -> Page:
    """Begin a monitor by the form; the page shows it."""
    page = open_page("/#/monitors", base=server.url, **more)
    zone(page, "Reference").locator("input[type=file]").set_input_files(batches["reference"])
    expect(zone(page, "Reference").get_by_role("button", name="Choose another")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Kind of critic").select_option("affine")
    page.get_by_label("Tolerance", exact=True).fill("0.2")
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("heading", name=name)).to_be_visible(timeout=PATIENCE_MS)
    return page


def hand_over(page: Page, file: Path, at: str = "") -> None:
    """Give a batch to the monitor that the page shows."""
    zone(page, "Next batch").locator("input[type=file]").set_input_files(file)
    expect(zone(page, "Next batch").get_by_role("button", name="Choose another")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_label("Time of the batch").fill(at)
    page.get_by_role("button", name="Compare this batch").click()


def update(page: Page, file: Path, number: int, at: str = "") -> None:
    """Give a batch, and wait until it is compared."""
    hand_over(page, file, at)
    name = re.compile(rf"^Update {number}\b")
    expect(page.get_by_role("button", name=name)).to_be_visible(timeout=PATIENCE_MS)


def record(server: ServerProcess, page: Page) -> dict[str, Any]:
    """The monitor that the page shows, as the API tells it."""
    address = f"{server.url}/v1/monitors/{page.url.rsplit('/', 1)[1]}"
    with urllib.request.urlopen(address, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def test_a_drift_is_seen_with_its_column_and_its_rows(
    open_page: OpenPage, server: ServerProcess, batches: Batches
) -> None:
    page = begin(open_page, server, batches, "orders")
    expect(page.get_by_text("no update yet")).to_be_visible()
    update(page, batches["quiet"], 1, at="2026-01-05")
    expect(page.get_by_text("no alarm")).to_be_visible()
    update(page, batches["risen"], 2, at="2026-01-12")
    expect(page.get_by_text("alarm since 2026-01-12")).to_be_visible(timeout=PATIENCE_MS)
    last = record(server, page)["last"]
    detail = page.get_by_role("region", name="Chosen update")
    bound = f"at least {rounded_down(last['series_lower_bound'])}, above 0.2"
    expect(page.get_by_role("note", name="Alarms that are on")).to_contain_text(bound)
    first = detail.get_by_role("region", name="Columns of this update").get_by_role("listitem").first
    assert first.get_by_role("heading").inner_text() == "price"
    said = first.locator("strong").inner_text()
    assert 0 < float(said.removeprefix("at least ")) <= DRIFT + 0.1  # a finite file: not exactly 2
    detail.get_by_role("button", name="Show its most unusual rows").click()
    rows = detail.get_by_role("region", name="Unusual target rows").locator("tbody tr")
    expect(rows.first).to_be_visible()
    index = int(rows.first.locator("th").inner_text())
    assert index == last["unusual"][0]["row"]
    shown = [float(cell.replace("\u2212", "-")) for cell in rows.first.locator("td").all_inner_texts()[1:]]
    heads = detail.get_by_role("region", name="Unusual target rows").locator("thead th").all_inner_texts()[2:]
    assert heads == [column["name"] for column in last["columns"]]  # as the columns above them
    stored = pd.read_csv(batches["risen"]).loc[index, heads]
    np.testing.assert_allclose(shown, stored.to_numpy(), rtol=5e-4)
    page.get_by_role("link", name="Monitors").click()
    expect(page.get_by_role("row", name=re.compile("orders.*alarm since 2026-01-12"))).to_be_visible()


@pytest.mark.slow
def test_thresholds_decide_which_alarms_are_on(open_page: OpenPage, server: ServerProcess, batches: Batches) -> None:
    page = begin(open_page, server, batches, "thresholds")
    update(page, batches["risen"], 1)
    alarms = page.get_by_role("note", name="Alarms that are on").locator("p")
    expect(alarms).to_have_text([re.compile("^The distance is"), re.compile("^The evidence of the series")])
    page.get_by_text("Thresholds", exact=True).click()
    distance = page.get_by_label("Distance", exact=True)
    distance.fill("-1")
    page.get_by_role("button", name="Save the thresholds").click()
    expect(distance).to_be_focused()
    expect(alert(page)).to_contain_text("at least 0")
    distance.fill("5")
    page.get_by_label("Add a threshold for a column").select_option("price")
    page.get_by_label("Column price").fill("0.5")
    page.get_by_role("button", name="Save the thresholds").click()
    column = re.compile(r"^The distance of the column price is at least 1\.\d+, above 0\.5000, since update 1\.$")
    expect(alarms).to_have_text([column, re.compile("^The evidence of the series")])
    assert record(server, page)["thresholds"] == {"distance": 5, "columns": {"price": 0.5}}


@pytest.mark.slow
def test_keys_choose_an_update_and_are_told_what_it_is(
    open_page: OpenPage, server: ServerProcess, batches: Batches
) -> None:
    page = begin(open_page, server, batches, "keys")
    for number, name in enumerate(("quiet", "calm", "risen"), 1):
        update(page, batches[name], number, at=str(number))
    slider = page.get_by_role("slider", name="Chosen update")
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"^Update 3, 3: .*, alarm$"))
    slider.focus()
    detail = page.get_by_role("region", name="Chosen update")
    for key, number in (("ArrowLeft", 2), ("ArrowLeft", 1), ("ArrowLeft", 1), ("End", 3), ("Home", 1)):
        page.keyboard.press(key)
        expect(slider).to_have_attribute("aria-valuenow", str(number))
        expect(detail.get_by_role("heading", name=f"Update {number}, {number}")).to_be_visible()
    page.get_by_role("button", name="Update 2, 2").click()
    expect(slider).to_have_attribute("aria-valuenow", "2")
    box = slider.bounding_box()
    assert box is not None
    slider.click(position={"x": box["width"] - 30, "y": 40})
    expect(slider).to_have_attribute("aria-valuenow", "3")


def test_what_is_refused_is_said(open_page: OpenPage, server: ServerProcess, batches: Batches) -> None:
    page = begin(open_page, server, batches, "refusals", expected=("409", "422"))
    page.get_by_role("button", name="Compare this batch").click()
    expect(alert(page)).to_contain_text("there is no batch")
    next_batch = zone(page, "Next batch")
    next_batch.locator("input[type=file]").set_input_files(batches["quiet"])
    expect(next_batch.get_by_role("button", name="Choose another")).to_be_visible(timeout=PATIENCE_MS)
    expect(alert(page)).to_have_count(0)  # now there is one
    next_batch.get_by_role("button", name="Choose another").click()
    update(page, batches["quiet"], 1, at="2026-02-02")
    hand_over(page, batches["quiet"], at="2026-02-09")
    expect(alert(page)).to_contain_text("an earlier update")
    zone(page, "Next batch").get_by_role("button", name="Choose another").click()
    hand_over(page, batches["calm"], at="2026-01-26")
    expect(alert(page)).to_contain_text("2026-02-02")
    zone(page, "Next batch").get_by_role("button", name="Choose another").click()
    hand_over(page, batches["other"], at="2026-02-09")
    expect(page.get_by_text("weight").first).to_be_visible(timeout=PATIENCE_MS)
    assert record(server, page)["updates"] == 1


@pytest.mark.slow
def test_pause_export_and_deletion(open_page: OpenPage, server: ServerProcess, batches: Batches) -> None:
    page = begin(open_page, server, batches, "errands", expected=("409",))
    update(page, batches["quiet"], 1)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("paused", exact=True)).to_be_visible()
    hand_over(page, batches["calm"])
    expect(alert(page)).to_contain_text("paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("paused", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Compare this batch").click()  # the batch is still there
    expect(page.get_by_role("button", name="Update 2")).to_be_visible(timeout=PATIENCE_MS)
    with page.expect_download() as table:
        page.get_by_role("button", name="Export CSV").click()
    with Path(table.value.path()).open() as file:
        assert [row["number"] for row in csv.DictReader(file)] == ["1", "2"]
    with page.expect_download() as lines:
        page.get_by_role("button", name="Export JSON lines").click()
    figures = [json.loads(line) for line in Path(lines.value.path()).read_text().splitlines()]
    assert figures[-1] == record(server, page)["last"]
    page.get_by_role("button", name="Delete").click()  # the confirmation is accepted by open_page
    expect(page.get_by_role("heading", name="Monitors", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="errands")).to_have_count(0)


@pytest.mark.slow
def test_a_new_epoch_keeps_the_history(open_page: OpenPage, server: ServerProcess, batches: Batches) -> None:
    page = begin(open_page, server, batches, "epochs")
    update(page, batches["risen"], 1)
    expect(page.get_by_text("alarm since update 1")).to_be_visible()
    zone(page, "Next batch").locator("input[type=file]").set_input_files(batches["after"])
    expect(zone(page, "Next batch").get_by_role("button", name="Choose another")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Make it the new reference").click()
    expect(page.get_by_text("epoch 2")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("alarm since update 1")).to_have_count(0)
    update(page, batches["quiet"], 2)
    expect(page.get_by_text("alarm since update 2")).to_be_visible()  # of the new reference, it is far
    expect(page.locator(".update.earlier")).to_have_count(1)
    expect(page.locator(".update:not(.earlier)")).to_have_count(1)


@pytest.fixture(scope="module")
def long_series(server: ServerProcess, batches: Batches) -> str:
    """The address of a monitor with twelve updates, the last four of which raise alarms."""
    random = np.random.default_rng(12)
    with Client(server.url) as client:
        reference = client.sample_sets.create(batches["reference"])
        monitor = client.monitors.create(reference, name="a long series " + "of-one-word" * 5, critic="affine")
        for week in range(12):
            rows = random.normal(size=(300, 3)) + np.array([1.5 * (week >= 8), 0, 0])
            batch = client.sample_sets.create(pd.DataFrame(rows, columns=list(COLUMNS)), name=f"week {week}")
            monitor.update(batch, at=f"2026-{week + 1:02}-01")
    return f"/#/monitors/{monitor.id}"


@pytest.mark.parametrize("color_scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_monitors_are_accessible_and_fit_a_small_screen(
    open_page: OpenPage, server: ServerProcess, long_series: str, color_scheme: str
) -> None:
    page = open_page(base=server.url, color_scheme=color_scheme, expected=("Trusted",))  # axe's own
    for address in ("/#/monitors", long_series):
        page.goto(server.url + address)
        expect(page.locator("tbody tr:visible").first).to_be_visible()
        if address == long_series:
            page.get_by_role("button", name="Show its most unusual rows").click()
            expect(page.get_by_role("region", name="Unusual target rows")).to_be_visible()
        page.get_by_text(re.compile("^(Thresholds|More options)$")).click()
        assert not serious_findings(page), address
        page.set_viewport_size({"width": 320, "height": 640})
        page.wait_for_timeout(200)  # the picture is drawn again
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, address
        page.set_viewport_size({"width": 1200, "height": 850})
