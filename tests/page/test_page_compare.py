"""The main job in a browser: upload, run, watch, read; and what the page says when something is wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_steps import PATIENCE_MS, OpenPage, alert, choose, result_of, start, zone
from playwright.sync_api import Route, expect
from server_process import ServerProcess

from wdist.definitions.results.numbers import rounded_down, rounded_up

Files = dict[str, Path]
BESIDE = "Beside other ways of measuring"


def fetch(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def test_page_reads_the_servers_result(open_page: OpenPage, server: ServerProcess, files: Files) -> None:
    page = open_page()
    choose(page, files["left"], files["right"])
    expect(zone(page, "Source")).to_contain_text("600 rows of 4 numbers")
    estimate_id = start(page)
    card = result_of(page)
    result = fetch(f"{server.url}/v1/estimates/{estimate_id}")["result"]
    said = result["verdict"]
    expect(card.get_by_role("heading")).to_contain_text(said["headline"])
    for sentence in ("distance", "size"):
        expect(card).to_contain_text(said[sentence])
    assert 1 < result["lower_bound"] <= 2 <= result["upper_bound"]  # the sets are a shift of 2 apart
    expect(card).to_contain_text("95\u2009% confidence each, 90\u2009% together, the upper end approximately")
    expect(card).to_contain_text(result["units"])
    lower, upper = rounded_down(result["lower_bound"]), rounded_up(result["upper_bound"])
    assert lower in said["distance"]  # one and the same rounding in the sentence and in the picture
    assert upper in said["distance"]
    picture = card.get_by_role("img").get_attribute("aria-label") or ""
    assert f"The distance lies between {lower} and {upper}." in picture
    assert card.locator(".bound-text").all_text_contents() == [f"at least {lower}", f"at most {upper}"]
    expect(page.get_by_role("heading", name="Which rows make the difference")).to_be_visible()
    order = page.locator("main h2:visible, main summary:visible").all_inner_texts()
    assert order[1:4] == ["Which columns make the difference", "Which rows make the difference", BESIDE]


def test_interval_is_drawn_to_scale(open_page: OpenPage, server: ServerProcess, files: Files) -> None:
    page = open_page()
    choose(page, files["left"], files["right"])
    result = fetch(f"{server.url}/v1/estimates/{start(page)}")["result"] or {}
    card = result_of(page)
    result = result or fetch(f"{server.url}/v1/estimates/{page.url.rsplit('/', 1)[1]}")["result"]
    ticks = card.locator(".axis text").all()
    values = [float(tick.text_content() or "nan") for tick in ticks]
    places = [float(tick.get_attribute("x") or "nan") for tick in ticks]
    slope, offset = np.polyfit(values, places, 1)
    dot = float(card.locator("circle").get_attribute("cx") or "nan")
    bound = float(card.locator(".bound-line").first.get_attribute("x1") or "nan")
    assert dot == pytest.approx(offset + slope * result["value"], abs=0.5)
    assert bound == pytest.approx(offset + slope * result["lower_bound"], abs=0.5)


def test_two_files_dropped_on_one_box_fill_both(open_page: OpenPage, files: Files) -> None:
    page = open_page()
    payload = [{"name": f"{name}.npy", "data": list(files[name].read_bytes())} for name in ("left", "right")]
    transfer = page.evaluate_handle(
        """files => { const transfer = new DataTransfer();
        for (const {name, data} of files) transfer.items.add(new File([new Uint8Array(data)], name));
        return transfer; }""",
        payload,
    )
    zone(page, "Target").dispatch_event("drop", {"dataTransfer": transfer})
    expect(zone(page, "Source")).to_contain_text("left.npy")
    expect(zone(page, "Target")).to_contain_text("right.npy")
    expect(zone(page, "Target")).to_contain_text("600 rows of 4 numbers", timeout=PATIENCE_MS)


def test_example_runs_on_one_click_below_its_known_distance(open_page: OpenPage, server: ServerProcess) -> None:
    page = open_page()
    page.get_by_label("Kind of critic").select_option("affine")
    page.get_by_role("button", name="Try two sets whose distance is known").click()
    expect(page).to_have_url(re.compile(r"#/estimates/est_\w+$"), timeout=PATIENCE_MS)
    expect(page.get_by_text("4,000 rows of 8 numbers")).to_be_visible()
    result_of(page)
    shown = fetch(f"{server.url}/v1/estimates/{page.url.rsplit('/', 1)[1]}")["result"]
    assert 0.5 < shown["lower_bound"] <= 1


def test_csv_keeps_its_column_names(open_page: OpenPage, files: Files) -> None:
    page = open_page()
    choose(page, files["table"], files["right"])
    expect(zone(page, "Source")).to_contain_text("600 rows of 4 columns")


def test_estimate_is_watched_and_stopped(open_page: OpenPage, server: ServerProcess, files: Files) -> None:
    page = open_page(expected=("ERR_INTERNET_DISCONNECTED",))
    choose(page, files["left"], files["right"])
    estimate_id = start(page, "groupsort", Training_time="600")
    line = page.locator(".value-line")
    expect(line).to_have_count(1, timeout=PATIENCE_MS)
    before = line.get_attribute("d") or ""
    expect(line).not_to_have_attribute("d", before, timeout=PATIENCE_MS)  # the curve grows
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.locator(".live-words")).to_have_text(
        re.compile(r"Training critics: [\d,]+ of [\d,]+ steps\. About \d+ (minute|second)s? left\.")
    )
    expect(page.get_by_text("So far the best critic shows")).to_be_visible()
    page.reload()  # what was known before is there again
    expect(line).to_have_count(1, timeout=PATIENCE_MS)
    page.context.set_offline(True)
    gone = page.get_by_text("The server does not answer. The estimate goes on if the server does.")
    expect(gone).to_be_visible(timeout=10_000)
    page.context.set_offline(False)
    expect(gone).to_have_count(0, timeout=PATIENCE_MS)
    expect(page.locator(".live-words")).to_contain_text("Training critics")
    expect(page.get_by_text("uncertified", exact=True)).to_be_visible()
    expect(page.locator(".line-key.trivial")).to_contain_text("distance of the means")
    expect(page.locator(".trivial-line")).to_have_count(1)
    page.get_by_role("group", name="Curve of the uncertified value").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".readout text")).to_have_text(re.compile("at .* step"))
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_text("was stopped before it was finished")).to_be_visible(timeout=PATIENCE_MS)
    assert fetch(f"{server.url}/v1/estimates/{estimate_id}")["status"] == "canceled"


def test_estimate_is_finished_with_what_it_has(open_page: OpenPage, server: ServerProcess, files: Files) -> None:
    page = open_page()
    choose(page, files["left"], files["right"])
    estimate_id = start(page, "groupsort", Training_time="600")
    expect(page.locator(".value-line")).to_have_count(1, timeout=PATIENCE_MS)
    button = page.get_by_role("button", name="Finish now")
    button.click()
    result_of(page)
    expect(button).to_have_count(0)
    mind = page.get_by_role("note", name="What to mind")
    expect(mind).to_contain_text("ended early")
    ended = fetch(f"{server.url}/v1/estimates/{estimate_id}")
    assert ended["status"] == "succeeded"
    mind.get_by_role("button", name="Train to the end").click()
    expect(page).not_to_have_url(re.compile(estimate_id), timeout=PATIENCE_MS)
    again = fetch(f"{server.url}/v1/estimates/{page.url.rsplit('/', 1)[1]}")
    assert [again[name] for name in ("source", "target", "options")] == [
        ended[name] for name in ("source", "target", "options")
    ]
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_text("was stopped before it was finished")).to_be_visible(timeout=PATIENCE_MS)


def test_code_on_the_page_runs_where_there_are_no_files(open_page: OpenPage, files: Files, tmp_path: Path) -> None:
    page = open_page()
    choose(page, files["left"], files["right"])
    page.get_by_label("Confidence").select_option("0.99")
    start(page)
    result_of(page)
    code = page.get_by_role("tabpanel")
    assert "confidence=0.99" in code.inner_text()
    page.get_by_role("button", name="Copy").click()
    assert page.evaluate("navigator.clipboard.readText()") == code.inner_text()
    done = subprocess.run(
        [sys.executable, "-c", code.inner_text()],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "(99 %, approximate)" in done.stdout
    page.get_by_role("tab", name="Command line").click()
    done = subprocess.run(
        ["bash", "-c", code.inner_text()],
        cwd=tmp_path, capture_output=True, text=True, timeout=90, check=True,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip
    assert "(99 %, approximate)" in done.stdout
    for name in ("curl", "jq"):
        if shutil.which(name) is None:
            pytest.skip(f"no {name} on this machine")
    page.get_by_role("tab", name="curl").click()
    done = subprocess.run(
        ["bash", "-c", code.inner_text()],
        cwd=tmp_path, capture_output=True, text=True, timeout=90, check=True,
    )  # fmt: skip
    assert "(99 %, approximate)" in json.loads(done.stdout)["result"]["meaning"]


def test_what_cannot_be_compared_is_said_before_anything_runs(open_page: OpenPage, files: Files) -> None:
    page = open_page(expected=("422",))
    button = page.get_by_role("button", name="Estimate the distance")
    button.click()
    expect(alert(page)).to_contain_text("Choose a file for source")
    choose(page, files["left"], files["narrow"])
    expect(alert(page)).to_contain_text("The source has 4 columns, the target 3")
    button.click()
    expect(page).not_to_have_url(re.compile("estimates"))


def test_list_of_earlier_sets_that_comes_late_wipes_no_message(open_page: OpenPage, files: Files) -> None:
    page = open_page()
    choose(page, files["left"], files["right"])  # so that there is an earlier set
    held: list[Route] = []
    page.route("**/v1/sample-sets?*", lambda route: held.append(route))
    with page.expect_request("**/v1/sample-sets?*"):
        page.reload()
    page.get_by_role("button", name="Estimate the distance").click()
    expect(alert(page)).to_contain_text("Choose a file for source")
    with page.expect_response("**/v1/sample-sets?*"):
        held[0].continue_()
    expect(zone(page, "Source").get_by_label("a set uploaded before")).to_be_visible()
    expect(alert(page)).to_contain_text("Choose a file for source")
    zone(page, "Source").locator("input[type=file]").set_input_files(files["left"])
    expect(alert(page)).to_have_count(0)


def test_word_on_files_left_out_outlives_the_upload(open_page: OpenPage, files: Files) -> None:
    page = open_page()
    three = [files[name] for name in ("left", "right", "other")]
    zone(page, "Source").locator("input[type=file]").set_input_files(three)
    for side in ("Source", "Target"):
        expect(zone(page, side).get_by_role("button", name="Choose another")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("The first two files were taken")).to_be_visible()


@pytest.mark.parametrize(
    ("name", "words"),
    [("text", "not an .npy file"), ("holed", "row 17, column 2")],
)
def test_file_that_cannot_be_used_is_refused_in_words(open_page: OpenPage, files: Files, name: str, words: str) -> None:
    page = open_page(expected=("422", "400"))
    zone(page, "Source").locator("input[type=file]").set_input_files(files[name])
    expect(zone(page, "Source").get_by_role("alert")).to_contain_text(words, timeout=PATIENCE_MS)
    expect(zone(page, "Source").get_by_text("Choose a file")).to_be_visible()  # the next action is at hand


def test_too_few_rows_are_said_at_once(open_page: OpenPage, files: Files) -> None:
    page = open_page()
    choose(page, files["short"], files["right"])
    expect(zone(page, "Source").get_by_role("alert")).to_contain_text("60 rows: too few. At least 100 are needed")
    page.get_by_role("button", name="Estimate the distance").click()
    expect(page).not_to_have_url(re.compile("estimates"))


def test_option_out_of_range_is_marked(open_page: OpenPage, files: Files) -> None:
    page = open_page()
    choose(page, files["left"], files["right"])
    page.get_by_text("More options").click()
    seed = page.locator("[name=seed]")
    seed.fill("-1")
    page.get_by_role("button", name="Estimate the distance").click()
    expect(seed).to_have_attribute("aria-invalid", "true")
    expect(seed).to_be_focused()
    expect(alert(page)).to_contain_text("whole number")


def test_rarer_options_reach_the_server(open_page: OpenPage, server: ServerProcess, files: Files) -> None:
    page = open_page(expected=("422",))
    choose(page, files["left"], files["right"])
    page.get_by_text("More options").click()
    diameter = page.locator("[name=diameter]")
    diameter.fill("-3")
    page.get_by_role("button", name="Estimate the distance").click()
    expect(diameter).to_be_focused()
    expect(alert(page).first).to_contain_text("above 0")
    diameter.fill("20")
    page.locator("[name=split]").select_option("blocks")
    page.get_by_role("button", name="Estimate the distance").click()
    expect(alert(page).first).to_contain_text("independent draws")  # beside the field, in the server's words
    page.locator("[name=split]").select_option("random")
    page.locator("[name=method]").select_option("empirical_bernstein")
    estimate = fetch(f"{server.url}/v1/estimates/{start(page)}")
    card = result_of(page)
    chosen = {name: estimate["options"][name] for name in ("diameter", "method")}
    assert chosen == {"diameter": 20, "method": "empirical_bernstein"}
    expect(card.get_by_role("img")).to_have_attribute("aria-label", re.compile(r"lies between [\d.]+ and [\d.]+\."))
    expect(page.get_by_text("rows at most 20 apart")).to_be_visible()


def test_failed_estimate_says_why(open_page: OpenPage, files: Files) -> None:
    page = open_page()
    choose(page, files["left"], files["right"])
    page.get_by_text("More options").click()
    page.locator("[name=diameter]").fill("0.01")  # rows are further apart, which only their values show
    start(page)
    expect(alert(page)).to_contain_text("This estimate failed", timeout=PATIENCE_MS)
    expect(alert(page)).to_contain_text("smaller than the data")


def test_critic_that_does_not_fit_is_refused_at_once(open_page: OpenPage, files: Files) -> None:
    page = open_page(expected=("422",))
    choose(page, files["left"], files["right"])
    page.get_by_label("Kind of critic").select_option("bcop")
    page.get_by_role("button", name="Estimate the distance").click()
    expect(alert(page).first).to_contain_text("bcop needs images")  # beside the field


def test_unknown_estimate_and_page(open_page: OpenPage) -> None:
    page = open_page("/#/estimates/est_01jd3v5q3k8e9x7w2m4n6p8r0t", expected=("404",))
    expect(alert(page)).to_contain_text("est_01jd3v5q3k8e9x7w2m4n6p8r0t")
    page = open_page("/#/nowhere")
    expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()


def test_server_that_went_away_is_said(open_page: OpenPage, tmp_path: Path, files: Files) -> None:
    with ServerProcess(tmp_path / "data", ["--workers", "0"]) as brief:
        page = open_page(
            base=brief.url, expected=("ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET")
        )
        expect(page.locator("#server")).to_contain_text("no worker is running")
        choose(page, files["left"], files["right"])
    page.get_by_role("button", name="Estimate the distance").click()
    expect(alert(page)).to_contain_text("The server does not answer")
    expect(alert(page)).to_contain_text("wdist serve")


def test_keyboard_alone(open_page: OpenPage, files: Files) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    choose(page, files["left"], files["right"])
    page.get_by_label("Kind of critic").focus()
    page.keyboard.type("the difference")
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Estimate the distance":
            break
    page.keyboard.press("Enter")
    result_of(page)
