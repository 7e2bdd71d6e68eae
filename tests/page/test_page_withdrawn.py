"""Results of an earlier version of the statistics on the page: what is withdrawn is marked, and can be run again."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from page_steps import PATIENCE_MS, OpenPage, result_of, serious_findings
from playwright.sync_api import Locator, Page, expect
from server_process import ServerProcess

from wdist.definitions.results.numbers import rounded_down
from wdist_client import Client

QUICK: dict[str, Any] = {"critic": "affine", "baseline_rows": 100}
pytestmark = pytest.mark.timeout(120)
STRUCK = re.compile("line-through")


@dataclass(frozen=True)
class Old:
    """Ids of results that look as 0.1 left them."""

    plain: str
    grouped: str
    apart: str  # with groups too; one of its sets was deleted since
    batch: str


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of its own: on the shared one other pages would ask for the set that is deleted here."""
    with ServerProcess(tmp_path_factory.mktemp("withdrawn") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def old(server: ServerProcess) -> Old:
    with Client(server.url) as client:

        def rows(k: int, name: str) -> Any:
            return client.sample_sets.create(np.random.default_rng(90 + k).normal(size=(400, 2)) + 2 * k, name=name)

        sets = [rows(k, name) for k, name in enumerate(("spring", "summer", "autumn", "winter"))]
        labels = [client.sample_sets.create(np.repeat(np.arange(200), 2)[:, None] + 1000 * k) for k in range(4)]
        groups = {each.id: own.id for each, own in zip(sets, labels, strict=True)}
        plain = client.estimates.create(sets[0], sets[2], **QUICK)
        grouped = client.estimates.create(*sets[:2], groups=labels[:2], metadata={"week": "47"}, **QUICK)
        apart = client.estimates.create(sets[0], sets[3], groups=[labels[0], labels[3]], **QUICK)
        for job in (plain, grouped, apart):
            job.wait(timeout=60)
        three = {each.id: groups[each.id] for each in sets[:3]}
        batch = client.batches.matrix(sets[:3], groups=three, **QUICK)
        cells = [record.id for record in batch.results(wait=True, timeout=60)]
        client.sample_sets.delete(sets[3].id)
    server.age_results(plain.id, grouped.id, apart.id, *cells[:2])
    return Old(plain.id, grouped.id, apart.id, batch.id)


def notice(page: Page) -> Locator:
    return page.get_by_role("note", name="Withdrawn")


def record(server: ServerProcess, address: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{server.url}/v1/{address}", timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def test_a_withdrawn_estimate_is_marked_and_runs_again(open_page: OpenPage, server: ServerProcess, old: Old) -> None:
    page = open_page(f"/#/estimates/{old.grouped}", base=server.url, expected=("404", "Trusted"))
    card = result_of(page)
    result = record(server, f"estimates/{old.grouped}")["result"]
    expect(card.get_by_role("heading")).to_contain_text(result["verdict"]["headline"])
    expect(notice(page)).to_contain_text("Version 1 of the statistics")
    top, below = notice(page).bounding_box(), card.bounding_box()
    assert top is not None
    assert below is not None
    assert top["y"] < below["y"]
    number = card.locator(".bound-figure s")
    expect(number).to_have_text(rounded_down(result["lower_bound"]))  # struck through, not hidden
    expect(number).to_have_css("text-decoration-line", STRUCK)
    expect(card.locator(".picture .bound-text").first).to_have_css("text-decoration-line", STRUCK)
    expect(card).to_contain_text("The earlier version said: at least")
    expect(card).not_to_contain_text("differ")  # what the p-value said
    page.get_by_text("All figures and files").click()
    marked = page.locator("table.figures tr").filter(has_text="withdrawn: run again")
    expect(marked.locator("th")).to_have_text(["lower_bound", "p_value"])
    expect(page.get_by_text("wdist verify refuses")).to_be_visible()
    assert serious_findings(page) == []

    page.get_by_role("button", name="Run again").click()
    expect(page).not_to_have_url(re.compile(old.grouped), timeout=PATIENCE_MS)
    expect(result_of(page)).to_be_visible()
    expect(notice(page)).to_have_count(0)
    again, before = (record(server, f"estimates/{name}") for name in (page.url.rsplit("/", 1)[1], old.grouped))
    assert [again[name] for name in ("source", "target", "options", "metadata", "priority")] == [
        before[name] for name in ("source", "target", "options", "metadata", "priority")
    ]
    assert again["result"]["method_version"] == 2


def test_a_plain_estimate_stands_but_its_certificate_is_old(
    open_page: OpenPage, server: ServerProcess, old: Old
) -> None:
    page = open_page(f"/#/estimates/{old.plain}", base=server.url, expected=("404",))
    result_of(page)
    expect(page.locator("s")).to_have_count(0)
    expect(notice(page)).to_have_count(0)
    page.get_by_text("All figures and files").click()
    expect(page.get_by_text("The certificate has format 1, which wdist verify refuses")).to_be_visible()


def test_what_cannot_run_again_says_why(open_page: OpenPage, server: ServerProcess, old: Old) -> None:
    page = open_page(f"/#/estimates/{old.apart}", base=server.url, expected=("404",))
    expect(notice(page)).to_contain_text("A sample set was deleted: send it again first.")
    expect(page.get_by_role("button", name="Run again")).to_have_count(0)


def test_the_list_of_jobs_marks_them(open_page: OpenPage, server: ServerProcess, old: Old) -> None:
    page = open_page("/#/jobs", base=server.url, expected=("404",))
    page.get_by_role("heading", name="Jobs").wait_for()

    def row(name: str) -> Locator:
        return page.locator("tr").filter(has=page.locator(f'a[href="#/estimates/{name}"]'))

    expect(row(old.grouped).locator("s")).to_have_css("text-decoration-line", STRUCK)
    expect(row(old.grouped).get_by_text("withdrawn", exact=True)).to_be_visible()
    expect(row(old.apart).get_by_text("withdrawn", exact=True)).to_be_visible()
    expect(row(old.apart).get_by_role("button", name="Run again")).to_have_count(0)
    expect(row(old.plain).locator("s")).to_have_count(0)
    expect(row(old.plain).get_by_text("withdrawn")).to_have_count(0)
    first = page.locator("table.listing").first.locator("tbody tr a").first
    newest = first.get_attribute("href")
    row(old.grouped).get_by_role("button", name="Run again").click()
    expect(first).not_to_have_attribute("href", str(newest), timeout=PATIENCE_MS)
    expect(first).to_have_text("spring and summer")


def test_a_matrix_marks_its_cells_and_runs_again(open_page: OpenPage, server: ServerProcess, old: Old) -> None:
    page = open_page(f"/#/batches/{old.batch}", base=server.url)
    expect(notice(page)).to_contain_text("Version 1 of the statistics")
    marked = page.locator("td.withdrawn")
    expect(marked).to_have_count(4)  # two pairs, mirrored
    expect(marked.first.get_by_role("link", name=re.compile("withdrawn: run again"))).to_be_visible()
    expect(marked.first.locator("s")).to_have_css("text-decoration-line", STRUCK)
    page.get_by_label("What is shown").select_option("value")
    expect(marked).to_have_count(0)
    page.get_by_role("button", name="Run again").click()
    expect(page).not_to_have_url(re.compile(old.batch), timeout=PATIENCE_MS)
    expect(page.get_by_text("3 of 3 pairs done")).to_be_visible(timeout=PATIENCE_MS)
    expect(notice(page)).to_have_count(0)
    again, before = (record(server, f"batches/{name}") for name in (page.url.rsplit("/", 1)[1], old.batch))
    assert (again["sets"], again["options"]) == (before["sets"], before["options"])
