"""The page shows what the contract describes: an option or a figure that is new there needs no JavaScript."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from page_steps import PATIENCE_MS, OpenPage, choose, result_of, start
from playwright.sync_api import Locator, Page, Route, expect
from server_process import ServerProcess

Files = dict[str, Path]
NEW_OPTIONS: dict[str, dict[str, Any]] = {
    "patience": {
        "type": "integer", "minimum": 2, "exclusiveMaximum": 9, "default": 3, "description": "When to stop waiting.",
        "x-form": {"label": "Patience of training"},
    },
    "tilt": {"anyOf": [{"type": "number", "exclusiveMinimum": 0, "maximum": 1}, {"type": "null"}]},
    "eager": {"type": "boolean", "default": False},
    "careful": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
    "shape": {"$ref": "#/components/schemas/Shape", "default": "round", "x-form": {"choices": {"round": "as a ball"}}},
    "labels_of_it": {"type": "object"},
}  # fmt: skip


@pytest.fixture
def contract(server: ServerProcess) -> dict[str, Any]:
    with urllib.request.urlopen(f"{server.url}/openapi.json", timeout=30) as answer:
        read: dict[str, Any] = json.load(answer)
    return read


def serve(page: Page, contract: dict[str, Any]) -> None:
    """Give the page another contract, from its next loading on."""
    page.route("**/openapi.json", lambda route: route.fulfill(json=contract))
    page.reload()


def option(page: Page, name: str) -> Locator:
    return page.locator(f"[name={name}]")


def request_of(page: Page) -> dict[str, Any]:
    """Press the button; what the page sends. The server is not asked: it does not know the new options."""
    sent: list[dict[str, Any]] = []

    def keep(route: Route) -> None:
        sent.append(route.request.post_data_json)
        route.fulfill(status=422, json={"title": "Kept", "detail": "kept by the test"})

    page.route("**/v1/estimates", keep)
    page.get_by_role("button", name="Estimate the distance").click()
    expect(page.get_by_role("alert").last).to_contain_text("ept by the test")
    page.unroute("**/v1/estimates")
    return {name: value for name, value in sent[0].items() if name not in ("source", "target")}


def test_new_options_have_controls(open_page: OpenPage, files: Files, contract: dict[str, Any]) -> None:
    contract["components"]["schemas"]["Shape"] = {"type": "string", "enum": ["round", "square"]}
    contract["components"]["schemas"]["EstimateRequest"]["properties"] |= NEW_OPTIONS
    page = open_page(expected=("422",))
    serve(page, contract)
    choose(page, files["left"], files["right"])
    page.get_by_text("More options").click()
    assert request_of(page) == {}  # defaults are the server's
    patience = page.get_by_label("Patience of training")
    expect(patience).to_have_value("3")
    expect(page.locator(".option", has=option(page, "patience"))).to_contain_text("When to stop waiting.")
    expect(option(page, "shape").locator("option")).to_have_text(["as a ball", "square"])
    expect(option(page, "labels_of_it")).to_have_count(0)
    patience.fill("9")
    page.get_by_role("button", name="Estimate the distance").click()
    expect(page.get_by_role("alert")).to_have_text("Give a whole number, at least 2, below 9.")
    patience.fill("8")
    option(page, "tilt").fill("0")
    page.get_by_role("button", name="Estimate the distance").click()
    expect(page.get_by_role("alert")).to_have_text("Give a number, above 0, at most 1; or leave it empty.")
    option(page, "tilt").fill("0.5")
    option(page, "eager").select_option("yes")
    option(page, "careful").select_option("no")
    option(page, "shape").select_option("square")
    assert request_of(page) == {"patience": 8, "tilt": 0.5, "eager": True, "careful": False, "shape": "square"}


def test_bounds_choices_and_defaults_are_those_of_the_contract(
    open_page: OpenPage, files: Files, contract: dict[str, Any]
) -> None:
    options = contract["components"]["schemas"]["EstimateRequest"]["properties"]
    options["critic"]["enum"].append("brand_new")
    options["confidence"] |= {"default": 0.97, "exclusiveMaximum": 0.99}
    options["max_seconds"]["anyOf"][0]["maximum"] = 60
    options["baseline_rows"] |= {"maximum": 77, "default": 12}
    page = open_page(expected=("422",))
    serve(page, contract)
    choose(page, files["left"], files["right"])
    expect(option(page, "confidence").locator("option")).to_have_text(["0.97", "90\u2009%", "95\u2009%"])
    assert option(page, "max_seconds").locator("option").evaluate_all("all => all.map(o => o.value)") == ["", "5", "30"]
    expect(option(page, "baseline_rows")).to_have_attribute("max", "77")
    expect(option(page, "baseline_rows")).to_have_value("12")
    option(page, "critic").select_option("brand_new")
    option(page, "scale").select_option("number")
    page.get_by_label("Length of the unit").fill("2.5")
    assert request_of(page) == {"critic": "brand_new", "scale": 2.5}


def test_every_option_of_a_simple_type_is_in_both_forms(open_page: OpenPage, contract: dict[str, Any]) -> None:
    def is_simple(schema: dict[str, Any]) -> bool:
        kinds = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
        of_numbers = kinds[0].get("type") == "array" and kinds[0]["items"].get("type") == "number"
        is_plain = "enum" in kinds[0] or kinds[0].get("type") in ("integer", "number", "boolean")
        return len(kinds) == 1 and (is_plain or of_numbers)

    for address, request in (("/", "EstimateRequest"), ("/#/matrix", "BatchRequest")):
        properties = contract["components"]["schemas"][request]["properties"]
        page = open_page(address)
        expect(option(page, "scale")).to_be_visible(timeout=PATIENCE_MS)
        shown = page.locator("form :is(select, input)[name]:not(.reading *)").evaluate_all(
            "all => all.map(each => each.name)"
        )
        assert {name for name, schema in properties.items() if is_simple(schema)} == set(shown) - {
            "scale", "scale_number"
        }  # fmt: skip


def test_several_numbers_are_written_with_commas(open_page: OpenPage, files: Files, contract: dict[str, Any]) -> None:
    page = open_page(expected=("422",))
    serve(page, contract)
    choose(page, files["left"], files["right"])
    page.get_by_text("More options").click()
    for text in ("0", "0, one", "0, 1,"):
        option(page, "ranges").fill(text)
        page.get_by_role("button", name="Estimate the distance").click()
        expect(page.get_by_role("alert")).to_contain_text("Give 2 or more numbers, with commas between them")
    option(page, "ranges").fill(" -1.5, 2e3")
    assert request_of(page) == {"ranges": [-1.5, 2000]}


def figure_lines(page: Page) -> list[list[str]]:
    page.get_by_text("All figures and files").click()
    cells = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    lines: list[list[str]] = page.locator(".figures tbody tr").evaluate_all(cells)
    return lines


def test_figures_are_those_that_the_contract_shows(
    open_page: OpenPage, server: ServerProcess, files: Files, contract: dict[str, Any]
) -> None:
    schemas = contract["components"]["schemas"]
    figures = schemas["ResultView"]["properties"]
    for schema in schemas.values():
        for figure in schema.get("properties", {}).values():
            figure.pop("x-shown", None)
    bound = {"name": "bound", "digits": 5, "meaning": "W1 is at least this, with {about}{confidence} confidence"}
    figures["lower_bound"]["x-shown"] = {**bound, "rank": 10}
    del figures["upper_bound"]
    figures["no_upper_bound"]["x-shown"] = {"name": "upper", "digits": 5, "meaning": "left out: null", "rank": 20}
    figures["lipschitz_bound"]["x-shown"] = {"name": "L", "decimals": 8, "meaning": "of all {unit}", "rank": 5}
    figures["brand_new"] = {"type": "integer", "x-shown": {"meaning": "{other}", "rank": 40}}
    within = {"name": "within", "digits": 3, "meaning": "{rows}", "rank": 30}
    schemas["Baseline"] = {"properties": {"rows": {"type": "integer"}, "within": {"type": "number", "x-shown": within}}}
    figures["null_baseline"] = {"anyOf": [{"$ref": "#/components/schemas/Baseline"}, {"type": "null"}]}
    page = open_page()
    serve(page, contract)

    def add(route: Route) -> None:
        estimate = route.fetch().json()
        if estimate["result"]:
            estimate["result"]["brand_new"] = 7
        route.fulfill(json=estimate)

    page.route("**/v1/estimates/est_*", add)
    choose(page, files["left"], files["right"])
    estimate_id = start(page)
    result_of(page)
    page.reload()
    result_of(page)
    with urllib.request.urlopen(f"{server.url}/v1/estimates/{estimate_id}", timeout=30) as answer:
        result = json.load(answer)["result"]
    lines = figure_lines(page)
    names = [line[0] for line in lines]
    assert names[:4] == ["L", "bound", "within", "brand_new"]
    assert lines[0][1:] == [f"{result['lipschitz_bound']:.8f}", "of all rows"]
    assert float(lines[1][1]) == pytest.approx(result["lower_bound"], rel=1e-4)
    assert lines[1][2] == "W1 is at least this, with 95\u2009% confidence"
    assert float(lines[2][1]) == pytest.approx(result["null_baseline"]["within"], rel=1e-2)
    assert lines[2][2] == f"{result['null_baseline']['rows']:,} rows of each set"
    assert lines[3][1:] == ["7", "{other}"]
    assert "upper" not in names
