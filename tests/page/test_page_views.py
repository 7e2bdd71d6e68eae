"""Every view: accessible, light and dark, on small screens, within its size; matrix, jobs, keys, large files."""

from __future__ import annotations

import csv
import io
import json
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from page_steps import PATIENCE_MS, OpenPage, alert, choose, result_of, serious_findings, start, zone
from playwright.sync_api import APIResponse, Browser, Page, Request, Route, expect
from server_process import ServerProcess

from wdist.definitions.results.numbers import rounded_down

Files = dict[str, Path]
PAIRS = ((0, 1), (0, 2), (1, 2))
MOST_ASSET_BYTES = 250_000  # as they are sent to a client that wants them unpacked; browsers get less than half


@pytest.fixture(scope="module")
def finished(server: ServerProcess, files: Files) -> dict[str, str]:
    """Addresses of a finished estimate, one of images, and a finished matrix."""

    def post(path: str, body: bytes, kind: str, *headers: tuple[str, str]) -> Any:
        request = urllib.request.Request(server.url + path, body, {"Content-Type": kind, **dict(headers)})
        with urllib.request.urlopen(request, timeout=70) as answer:
            return json.load(answer)

    def upload(name: str) -> str:
        return str(post(f"/v1/sample-sets?name={name}.npy", files[name].read_bytes(), "application/octet-stream")["id"])

    def run(path: str, body: dict[str, Any]) -> str:
        data = json.dumps({"critic": "affine", "baseline_rows": 100, **body}).encode()
        return str(post(path, data, "application/json", ("Prefer", "wait=60"))["id"])

    left, right, bright, dark = map(upload, ("left", "right", "bright", "dark"))
    batch = run("/v1/batches", {"matrix": [left, upload("other"), right]})
    pair = {"source": left, "target": right}
    table = run("/v1/estimates", pair)
    again = run("/v1/estimates", {**pair, "confidence": 0.99, "name": "Twice, 100 %"})
    scaled = run("/v1/estimates", {**pair, "scale": "standardize", "name": "in deviations"})
    return {
        "table": f"/#/estimates/{table}",
        "runs": f"/#/runs/{table},{again}",
        "units": f"/#/runs/{table},{scaled}",
        "alike": "/#/estimates/" + run("/v1/estimates", {"source": left, "target": upload("again")}),
        "wide": "/#/estimates/" + run("/v1/estimates", {"source": left, "target": upload("wide")}),
        "images": "/#/estimates/" + run("/v1/estimates", {"source": bright, "target": dark}),
        "matrix": f"/#/batches/{batch}",
    }


def settle(page: Page, address: str) -> None:
    """Wait until a view shows all it has."""
    if "estimates" in address:
        result_of(page)
        expect(page.locator(".gap-text")).to_be_visible(timeout=PATIENCE_MS)
    elif "batches" in address:
        expect(page.get_by_text("3 of 3 pairs done")).to_be_visible(timeout=PATIENCE_MS)
    else:
        expect(page.locator("h1")).to_be_visible()
    page.wait_for_load_state("networkidle")


def open_all(page: Page) -> None:
    """Open every disclosure that is on the page."""
    closed = page.locator("details:not([open]) > summary:visible")
    while closed.count():
        closed.first.click()


@pytest.fixture
def unfinished(server: ServerProcess, finished: dict[str, str]) -> Iterator[list[str]]:
    """Addresses of an estimate that runs and of one that waits for it; stopped at the end."""

    def ask(path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{server.url}/v1/estimates{path}", data, {"Content-Type": "application/json"})
        found: dict[str, Any] = json.load(urllib.request.urlopen(request, timeout=60))
        return found

    first = ask("/" + finished["table"].rsplit("/", 1)[1])
    pair = {"source": first["source"], "target": first["target"], "critic": "groupsort", "max_seconds": 600}
    made = [ask("", {**pair, "seed": seed})["id"] for seed in (1, 2)]
    yield [f"/#/estimates/{each}" for each in made]
    for each in reversed(made):
        ask(f"/{each}/cancel", {})


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_every_view_is_accessible_and_fits_a_phone(
    open_page: OpenPage, finished: dict[str, str], unfinished: list[str], color_scheme: str
) -> None:
    page = open_page(color_scheme=color_scheme, expected=("Trusted",))  # axe's own
    start_page = page.url.split("#")[0].rstrip("/")
    found: list[Any] = []
    for address in (
        "/", *unfinished, *finished.values(), "/#/jobs", "/#/matrix", "/#/monitors", "/#/webhooks",
    ):  # fmt: skip
        page.set_viewport_size({"width": 1200, "height": 850})
        page.goto(start_page + address)
        if address in unfinished:
            expect(page.locator(".live-words")).to_contain_text("rain" if address == unfinished[0] else "It waits")
        else:
            settle(page, address)
        open_all(page)
        found += [(address, *finding) for finding in serious_findings(page)]
        for width in (390, 320):
            page.set_viewport_size({"width": width, "height": 700})
            wide = page.evaluate("document.scrollingElement.scrollWidth")
            if wide > width:
                found.append((address, f"{wide} wide on a screen of {width}"))
    assert not found


def test_light_and_dark_differ(open_page: OpenPage) -> None:
    colours = {
        scheme: open_page(color_scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    }
    assert colours["light"] != colours["dark"]


def test_page_is_small_and_quick(open_page: OpenPage, server: ServerProcess) -> None:
    with urllib.request.urlopen(server.url + "/", timeout=10) as answer:
        html = answer.read()
    names = {f"/{name}" for name in re.findall(r'"(page/[\w.]+)"', html.decode())}
    assert len(names) > 10
    size = len(html)
    for name in names:
        with urllib.request.urlopen(server.url + name, timeout=10) as answer:
            size += len(answer.read())
    assert size <= MOST_ASSET_BYTES
    page = open_page()
    expect(page.get_by_role("button", name="Estimate the distance")).to_be_visible()
    asked = page.evaluate("performance.getEntriesByType('resource').map(entry => new URL(entry.name).pathname)")
    assert {name for name in asked if name.startswith("/page/")} <= names  # nothing is fetched late, one by one
    usable_ms = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    assert usable_ms < 5000  # 1 s is the goal on two idle cores; other tests may be running


def test_policy_forbids_inline_script(open_page: OpenPage, server: ServerProcess) -> None:
    with urllib.request.urlopen(server.url + "/", timeout=10) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "script-src 'self'" in policy
        assert answer.headers["X-Frame-Options"] == "DENY"
    page = open_page(expected=("Content Security Policy", "TrustedScript"))
    page.evaluate(
        "try { const inline = document.createElement('script'); inline.text = 'window.harm = 1';"
        " document.body.append(inline) } catch {}"
    )
    assert page.evaluate("window.harm") is None


def test_a_link_on_another_site_opens_the_page(browser: Browser, server: ServerProcess) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"http://localhost:{server.port}/")  # to a browser, another site than 127.0.0.1
        page.evaluate(
            "url => { const a = document.createElement('a'); a.href = url; a.textContent = 'wdist';"
            " document.body.replaceChildren(a) }",
            server.url,
        )
        page.get_by_role("link", name="wdist", exact=True).click()
        expect(page).to_have_url(re.compile(re.escape(server.url)))
        expect(page.get_by_role("button", name="Estimate the distance")).to_be_visible()


def test_witness_shows_the_columns_the_scores_and_the_rows(
    open_page: OpenPage, server: ServerProcess, finished: dict[str, str], files: Files
) -> None:
    page = open_page(finished["table"])
    settle(page, finished["table"])
    address = f"{server.url}/v1/estimates/{finished['table'].rsplit('/', 1)[1]}"
    with urllib.request.urlopen(address) as one, urllib.request.urlopen(f"{address}/witness") as other:
        result, witness = json.load(one)["result"], json.load(other)
    columns = page.locator(".column-list li")
    expect(columns).to_have_count(4)
    expect(columns.first).to_contain_text("column 0")  # along which the sets are a shift of 2 apart
    expect(columns.first).to_contain_text(f"at least {rounded_down(witness['columns'][0]['lower_bound'])}")
    expect(columns.first.get_by_role("img")).to_have_attribute("aria-label", re.compile("left.npy half below .*right"))
    expect(page.locator(".gap-text")).to_have_text(f"means {result['unclipped']:#.3g} apart")
    is_clipped = f"{result['unclipped']:#.3g}" != f"{result['value']:#.3g}"
    expect(page.get_by_text("because rare scores are clipped for the bound.", exact=False)).to_have_count(
        int(is_clipped)
    )
    rows = page.get_by_role("region", name="Unusual target rows").locator("tbody tr")
    heads = page.get_by_role("region", name="Unusual target rows").locator("thead th").all_inner_texts()
    shown = [float(cell.replace(",", "").replace("\u2212", "-")) for cell in rows.first.locator("td").all_inner_texts()]
    index = int(rows.first.locator("th").inner_text().replace(",", ""))
    assert index == witness["unusual"]["target"][0]["row"]
    assert heads[2:] == [f"column {column['name']}" for column in witness["columns"]]
    stored = np.load(files["right"])[index][[int(column["name"]) for column in witness["columns"]]]
    np.testing.assert_allclose(shown[1:], stored, rtol=5e-4, atol=5e-5)  # four digits are shown


def test_no_evidence_is_said_at_once_and_what_it_means(open_page: OpenPage, finished: dict[str, str]) -> None:
    page = open_page(finished["alike"])
    settle(page, finished["alike"])
    card = result_of(page)
    expect(card.get_by_role("heading")).to_contain_text("No evidence of a difference (p = ")
    expect(card).to_contain_text("This does not show that they are equal")
    expect(page.get_by_role("note", name="What to mind")).to_contain_text("also occur in")  # one set, sent twice


def test_advice_is_followed_by_a_button(open_page: OpenPage, server: ServerProcess, finished: dict[str, str]) -> None:
    page = open_page(finished["wide"])
    mind = page.get_by_role("note", name="What to mind")
    expect(mind).to_contain_text("Columns differ in scale")
    mind.get_by_role("button", name="Measure in standard deviations").click()
    expect(page).not_to_have_url(re.compile(finished["wide"].rsplit("/", 1)[1]), timeout=PATIENCE_MS)
    result_of(page)
    expect(mind).to_have_count(0)
    expect(page.locator("main")).to_contain_text("standardised columns")


def test_images_are_shown_as_they_are(open_page: OpenPage, finished: dict[str, str]) -> None:
    page = open_page(finished["images"], expected=("willReadFrequently",))  # said of this test's own reading
    settle(page, finished["images"])
    thumbnails = page.locator("canvas.thumbnail")
    expect(thumbnails).to_have_count(20)
    top_and_bottom = thumbnails.last.evaluate(
        "c => [0, 4].map(y => c.getContext('2d').getImageData(0, y, 8, 4).data.filter((_, i) => i % 4 === 0)"
        ".reduce((sum, v) => sum + v))"
    )
    assert top_and_bottom[0] < top_and_bottom[1]  # the upper half of the target's images was darkened


def test_matrix_from_files_to_heat_map(open_page: OpenPage, server: ServerProcess, files: Files) -> None:
    page = open_page("/#/matrix", expected=("422",))
    page.get_by_role("button", name="Estimate all pairs").click()
    expect(alert(page)).to_contain_text("at least two sets")
    names = ["left", "right", "same"]
    page.get_by_role("region", name="Files").locator("input").set_input_files([files[name] for name in names])
    expect(page.locator(".set-list").get_by_text("600 rows of 4 numbers")).to_have_count(3, timeout=PATIENCE_MS)
    page.get_by_label("Kind of critic").select_option("affine")
    page.get_by_label("What the confidence holds for").select_option("each pair, and all together")
    page.get_by_role("button", name="Estimate all pairs").click()
    settle(page, "batches")
    heads = page.locator(".heat thead th").all_inner_texts()
    assert heads.index("right.npy") in (0, 2)  # the two near ones stand together
    address, batch = page.url, page.url.rsplit("/", 1)[1]
    far = page.get_by_role("link", name=re.compile("left.npy and right.npy: [12].* to [23]")).first
    near = page.get_by_role("link", name=re.compile("left.npy and same.npy: no evidence below")).first
    expect(near).to_contain_text("no evidence")
    expect(page.locator(".heat-scale")).to_contain_text("0: no evidence of a difference")
    expect(page.get_by_text("95\u2009% confidence by itself")).to_be_visible()
    page.get_by_label("What is shown").select_option("both ends, all together")
    expect(page.get_by_text("All ends hold together with 95\u2009% confidence")).to_be_visible()
    matrix = json.load(urllib.request.urlopen(f"{server.url}/v1/batches/{batch}/matrix"))
    for words in ("CSV", "JSON", "SVG"):
        with page.expect_download() as saved:
            page.get_by_role("button", name=f"Save as {words}").click()
        text = saved.value.path().read_text()
        if words == "CSV":
            rows = list(csv.DictReader(io.StringIO(text)))
            assert [row["target"] for row in rows] == ["right.npy", "same.npy", "same.npy"]
            assert [float(row["lower_bound"]) for row in rows] == [matrix["lower_bound"][i][j] for i, j in PAIRS]
        elif words == "JSON":
            assert json.loads(text)["matrix"]["upper_bound"] == matrix["upper_bound"]
        else:
            assert ElementTree.fromstring(text).tag.endswith("svg")
            assert text.count("no evidence") == 2
    page.get_by_text("All figures").click()
    table = page.get_by_role("region", name="All figures")
    expect(table.locator("tbody tr")).to_have_count(3)
    expect(table.locator("tbody tr").first).to_contain_text("differ")
    page.get_by_role("button", name="Do this again").click()
    expect(page.locator(".set-list strong")).to_have_text([f"{name}.npy" for name in names], timeout=PATIENCE_MS)
    expect(page.get_by_label("Kind of critic")).to_have_value("affine")
    page.get_by_role("button", name="Estimate all pairs").click()
    expect(page).not_to_have_url(re.compile(f"{batch}|matrix$"), timeout=PATIENCE_MS)
    both = (batch, page.url.rsplit("/", 1)[1])
    one, other = (json.load(urllib.request.urlopen(f"{server.url}/v1/batches/{each}")) for each in both)
    assert (one["sets"], one["options"]) == (other["sets"], other["options"])
    page.goto(address)
    far.click()
    result_of(page)
    expect(page.get_by_role("heading", name="left.npy and right.npy")).to_be_visible()


def test_a_pair_that_failed_is_said_with_its_reason(open_page: OpenPage, files: Files) -> None:
    page = open_page("/#/matrix")
    chooser = page.get_by_role("region", name="Files").locator("input")
    chooser.set_input_files([files[name] for name in ("left", "right")])
    expect(page.locator(".set-list").get_by_text("600 rows of 4 numbers")).to_have_count(2, timeout=PATIENCE_MS)
    page.get_by_text("More options").click()
    page.locator("[name=diameter]").fill("0.01")  # rows are further apart, which only their values show
    page.get_by_role("button", name="Estimate all pairs").click()
    expect(page.get_by_text("1 of 1 pair done, 1 failed")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("1 pair failed.")).to_be_visible()
    expect(page.get_by_text("smaller than the data")).to_be_visible()
    expect(page.locator(".heat td a").first).to_have_text("failed")


def test_jobs_are_found_renamed_and_compared(open_page: OpenPage, finished: dict[str, str]) -> None:
    page = open_page("/#/jobs")
    rows = page.get_by_role("table", name="Estimates").locator("tbody tr")
    search = page.get_by_label("Search for names and ids")
    search.fill("TWICE, 100 %")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("left.npy and right.npy")
    expect(rows).to_contain_text("own units, 99\u2009%")
    expect(rows).to_contain_text(re.compile(r"They differ \(p.<.0\.001\).*at least 1\.\d+, at most 2\.\d+"))
    rows.get_by_role("button", name="Rename").click()
    page.keyboard.press("Escape")
    expect(rows.get_by_role("button", name="Rename")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.type("<b>again</b> & again")
    page.keyboard.press("Enter")
    expect(page.get_by_text("None is found.").first).to_be_visible()  # by the old name
    search.fill("again</b>")
    expect(rows.get_by_role("link")).to_have_text("<b>again</b> & again")
    page.get_by_label("State").select_option("failed")
    expect(rows).to_have_count(0)
    page.get_by_label("State").select_option("done")
    search.fill("")
    expect(page.get_by_role("link", name="in deviations")).to_be_visible()
    for run in ("runs", "units"):
        for identifier in finished[run].rsplit("/", 1)[1].split(","):
            box = page.locator("tr", has=page.locator(f"a[href='#/estimates/{identifier}']")).get_by_role("checkbox")
            box.check()
        page.get_by_role("button", name="Compare the 2 ticked runs").click()
        expect(page.get_by_role("heading", name="Side by side")).to_be_visible(timeout=PATIENCE_MS)
        differing = [text.split("differs")[0] for text in page.locator(".runs tr.differs th").all_inner_texts()]
        if run == "runs":
            assert {"confidence", "At least", "At most"} <= set(differing)
            assert "seed" not in differing
            expect(page.locator(".bound-range")).to_have_count(2)
        else:
            assert "Units" in differing
            expect(page.get_by_text("in different units, so their distances cannot be compared")).to_be_visible()
            expect(page.locator(".bound-range")).to_have_count(0)
        page.go_back()
        expect(rows.first).to_be_visible()


def test_which_population_is_closest(open_page: OpenPage, files: Files) -> None:
    page = open_page("/#/matrix")
    page.get_by_label("What to compare").select_option("the first with the others: which is closest?")
    choose = page.get_by_role("region", name="Files").locator("input")
    choose.set_input_files([files[name] for name in ("left", "other")])
    expect(page.locator(".set-list").get_by_text("600 rows of 4 numbers")).to_have_count(2, timeout=PATIENCE_MS)
    page.get_by_label("Kind of critic").select_option("affine")
    page.get_by_role("button", name="Find the closest").click()
    expect(alert(page)).to_contain_text("at least two others")
    choose.set_input_files([files["right"]])
    expect(page.locator(".set-list").get_by_text("600 rows of 4 numbers")).to_have_count(3, timeout=PATIENCE_MS)
    page.get_by_role("button", name="Find the closest").click()
    expect(page.get_by_role("heading", name="Which of 2 populations is closest?")).to_be_visible(timeout=PATIENCE_MS)
    card = page.get_by_role("region", name="Which is closest?")
    expect(card).to_contain_text("is closer to left.npy than", timeout=PATIENCE_MS)
    expect(card).to_contain_text("all statements together 95 %, approximate")
    places = card.locator(".row-name").all_text_contents()
    assert [text.split()[0] for text in places] == ["1", "2"]
    assert card.locator(".lead strong").first.inner_text() == places[0].split()[1]
    expect(page.locator(".heat td a")).to_have_count(2)


def test_jobs_are_listed_stopped_and_deleted(open_page: OpenPage, files: Files) -> None:
    page = open_page()
    choose(page, files["left"], files["other"])
    start(page, "groupsort", Training_time="600")
    page.get_by_role("link", name="Jobs").click()
    row = page.locator("tr", has_text="left.npy and other.npy").first
    expect(row).to_contain_text(re.compile("running|waiting its turn"), timeout=PATIENCE_MS)
    row.get_by_role("button", name="Stop").click()
    expect(row).to_contain_text("stopped", timeout=PATIENCE_MS)
    before = page.locator("tr", has_text="left.npy and other.npy").count()
    row.get_by_role("button", name="Delete").click()  # the confirmation is accepted by open_page
    expect(page.locator("tr", has_text="left.npy and other.npy")).to_have_count(before - 1)


def test_deletion_from_a_list_of_several_pages(open_page: OpenPage, server: ServerProcess, files: Files) -> None:
    page = open_page()
    choose(page, files["left"], files["right"])
    first = start(page, "affine")
    result_of(page)
    record = json.load(urllib.request.urlopen(f"{server.url}/v1/estimates/{first}"))
    for seed in range(25):  # a page of the list has 20
        body = {"source": record["source"], "target": record["target"], "critic": "affine", "seed": seed}
        request = urllib.request.Request(
            f"{server.url}/v1/estimates", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        last = json.load(urllib.request.urlopen(request))["id"]
    page.get_by_role("link", name="Jobs").click()
    estimates = page.get_by_role("table", name="Estimates").locator("tbody tr")
    expect(estimates).to_have_count(20)
    page.get_by_role("button", name="Show older ones").first.click()
    expect(estimates.nth(20)).to_be_visible()
    row = page.locator("tr", has=page.locator(f"a[href='#/estimates/{last}']"))
    row.get_by_role("button", name="Delete").click(timeout=PATIENCE_MS)
    expect(row).to_have_count(0)
    expect(estimates.nth(20)).to_be_visible()  # older ones stay


def test_list_that_was_asked_for_before_a_deletion_and_comes_after_it_brings_nothing_back(
    open_page: OpenPage, files: Files
) -> None:
    page = open_page()
    choose(page, files["left"], files["other"])
    done = start(page, "affine")
    result_of(page)
    page.get_by_role("link", name="Compare").click()
    start(page, "groupsort", Training_time="600")  # while it runs, the page asks for the list again and again
    page.get_by_role("link", name="Jobs").click()
    row = page.locator("tr", has=page.locator(f"a[href='#/estimates/{done}']"))
    expect(row.get_by_role("button", name="Delete")).to_be_visible(timeout=PATIENCE_MS)
    late: list[tuple[Route, APIResponse]] = []
    lists = re.compile(r"/v1/estimates\?")

    def hold_the_first(route: Route) -> None:
        if late:
            route.continue_()
        else:
            late.append((route, route.fetch()))  # what the list was before the deletion

    page.route(lists, hold_the_first)
    with page.expect_request(lists):
        pass
    page.wait_for_timeout(300)
    row.get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0, timeout=PATIENCE_MS)
    route, answer = late[0]
    with page.expect_response(lists):
        route.fulfill(response=answer)
    page.wait_for_timeout(1_000)
    assert row.count() == 0  # now: the next poll would take it away again
    page.locator("tr", has_text="left.npy and other.npy").first.get_by_role("button", name="Stop").click()


def test_large_file_goes_on_after_a_broken_connection(open_page: OpenPage, tmp_path: Path) -> None:
    rows = np.random.default_rng(3).normal(size=(300_000, 10)).astype(np.float32)  # 12 MB: two parts
    np.save(tmp_path / "large.npy", rows)
    page = open_page(expected=("ERR_FAILED",))
    methods: list[str] = []

    def break_first_part(route: Route) -> None:
        methods.append(route.request.method)
        if methods.count("PATCH") == 1 and route.request.method == "PATCH":
            route.abort()
        else:
            route.continue_()

    page.route("**/v1/uploads/**", break_first_part)
    zone(page, "Source").locator("input[type=file]").set_input_files(tmp_path / "large.npy")
    expect(zone(page, "Source")).to_contain_text("300,000 rows of 10 numbers", timeout=PATIENCE_MS)
    assert methods == ["PATCH", "HEAD", "PATCH", "PATCH"]


@pytest.fixture
def closed_server(tmp_path: Path) -> Iterator[tuple[ServerProcess, str]]:
    """A server that asks for a key, and an admin's key."""
    with ServerProcess(tmp_path / "data", ["--workers", "0"]) as running:
        body = json.dumps({"role": "admin"}).encode()
        request = urllib.request.Request(f"{running.url}/v1/api-keys", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            yield running, json.load(answer)["secret"]


def test_key_stays_in_memory(open_page: OpenPage, closed_server: tuple[ServerProcess, str], files: Files) -> None:
    server, secret = closed_server
    page = open_page(base=server.url, expected=("401",))
    banner = page.locator("#banner")
    expect(banner).to_contain_text("asks for an API key")
    for given, words in (("wd_wrong", "does not know that key"), (secret, "")):
        page.get_by_role("button", name="API key", exact=False).first.click()
        page.get_by_label("Key", exact=True).fill(given)
        page.get_by_label("Key", exact=True).press("Enter")
        expect(banner).to_contain_text(words)
    expect(banner).to_be_empty()
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))
    choose(page, files["left"], files["right"])
    assert asked
    assert all(secret not in request.url for request in asked)
    kept = "JSON.stringify([localStorage, sessionStorage, document.cookie, history.state, location.href])"
    assert secret not in page.evaluate(kept)
    page.reload()
    expect(banner).to_contain_text("asks for an API key")


def test_waiting_estimate_goes_on_without_the_page(open_page: OpenPage, server: ServerProcess, files: Files) -> None:
    page = open_page()
    choose(page, files["left"], files["right"])
    estimate_id = start(page)
    page.close()
    deadline = time.monotonic() + 60
    status = ""
    while status != "succeeded" and time.monotonic() < deadline:
        with urllib.request.urlopen(f"{server.url}/v1/estimates/{estimate_id}", timeout=30) as answer:
            status = json.load(answer)["status"]
        time.sleep(0.1)
    assert status == "succeeded"
